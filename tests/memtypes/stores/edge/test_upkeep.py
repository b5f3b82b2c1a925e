"""Upkeep of an embedded store: its steps on a real worker, and its errors on a fake one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.edge.upkeep import Upkeep
from memtypes.stores.edge.worker import OpenStore, Worker
from memtypes.stores.operations.writes import write
from tests.builders import SCOPE, make_memory, make_record
from tests.memtypes.stores.engines import settings_for

pytestmark = pytest.mark.anyio


class FakeWorker(Worker):
    """A worker whose calls have the given answers, or raise them. Others return None."""

    def __init__(self, answers: dict[Any, Any]) -> None:
        self.calls: list[Any] = []
        self._answers = answers

    # The steps of the upkeep have no arguments.
    async def run(self, method: Callable[..., Any]) -> Any:  # type: ignore[override]
        """The answer of `method`."""
        self.calls.append(method)
        answer = self._answers.get(method)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_quiet_store_is_flushed(tmp_path: Path) -> None:
    """Some time after the last call, its changes are in the segments of the shards."""
    worker = await Worker.start(settings_for(tmp_path))
    records = [make_record(make_memory(MemoryType.SEMANTIC, "tea"))]
    await worker.run(OpenStore.answer, write, scope=SCOPE, points=records, changes=[])
    assert not await worker.run(OpenStore.is_flushed)
    upkeep = asyncio.create_task(Upkeep(worker).run())
    await asyncio.sleep(3.0)
    assert await worker.run(OpenStore.is_flushed)
    assert await worker.run(OpenStore.pop_unsynced) == []
    upkeep.cancel()
    with suppress(asyncio.CancelledError):
        await upkeep
    await worker.aclose()


async def test_a_store_with_calls_is_not_flushed_yet() -> None:
    """A flush blocks the worker, so it waits for a pause."""
    worker = FakeWorker({OpenStore.pop_unsynced: [], OpenStore.is_flushed: False})
    upkeep = Upkeep(worker)
    with suppress(TimeoutError):
        async with asyncio.timeout(1.4):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(upkeep.run())
                for _ in range(12):
                    upkeep.note_call()
                    await asyncio.sleep(0.1)
    assert OpenStore.is_flushed in worker.calls
    assert OpenStore.flush_one not in worker.calls


async def test_an_error_of_syncing_ends_the_upkeep(tmp_path: Path) -> None:
    """The store must not acknowledge writes that can't reach the disk."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError):
        await Upkeep(FakeWorker({OpenStore.pop_unsynced: [file]})).run()


async def test_a_failed_warm_up_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """Searches read what the cache lacks."""
    worker = FakeWorker(
        {
            OpenStore.warm_step: Unavailable("the engine failed"),
            OpenStore.pop_unsynced: [],
            OpenStore.is_flushed: True,
        }
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(1.3):
            await Upkeep(worker).run()
    assert worker.calls.count(OpenStore.warm_step) == 1
    assert OpenStore.pop_unsynced in worker.calls
    assert "the warm-up failed" in caplog.text


async def test_a_failed_rewrite_is_tried_again() -> None:
    worker = FakeWorker(
        {
            OpenStore.rewrite_step: Unavailable("the disk is full"),
            OpenStore.pop_unsynced: [],
            OpenStore.is_flushed: True,
        }
    )
    upkeep = Upkeep(worker)
    upkeep.rewrite_shards()
    with suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            await upkeep.run()
    assert worker.calls.count(OpenStore.rewrite_step) == 2
