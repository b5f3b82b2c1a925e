"""Intentions: their status at a time, and what follows when a caller changes one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.prospective import CLOSED, OPEN, Prospective, Status, TaskAct, status_at
from tests.builders import NOW, make_memory

HOUR = timedelta(hours=1)


def task(**fields: Any) -> Prospective:
    """An intention with these fields."""
    memory = make_memory(MemoryType.PROSPECTIVE, "Dentist on Tuesday at ten.", **fields)
    assert isinstance(memory, Prospective)
    return memory


@pytest.mark.parametrize("status", sorted(OPEN))
def test_an_unfinished_appointment_lapses_when_its_time_is_over(status: Status) -> None:
    appointment = task(status=status, lapses_at=NOW + HOUR)
    for moment, expected in ((NOW, status), (NOW + HOUR, Status.LAPSED)):
        assert status_at(moment, appointment) is expected
        assert appointment.at(moment).status is expected
    assert not appointment.open_at(NOW + HOUR)


def test_an_appointment_that_was_over_when_it_was_written_lapses_with_a_later_text() -> None:
    imported = task(lapses_at=NOW - HOUR)
    assert imported.at(NOW).status is Status.PENDING
    assert imported.replace(status=Status.LAPSED).at(NOW).status is Status.LAPSED


@pytest.mark.parametrize("status", sorted(CLOSED))
def test_what_somebody_has_ended_never_lapses(status: Status) -> None:
    assert status_at(NOW, task(status=status, lapses_at=NOW - HOUR)) is status


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


def test_a_lapsed_appointment_that_a_caller_opens_lapses_no_more() -> None:
    before = task(lapses_at=NOW - HOUR, status=Status.LAPSED)
    opened = before.replace(status=Status.PENDING)
    opened = opened.model_copy(update=opened.following(before, NOW))
    assert opened.open_at(NOW + HOUR)


@pytest.mark.parametrize("status", sorted(CLOSED))
def test_a_task_was_open_before_a_caller_closed_it(status: Status) -> None:
    before = task()
    closed = before.replace(status=status)
    closed = closed.model_copy(update=closed.following(before, NOW))
    assert closed.as_of(NOW).status is status
    then = closed.as_of(NOW - HOUR)
    assert (then.status, then.completed_at) == (Status.PENDING, None)
    assert closed.at(NOW - HOUR).status is status  # at present it is closed, whatever the clock


def test_a_task_was_closed_until_a_caller_opened_it_again() -> None:
    closed = task(status=Status.COMPLETED, closed_at=NOW - 2 * HOUR)
    opened = closed.replace(status=Status.PENDING)
    opened = opened.model_copy(update=opened.following(closed, NOW))
    days = (NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR, NOW)
    assert [opened.open_at(day) for day in days] == [True, False, False, True]


def test_a_task_of_which_nobody_knows_when_it_was_closed_was_never_open() -> None:
    assert not task(status=Status.CANCELLED).open_at(NOW - HOUR)


def test_an_appointment_that_was_closed_after_its_time_had_lapsed_before() -> None:
    closed = task(status=Status.COMPLETED, lapses_at=NOW - HOUR, closed_at=NOW)
    times = (NOW - 2 * HOUR, NOW - HOUR, NOW)
    statuses = [closed.as_of(time).status for time in times]
    assert statuses == [Status.PENDING, Status.LAPSED, Status.COMPLETED]


def test_what_was_said_of_a_task_later_was_not_said_yet() -> None:
    said = {"how": "done", "at": NOW, "reason": "told"}
    assert task(said=said).as_of(NOW - HOUR).said is None
    assert task(said=said).as_of(NOW).said is not None


def test_an_act_of_an_earlier_data_folder_is_read_and_written_in_the_present_form() -> None:
    act = TaskAct.model_validate({"how": "done", "at": NOW, "reason": "told"})
    written = act.model_dump(mode="json", exclude_none=True)
    assert written["as"] == "done"
    assert "how" not in written
    assert "sure" not in act.model_dump()  # nobody knows
    assert TaskAct.model_validate(written) == act
