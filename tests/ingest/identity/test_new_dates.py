"""Tasks that are told again with another date, in nearly the same words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest.identity.acts import text_hash
from ingest.identity.new_dates import has_new_date
from ingest.screening.due.reading import due_in
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Prospective
from tests.builders import NOW, make_memory

DAY = timedelta(days=1)
LATER = NOW + 2 * DAY


def task(text: str, said_at: datetime = NOW, **fields: Any) -> Prospective:
    """A task with the due time that its text names."""
    due = due_in(text, said_at)
    if due is not None:
        fields = {"due_at": due.at, "due_text": due.text, **fields}
    memory = make_memory(MemoryType.PROSPECTIVE, text, created_at=said_at, **fields)
    assert isinstance(memory, Prospective)
    return memory


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("Call the bank, Friday", "call the bank, next Tuesday"),
        ("Dentist on the 7th", "Dentist is now on the 14th"),
        ("Dentist on Friday at 9:00", "dentist on Friday at 10:30"),
        ("By Friday send the offer to Acme", "Send Acme the offer by next Wednesday"),
        ("Den Zahnarzt am Freitag anrufen", "Am Dienstag den Zahnarzt anrufen"),
        ("Call the bank", "Call the bank on Friday"),
    ],
)
def test_the_same_words_with_another_time_are_the_same_task(older: str, newer: str) -> None:
    assert has_new_date(task(newer, LATER), task(older))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("Call Anna on Friday", "Call Ben on Tuesday"),
        ("Call Anna on Friday", "Call Anna's mother on Tuesday"),
        ("Pay the gas bill by Friday", "Pay the water bill by Tuesday"),
        ("Retro for sprint 33 on Friday", "Retro for sprint 34 on Tuesday"),
        ("Call the bank on Friday", "Call the bank"),
        ("Send it on Friday", "Do it on Tuesday"),
        ("On Friday", "On Tuesday"),
    ],
)
def test_tasks_about_something_else_are_two(older: str, newer: str) -> None:
    assert not has_new_date(task(newer, LATER), task(older))


def test_what_is_told_at_once_with_two_times_is_two_tasks() -> None:
    newer = task("Call the bank on Tuesday", NOW + timedelta(minutes=5))
    assert not has_new_date(newer, task("Call the bank on Friday"))


def test_a_series_to_which_a_caller_gives_dates_is_no_moved_task() -> None:
    series = [task("Standup", NOW + n * DAY, due_at=NOW + (n + 3) * DAY) for n in range(2)]
    assert not has_new_date(series[1], series[0])
    told = task("Standup on Friday", LATER)
    assert not has_new_date(told, series[0])


@pytest.mark.parametrize(
    "ended",
    [
        {"status": "completed", "closed_at": NOW + DAY},
        {"lapses_at": NOW + DAY},
        {"kept_from": [text_hash("Call the bank next Tuesday")]},
    ],
)
def test_a_task_that_has_ended_or_that_a_caller_parted_is_not_told_again(
    ended: dict[str, Any],
) -> None:
    newer = task("Call the bank next Tuesday", LATER)
    assert has_new_date(newer, task("Call the bank on Friday"))
    assert not has_new_date(newer, task("Call the bank on Friday", **ended))
