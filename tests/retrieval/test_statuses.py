"""The statuses that tasks had at the time that a query asks about."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Status
from memtypes.search.candidates import Candidates
from retrieval.columns import COLUMNS
from retrieval.statuses import as_of
from tests.builders import NOW, make_memory

HOUR = timedelta(hours=1)
DONE = {"status": "completed", "completed_at": NOW, "closed_at": NOW}


def candidates(*memories: Memory) -> Candidates:
    """The memories as candidates, with a fact that has no status."""
    fact = make_memory(MemoryType.SEMANTIC, "The rent is 900.")
    return Candidates.from_memories([*memories, fact], COLUMNS)


def task(**fields: Any) -> Memory:
    """A task with these fields."""
    return make_memory(MemoryType.PROSPECTIVE, "Ring Ron", **fields)


@pytest.mark.parametrize(
    ("fields", "then"),
    [
        (DONE, Status.PENDING),
        ({"status": "cancelled", "closed_at": NOW}, Status.PENDING),
        ({"status": "cancelled"}, Status.CANCELLED),
        ({"status": "active", "lapses_at": NOW}, Status.ACTIVE),
        ({"status": "lapsed", "lapses_at": NOW}, Status.PENDING),
        ({"status": "active", "lapses_at": NOW - 2 * HOUR}, Status.LAPSED),
        ({"closed_at": NOW - 2 * HOUR, "reopened_at": NOW}, Status.COMPLETED),
    ],
)
def test_a_candidate_has_the_status_of_the_time(fields: dict[str, Any], then: Status) -> None:
    columns = as_of(candidates(task(**fields)), NOW - HOUR).columns
    assert columns.texts("status") == [then, None]


def test_a_task_that_was_open_had_no_time_of_completion_and_another_line() -> None:
    columns = as_of(candidates(task(**DONE), task()), NOW - HOUR).columns
    assert not columns.has_value("completed_at").any()
    assert columns.has_value("tokens.renderer").tolist() == [False, True, True]


def test_what_was_said_of_a_task_later_was_not_said_yet() -> None:
    said = {"how": "done", "at": NOW, "reason": "told"}
    columns = as_of(candidates(task(said=said)), NOW - HOUR).columns
    assert not columns.has_value("said.at").any()
    assert as_of(candidates(task(said=said)), NOW).columns.has_value("said.at").any()


def test_without_tasks_that_changed_the_candidates_stay_as_they_are() -> None:
    before = candidates(task(**DONE), task(lapses_at=NOW + HOUR))
    assert as_of(before, NOW) is before
