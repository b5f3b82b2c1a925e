"""Signals besides similarity."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.search.candidates import Candidate, Candidates
from retrieval.query.named_times import time_windows
from retrieval.query.windows import Window
from retrieval.ranking.signals import access, decay, due, importance, named_time, nearness, recency, signals

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def recent(kind: str, *payloads: dict[str, Any]) -> list[float]:
    """The recency of memories of one type."""
    found = [Candidate("m", MemoryType(kind), None, None, one) for one in payloads]
    return [float(value) for value in recency(Candidates.of(found), NOW)]


def payload(**times: datetime) -> dict[str, Any]:
    """A payload that was made now unless `times` say otherwise."""
    return {"created_at": rfc3339(NOW), **{name: rfc3339(at) for name, at in times.items()}}


@pytest.mark.parametrize(("kind", "days"), [("episodic", 7), ("semantic", 90), ("procedural", 90)])
def test_recency_halves_with_each_half_life(kind: str, days: int) -> None:
    """After one half-life a half, after two a quarter."""
    made = [payload(created_at=NOW - timedelta(days=days * n)) for n in (0, 1, 2)]
    assert recent(kind, *made) == pytest.approx([1.0, 0.5, 0.25])


def test_a_procedure_is_as_recent_as_its_last_use() -> None:
    """Using it makes it recent again."""
    used = payload(created_at=NOW - timedelta(days=900), last_used_at=NOW)
    assert recent("procedural", used) == [1.0]


def test_an_intention_is_measured_by_the_time_that_is_left() -> None:
    """What is due counts in full, however old; what is due in one half-life counts one half."""
    made = NOW - timedelta(days=400)
    overdue = payload(created_at=made, due_at=NOW - timedelta(days=30))
    later = payload(created_at=made, due_at=NOW + timedelta(days=3))
    assert recent("prospective", overdue, later) == pytest.approx([1.0, 0.5])


def test_working_memory_does_not_age() -> None:
    """Its life is bounded by its expiry, not by recency."""
    assert recent("working", payload(created_at=NOW - timedelta(days=9))) == [1.0]


@given(st.floats(-1e9, 1e12), st.floats(0, 1e9), st.floats(1, 1e9))
def test_decay_falls_with_age_and_stays_between_0_and_1(age: float, more: float, half_life: float) -> None:
    """Older is never more recent; a time to come counts as now."""
    older, younger = decay(np.array([age + more, age]), np.array([half_life, half_life])).tolist()
    assert 0.0 <= older <= younger <= 1.0


def test_importance_is_spread_over_the_whole_range() -> None:
    """1 is nothing, 10 is all."""
    assert importance(np.array([1.0, 5.5, 10.0])).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_access_grows_ever_more_slowly_and_ends_at_1() -> None:
    """The first uses count most."""
    values = access(np.array([0.0, 1.0, 10.0, 100.0, 10_000.0])).tolist()
    assert values == sorted(values)
    assert (values[0], values[-2], values[-1]) == (0.0, 1.0, 1.0)


def test_a_candidate_without_counts_has_the_defaults() -> None:
    """Importance 5 and no access."""
    table = signals(Candidates.of([Candidate("a", MemoryType.SEMANTIC, 0.1, 0.0, payload())]), NOW)
    assert {name: values.tolist() for name, values in table.items()} == {
        "recency": [1.0],
        "importance": [pytest.approx(4 / 9)],
        "access": [0.0],
        "due": [0.0],
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"due_at": NOW, "status": "pending"}, 1.0),
        ({"due_at": NOW - timedelta(days=9), "status": "active"}, 1.0),
        ({"due_at": NOW + timedelta(seconds=1), "status": "pending"}, 0.0),
        ({"due_at": NOW, "status": "completed"}, 0.0),
        ({"status": "pending"}, 0.0),
    ],
)
def test_open_intentions_whose_time_has_come_are_due(fields: dict[str, Any], expected: float) -> None:
    """Not before, and not once they are over."""
    told = {name: rfc3339(value) if name == "due_at" else value for name, value in fields.items()}
    found = Candidates.of([Candidate("a", MemoryType.PROSPECTIVE, 0.1, 0.0, payload() | told)])
    assert due(found, NOW).tolist() == [expected]


def test_nearness_is_1_inside_a_window_and_halves_with_each_week_outside() -> None:
    """With several windows the nearest counts."""
    days = ["2026-03-01", "2026-03-01T23:59", "2026-02-22", "2026-03-16", "2026-05-01"]
    windows = tuple(Window.day_of(datetime(2026, month, 1, tzinfo=UTC)) for month in (3, 5))
    assert nearness(np.array(days, dtype="datetime64[us]"), windows) == pytest.approx([1.0, 1.0, 0.5, 0.25, 1.0])


def test_named_time_compares_the_reference_time_of_each_memory() -> None:
    """An event counts from its creation, a task from its due time; without a named time the signal is 0."""
    event = Candidate("a", MemoryType.EPISODIC, None, None, {"created_at": "2026-02-28T08:00:00Z"})
    task_times = {"created_at": "2025-01-01T00:00:00Z", "due_at": "2026-02-28T18:00:00Z"}
    candidates = Candidates.of([event, Candidate("b", MemoryType.PROSPECTIVE, None, None, task_times)])
    assert list(named_time(time_windows("what was yesterday?", NOW), candidates)) == [1.0, 1.0]
    assert list(named_time(time_windows("what was it?", NOW), candidates)) == [0.0, 0.0]
