"""Work beside the calls."""

from __future__ import annotations

import logging

import anyio
import pytest

from api.upkeep import repeating
from memtypes.errors import Unavailable

pytestmark = pytest.mark.anyio


async def test_work_is_repeated_until_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Also after a failure, which is logged; after the end nothing runs."""
    runs: list[int] = []
    enough = anyio.Event()

    async def work() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise Unavailable("the store is away")
        if len(runs) == 2:
            raise ZeroDivisionError
        if len(runs) == 4:
            enough.set()
        return len(runs) - 3

    with caplog.at_level(logging.INFO):
        async with repeating("sweep", work, 0.001):
            with anyio.fail_after(20):
                await enough.wait()
    count = len(runs)
    await anyio.sleep(0.02)
    assert len(runs) == count
    assert "sweep: the store is away" in caplog.messages
    assert "sweep failed" in caplog.messages
    assert "sweep: 1 done" in caplog.messages
    assert "sweep: 0 done" not in caplog.messages
