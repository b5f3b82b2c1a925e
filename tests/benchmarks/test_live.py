"""The benchmark of live state, on a real server and at a small scale."""

from __future__ import annotations

import pytest

from benchmarks.live.live import LiveRequest, Measured, measure_live

pytestmark = pytest.mark.anyio


async def test_every_call_is_measured_beside_its_floor() -> None:
    """Each kind with each number of clients; sizes stay below what they may take."""
    report = await measure_live(LiveRequest("live", clients=(1, 3), calls=6))
    calls, sizes = report.tables
    assert {row[1] for row in calls.rows} == {1, 3}
    names = {row[0] for row in calls.rows}
    assert names > {
        "thread: append",
        "thread: 50 turns in 1,000 tokens",
        "workflow: event",
        "lock: acquire and release",
        "working memory: 10 items",
    }
    assert all(isinstance(cell, float) and cell > 0 for row in calls.rows for cell in row[3:9])
    measured = {row[0]: row[1] for row in sizes.rows}
    assert 0 < float(measured["thread of 50 turns, MB"] or 0) < 1
    assert 0 < float(measured["workflow of 50 events, MB"] or 0) < 1


def test_a_ratio_is_of_the_same_percentile() -> None:
    """The p50 over the floor's p50, and so on."""
    row = Measured("call", 1, 2, (2.0, 4.0), (1.0, 1.0), 3).row()
    assert row == ("call", 1, 2, 2.0, 4.0, 4.0, 2.0, 4.0, 4.0, 3)


def test_what_was_refused_throughout_has_no_time() -> None:
    """A dash for each, and the number of calls."""
    assert Measured("call", 1, 2, (), (1.0,), 9).row() == ("call", 1, 2, *[None] * 6, 9)
