"""An embedded store and its worker process: durable, replaced after a crash, held by one
program.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from memtypes.model.errors import StoreInUse, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, Record
from memtypes.stores.edge import EdgeStore
from memtypes.stores.edge.layout import Layout
from memtypes.stores.files import locked
from memtypes.stores.operations.searching import TypedSearch, find_candidates
from memtypes.stores.operations.vector_engine import EngineOperations
from tests.builders import SCOPE, make_memory, make_record
from tests.memtypes.stores.engines import (
    ended,
    kill_worker,
    settings_for,
    start_python,
    until,
    worker_of,
)

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
from memtypes.model.policy import MemoryType
from memtypes.stores.edge import EdgeStore
from tests.builders import SCOPE, make_memory, make_record
from tests.memtypes.stores.engines import settings_for

async def main():
    store = await EdgeStore.open(settings_for(Path(sys.argv[1])))
    for batch in range(100_000):
        texts = [f"{batch} {n}" for n in range(5)]
        memories = [make_memory(kind, text) for kind in MemoryType for text in texts]
        await store.upsert(SCOPE, [make_record(memory) for memory in memories])
        print(*(memory.id for memory in memories), flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def opened(directory: Path, **changes: float | str) -> AsyncIterator[EdgeStore]:
    """An embedded store in the directory, closed when the context exits. changes: settings that are
    not the default.
    """
    store = await EdgeStore.open(settings_for(directory, **changes))
    try:
        yield store
    finally:
        await store.aclose()


async def total(store: EdgeStore, scope: Scope = SCOPE) -> int:
    """The number of memories in the scope."""
    return (await store.page(scope, Listing(limit=1))).total


def a_record(text: str = "x") -> Record:
    """An episode to store."""
    return make_record(make_memory(MemoryType.EPISODIC, text))


def states_of(directory: Path) -> dict[Path, tuple[int, int]]:
    """The size and the time of the last change of every file in the directory."""
    statuses = {path: path.stat() for path in directory.rglob("*") if path.is_file()}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in statuses.items()}


async def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    """After a program and its worker were killed while writing, no acknowledged memory is
    missing.
    """
    directory = tmp_path / "memories"
    with start_python(WRITER, str(directory)) as writer:
        assert writer.stdout is not None
        lines = [await asyncio.to_thread(writer.stdout.readline) for _ in range(20)]
        os.kill(worker_of(directory), signal.SIGKILL)
        writer.kill()
        remaining_output = await asyncio.to_thread(writer.stdout.read)
    complete = [line for line in remaining_output.splitlines(keepends=True) if line.endswith("\n")]
    acknowledged = [memory_id for line in (*lines, *complete) for memory_id in line.split()]
    async with opened(directory) as store:
        stored = await store.get(SCOPE, acknowledged)
        assert sorted(stored) == sorted(acknowledged)
        assert len(acknowledged) >= 500
        assert await store.stats(SCOPE)


async def test_a_worker_ends_with_its_program(tmp_path: Path) -> None:
    """A killed program leaves no worker behind that would hold the store."""
    with start_python(WRITER, str(tmp_path)) as writer:
        assert writer.stdout is not None
        await asyncio.to_thread(writer.stdout.readline)
        worker = worker_of(tmp_path)
        writer.kill()
    async with opened(tmp_path) as store:
        assert ended(worker)
        assert await total(store) >= 25


async def test_a_second_program_is_told_who_has_the_store(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        message = rf"in use by process {os.getpid()}\. Use its service with --url, or stop it"
        with pytest.raises(StoreInUse, match=message):
            await EdgeStore.open(settings_for(tmp_path, lock_wait_s=0.1))
        await store.ping()


async def test_a_store_that_is_being_closed_is_waited_for(tmp_path: Path) -> None:
    first = await EdgeStore.open(settings_for(tmp_path))
    await first.upsert(SCOPE, [a_record()])
    opening = asyncio.create_task(EdgeStore.open(settings_for(tmp_path)))
    await asyncio.sleep(0.1)
    await first.aclose()
    second = await opening
    assert await total(second) == 1
    await second.aclose()


async def test_calls_fail_at_once_when_the_worker_dies(tmp_path: Path) -> None:
    """It is unknown whether they took effect, so none is repeated. The next call is answered."""
    async with opened(tmp_path) as store:
        memory = a_record()
        await store.upsert(SCOPE, [memory])
        os.kill(worker_of(tmp_path), signal.SIGSTOP)
        calls = [
            asyncio.create_task(store.delete(SCOPE, [memory.id])),
            asyncio.create_task(store.get(SCOPE, [memory.id])),
            asyncio.create_task(store.ping()),
        ]
        await asyncio.sleep(0.2)
        killed_at = time.monotonic()
        os.kill(worker_of(tmp_path), signal.SIGKILL)
        for call in calls:
            with pytest.raises(Unavailable, match="it is unknown whether the call took effect"):
                await call
        assert time.monotonic() - killed_at < 1.0
        assert await total(store) == 1


async def test_the_next_call_after_a_crash_is_answered(tmp_path: Path) -> None:
    """A call that comes when the worker has died already was not sent, so it can't have failed."""
    async with opened(tmp_path) as store:
        await store.upsert(SCOPE, [a_record()])
        killed = await kill_worker(tmp_path)
        assert await total(store) == 1
        assert worker_of(tmp_path) != killed


async def test_a_worker_that_died_is_replaced_without_a_call(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        killed = await kill_worker(tmp_path)
        await until(lambda: worker_of(tmp_path) != killed)
        await store.ping()


async def test_a_slow_worker_is_unavailable(tmp_path: Path) -> None:
    """A call to a stopped worker times out. Once the worker continues, calls succeed again."""
    async with opened(tmp_path, timeout_s=0.3) as store:
        os.kill(worker_of(tmp_path), signal.SIGSTOP)
        with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
            await store.ping()
        os.kill(worker_of(tmp_path), signal.SIGCONT)
        await store.ping()
        assert await total(store) == 0


async def test_long_calls_to_a_busy_worker_do_not_block_the_event_loop(tmp_path: Path) -> None:
    """The pipe cannot hold them, so they are sent when the worker reads. All are answered."""
    async with opened(tmp_path) as store:
        os.kill(worker_of(tmp_path), signal.SIGSTOP)
        calls = [asyncio.create_task(store.call(length_of, text="x" * 3_000_000)) for _ in range(4)]
        calls += [asyncio.create_task(store.call(length_of, text="x" * 9)) for _ in range(400)]
        await asyncio.sleep(0.1)  # only returns if no send has blocked
        assert not any(call.done() for call in calls)
        os.kill(worker_of(tmp_path), signal.SIGCONT)
        assert await asyncio.gather(*calls) == [3_000_000] * 4 + [9] * 400


async def length_of(_: EngineOperations, *, text: str) -> int:
    return len(text)


async def test_a_slow_start_is_unavailable_and_goes_on(tmp_path: Path) -> None:
    """No call waits for a new worker longer than the limit. Later calls use the worker that was
    being started.
    """
    store = EdgeStore(settings_for(tmp_path, start_timeout_s=0.01))
    with pytest.raises(Unavailable, match=r"did not start within 0\.01 s"):
        await store.ping()
    for _ in range(300):
        if await answers(store):
            break
        await asyncio.sleep(0.1)
    assert await answers(store)
    await store.aclose()


async def answers(store: EdgeStore) -> bool:
    """Whether the store answers a ping."""
    try:
        await store.ping()
    except Unavailable:
        return False
    return True


async def test_signals_of_a_terminal_or_of_systemd_do_not_end_the_worker(tmp_path: Path) -> None:
    """They are sent to every process of the service, which ends its worker by itself."""
    async with opened(tmp_path) as store:
        worker = worker_of(tmp_path)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker, number)
        await store.upsert(SCOPE, [a_record()])
        assert worker_of(tmp_path) == worker
        assert not ended(worker)


async def test_a_failing_call_does_not_end_the_worker(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An error that is a bug is logged with its traceback; the caller gets Unavailable."""
    async with opened(tmp_path) as store:
        worker = worker_of(tmp_path)
        record = a_record()
        with_tokens = replace(record.vectors, tokens=np.ones((1, 128), np.int8))
        await store.upsert(SCOPE, [Record(record.id, record.type, record.payload, with_tokens)])
        dense = record.vectors.dense
        short_tokens = TypedSearch(
            {MemoryType.EPISODIC: {}}, dense, None, 5, tokens=np.ones((1, 5), np.int8)
        )
        no_id = TypedSearch({MemoryType.EPISODIC: {"has_id": ["no UUID"]}}, dense, None, 5)
        for search in (short_tokens, no_id):
            with pytest.raises(Unavailable, match="the embedded engine failed; see the log"):
                await store.call(find_candidates, scope=SCOPE, searches=[search])
        with pytest.raises(Unavailable, match="the embedded engine failed; see the log"):
            await store.call(awaits_an_event)
        await store.ping()
        assert worker_of(tmp_path) == worker
        assert capfd.readouterr().err.count("a call of the embedded engine failed") == 3


async def awaits_an_event(_: EngineOperations) -> None:
    """A function that the worker can't run: it has no event loop."""
    await asyncio.sleep(0)


async def test_a_closed_store_raises(tmp_path: Path) -> None:
    """Every call after aclose raises Unavailable; closing twice is no error."""
    async with opened(tmp_path) as store:
        pass
    await store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await store.ping()


async def test_a_closed_store_is_final(tmp_path: Path) -> None:
    """Closed under write load, the worker has ended, the lock is free, and no file changes any
    more. Every acknowledged memory is there.
    """
    acknowledged = 0
    store = await EdgeStore.open(settings_for(tmp_path))
    worker = worker_of(tmp_path)

    async def write(writer: int) -> None:
        nonlocal acknowledged
        with suppress(Unavailable):
            for number in count():
                await store.upsert(SCOPE, [a_record(f"{writer} {number}")])
                acknowledged += 1

    writers = [asyncio.create_task(write(writer)) for writer in range(5)]
    await asyncio.sleep(1.0)
    await store.aclose()
    with locked(Layout(tmp_path).lock_path) as acquired:
        assert acquired
    closed = states_of(tmp_path)
    assert ended(worker)
    await asyncio.gather(*writers)
    await asyncio.sleep(1.0)
    assert states_of(tmp_path) == closed
    async with opened(tmp_path) as reopened:
        assert await total(reopened) == acknowledged > 0


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    directory = tmp_path / "memories"
    async with opened(directory) as store:
        await store.upsert(SCOPE, [a_record()])
        private = [directory, *directory.glob("*.json"), directory / "episodic" / "v1"]
        assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in private] == [0] * len(private)
