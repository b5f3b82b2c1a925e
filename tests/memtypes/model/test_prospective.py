"""Intentions: their status at a time, and what follows when a caller changes one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.prospective import CLOSED, OPEN, Prospective, Status, status_at
from tests.builders import NOW, make_memory

HOUR = timedelta(hours=1)


def task(**fields: Any) -> Prospective:
    """An intention with these fields."""
    memory = make_memory(MemoryType.PROSPECTIVE, "Dentist on Tuesday at ten.", **fields)
    assert isinstance(memory, Prospective)
    return memory


@pytest.mark.parametrize("status", sorted(OPEN))
def test_an_unfinished_appointment_lapses_when_its_time_is_over(status: Status) -> None:
    assert status_at(NOW - HOUR, status, NOW) is status
    assert status_at(NOW, status, NOW) is Status.LAPSED
    assert not task(status=status, lapses_at=NOW).open_at(NOW)


@pytest.mark.parametrize("status", sorted(CLOSED))
def test_what_somebody_has_ended_never_lapses(status: Status) -> None:
    assert status_at(NOW, status, NOW - HOUR) is status


def test_a_task_without_an_end_stays_open_when_its_due_time_has_passed() -> None:
    assert task(due_at=NOW - HOUR).open_at(NOW)


def test_before_it_lapsed_a_lapsed_appointment_was_open() -> None:
    lapsed = task(status=Status.LAPSED, lapses_at=NOW)
    assert lapsed.open_at(NOW - HOUR)
    assert not lapsed.open_at(NOW)


def test_a_lapsed_appointment_with_a_new_due_time_is_open_and_lapses_as_much_later() -> None:
    before = task(due_at=NOW, lapses_at=NOW + HOUR, status=Status.LAPSED)
    after = before.replace(due_at=NOW + 5 * HOUR)
    following = after.following(before, NOW)
    assert following["status"] is Status.PENDING
    assert following["lapses_at"] == NOW + 6 * HOUR


def test_a_task_that_loses_its_due_time_lapses_no_more() -> None:
    before = task(due_at=NOW, lapses_at=NOW + HOUR)
    assert before.replace(due_at=None).following(before, NOW)["lapses_at"] is None
