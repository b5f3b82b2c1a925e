"""The embedded store and its engine process: shared by clients, durable, restarted after a crash,
ended when unused.
"""

from __future__ import annotations

import asyncio
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, Record
from memtypes.stores.edge import EdgeStore
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.process.client import Connection, ConnectionLostError
from memtypes.stores.edge.process.wire import Hello
from memtypes.stores.files import MAX_SOCKET_BYTES, locked
from memtypes.stores.operations.searching import TypedSearch, find_candidates
from tests.builders import SCOPE, make_memory, make_record
from tests.memtypes.stores.engines import (
    ended,
    engine_of,
    has_socket,
    kill_engine,
    settings_for,
    start_python,
    until,
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
    for batch in range(int(sys.argv[2])):
        texts = [f"{sys.argv[3]} {batch} {n}" for n in range(5)]
        memories = [make_memory(kind, text) for kind in MemoryType for text in texts]
        await store.upsert(SCOPE, [make_record(memory) for memory in memories])
        print(*(memory.id for memory in memories), flush=True)
    if sys.argv[4] == "stay":
        await asyncio.sleep(60)
    await store.aclose()

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


async def test_acknowledged_writes_survive_kill_9(tmp_path: Path) -> None:
    """After client and engine were killed while writing, no acknowledged memory is missing."""
    directory = tmp_path / "memories"
    with start_python(WRITER, str(directory), "100000", "w", "leave") as writer:
        assert writer.stdout is not None
        lines = [await asyncio.to_thread(writer.stdout.readline) for _ in range(20)]
        engine = kill_engine(directory)
        writer.kill()
        remaining_output = await asyncio.to_thread(writer.stdout.read)
    await until(lambda: ended(engine))
    complete = [line for line in remaining_output.splitlines(keepends=True) if line.endswith("\n")]
    acknowledged = [memory_id for line in (*lines, *complete) for memory_id in line.split()]
    async with opened(directory) as store:
        stored = await store.get(SCOPE, acknowledged)
        assert sorted(stored) == sorted(acknowledged)
        assert len(acknowledged) >= 500
        assert await store.stats(SCOPE)


async def test_two_processes_share_an_engine(tmp_path: Path) -> None:
    """A write of one process is seen by the other at once. The engine runs on while either process
    uses it.
    """
    async with opened(tmp_path) as store:
        engine = engine_of(tmp_path).pid
        await store.upsert(SCOPE, [make_record(make_memory(MemoryType.EPISODIC, "ours"))])
        writer = start_python(WRITER, str(tmp_path), "3", "theirs", "leave")
        output, _ = await asyncio.to_thread(writer.communicate)
        assert writer.returncode == 0
        assert await total(store) == 1 + len(output.split()) == 76
        await asyncio.sleep(0.5)
        assert engine_of(tmp_path).pid == engine
        await store.ping()


async def test_concurrent_openers_start_one_engine(tmp_path: Path) -> None:
    """Clients that open a new directory at the same time use one engine process."""
    stores = await asyncio.gather(*(EdgeStore.open(settings_for(tmp_path)) for _ in range(4)))
    await stores[0].upsert(SCOPE, [make_record(make_memory(MemoryType.EPISODIC, "x"))])
    assert [await total(store) for store in stores] == [1] * 4
    for store in stores:
        await store.aclose()


async def test_the_engine_ends_after_its_last_client(tmp_path: Path) -> None:
    """After its last client closes, the engine ends and removes its socket. The next client finds
    every memory.
    """
    async with opened(tmp_path) as store:
        await store.upsert(SCOPE, [make_record(make_memory(kind, "x")) for kind in MemoryType])
        engine = engine_of(tmp_path)
    await until(lambda: ended(engine.pid))
    assert not has_socket(engine)
    assert Layout(tmp_path).read_engine() is None
    assert Layout(tmp_path).log_path.read_text() == ""
    async with opened(tmp_path) as store:
        assert await total(store) == 5


async def test_calls_continue_after_the_engine_died(tmp_path: Path) -> None:
    """If the engine has died, the next call starts a new engine, and no memory is lost."""
    async with opened(tmp_path) as store:
        await store.upsert(SCOPE, [make_record(make_memory(MemoryType.EPISODIC, "x"))])
        first = kill_engine(tmp_path)
        await until(lambda: ended(first))
        await asyncio.sleep(0.05)  # until the store has seen it
        assert has_socket(engine_of(tmp_path))
        assert await total(store) == 1
        second = kill_engine(tmp_path, signal.SIGTERM)
        assert second != first
        await until(lambda: ended(second))
        await asyncio.sleep(0.05)
        await store.ping()
        assert await total(store) == 1


async def test_calls_that_wait_when_the_engine_dies_are_unavailable(tmp_path: Path) -> None:
    """No call is repeated: whether it took effect is unknown. The next call starts the engine."""
    async with opened(tmp_path) as store:
        memory = make_memory(MemoryType.EPISODIC, "x")
        await store.upsert(SCOPE, [make_record(memory)])
        stopped = kill_engine(tmp_path, signal.SIGSTOP)
        removal = asyncio.create_task(store.delete(SCOPE, [memory.id]))
        reading = asyncio.create_task(store.get(SCOPE, [memory.id]))
        await asyncio.sleep(0.2)
        kill_engine(tmp_path)
        await until(lambda: ended(stopped))
        for call in (removal, reading):
            with pytest.raises(Unavailable, match="it is unknown whether the call took effect"):
                await call
        assert await total(store) == 1


async def test_a_slow_engine_is_unavailable(tmp_path: Path) -> None:
    """A call to an engine that was stopped times out. Once the engine continues, calls succeed
    again.
    """
    async with opened(tmp_path, timeout_s=0.3) as store:
        kill_engine(tmp_path, signal.SIGSTOP)
        with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
            await store.ping()
        kill_engine(tmp_path, signal.SIGCONT)
        await store.ping()
        assert await total(store) == 0


async def test_a_failing_request_does_not_end_the_engine(tmp_path: Path) -> None:
    """If a request fails, its client gets an error, and the engine's log has the details.

    Other clients are still served.
    """
    async with opened(tmp_path) as store:
        engine = engine_of(tmp_path)
        record = make_record(make_memory(MemoryType.EPISODIC, "x"))
        await store.upsert(
            SCOPE,
            [
                Record(
                    record.id,
                    record.type,
                    record.payload,
                    replace(record.vectors, tokens=np.ones((1, 128), np.int8)),
                )
            ],
        )
        broken = TypedSearch(
            {MemoryType.EPISODIC: {}},
            record.vectors.dense,
            None,
            5,
            tokens=np.ones((1, 5), np.int8),
        )
        no_id = TypedSearch(
            {MemoryType.EPISODIC: {"has_id": ["no UUID"]}}, record.vectors.dense, None, 5
        )
        for search in (broken, no_id):
            with pytest.raises(Unavailable, match="the embedded engine failed; see its log"):
                await store.call(find_candidates, scope=SCOPE, searches=[search])
        await store.ping()
        assert engine_of(tmp_path) == engine
        log = Layout(tmp_path).log_path.read_text()
        assert log.count("a request could not be answered") == 2


async def test_a_closed_store_raises(tmp_path: Path) -> None:
    """Every call after aclose raises Unavailable; closing twice is no error."""
    async with opened(tmp_path) as store:
        pass
    await store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await store.ping()


async def test_a_long_directory_gets_a_short_socket(tmp_path: Path) -> None:
    """A store works in a directory whose path is too long for a socket's path. Only the owner can
    read the files.
    """
    directory = tmp_path / ("d" * 120)
    async with opened(directory) as store:
        engine = engine_of(directory)
        await store.upsert(SCOPE, [make_record(make_memory(MemoryType.EPISODIC, "x"))])
        assert len(engine.socket) <= MAX_SOCKET_BYTES
        assert not engine.socket.startswith(str(directory))
        private = [
            directory,
            Path(engine.socket).parent,
            *directory.glob("*.json"),
            directory / "episodic" / "v1",
        ]
        assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in private] == [0] * len(private)
        with locked(directory / "engine.lock") as acquired:
            assert not acquired


async def test_a_connection_that_the_engine_closes_is_lost_at_once(tmp_path: Path) -> None:
    """If the engine hangs up, the call raises ConnectionLostError, and the connection's `lost` is
    True.
    """

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    path = str(tmp_path / "socket")
    async with await asyncio.start_unix_server(hang_up, path):
        for pause in (0.0, 0.01):
            connection = await Connection.open(path)
            await asyncio.sleep(pause)
            with pytest.raises(ConnectionLostError):
                await connection.ask(Hello(), 5.0)
            assert connection.lost
            await connection.aclose()
