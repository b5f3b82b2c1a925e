"""Parts of the embedded store that need no process: messages, files and locks."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.errors import Conflict, InvalidRequest, NotFound, RemembrancerError, StoreInUse, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.edge.engine.engine import Engine
from memtypes.stores.edge.engine.errors import translated
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.maintenance.warm_up import STEP
from memtypes.stores.edge.process import wire
from memtypes.stores.edge.process.connection import Connection, ConnectionLostError
from memtypes.stores.files import holder_of, locked, replace_file, sync_directory
from memtypes.stores.operations import messages
from memtypes.stores.operations.points import point_of
from memtypes.stores.operations.remote_store import candidates_of
from tests.builders import DIMENSIONS, SCOPE, make_memory, make_record

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "error", [NotFound("n"), Conflict("c"), Unavailable("u"), StoreInUse("s"), RemembrancerError("r")]
)
def test_errors_travel(error: RemembrancerError) -> None:
    """An error comes out as what it went in as; one that has no name on the wire is unavailable."""
    back = wire.error_of(wire.failure_of(error))
    assert type(back) is (Unavailable if type(error) is RemembrancerError else type(error))
    assert str(back) == str(error)


def test_an_invalid_request_keeps_its_path() -> None:
    """The place that was wrong travels along."""
    back = wire.error_of(wire.failure_of(InvalidRequest("bad", path="filters.x")))
    assert isinstance(back, InvalidRequest)
    assert back.path == "filters.x"


@given(st.binary(max_size=200), st.integers(0, 2**31))
def test_questions_travel(raw: bytes, number: int) -> None:
    """A call comes out as it went in, bytes and nested values included."""
    searches = [messages.TypeSearch(MemoryType.WORKING, raw, None, None, 5, {"must": [{"has_id": ["x"]}]})]
    questions: list[wire.Question] = [
        messages.Candidates(tenant="t", namespace="n", searches=searches),
        messages.Upsert(
            tenant="t",
            namespace="n",
            type=MemoryType.EPISODIC,
            points=[messages.Point("i", raw, raw, raw, None, {"a": [1]})],
        ),
        messages.List(tenant="t", namespace="n", types=[MemoryType.SEMANTIC], where={}, limit=3, after=("a", "b")),
        wire.Hello(1),
    ]
    for question in questions:
        assert wire.decode_call(wire.encode(wire.Call(number, question))) == wire.Call(number, question)


async def test_messages_have_their_length_in_front() -> None:
    """Messages are told apart however they arrive; a length out of bounds is refused."""
    reader = asyncio.StreamReader()
    reader.feed_data(wire.framed(b"one") + wire.framed(b"") + wire.framed(b"three")[:5])
    assert [await wire.read_message(reader), await wire.read_message(reader)] == [b"one", b""]
    reader.feed_data(b"hree")
    assert await wire.read_message(reader) == b"three"
    reader.feed_data(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="4294967295 bytes"):
        await wire.read_message(reader)


def test_an_engine_reads_ahead_and_still_tells_the_truth(tmp_path: Path) -> None:
    """Reading ahead ends, and after it a search gives every candidate with its payload as it is now."""
    memories = [make_memory(MemoryType.SEMANTIC, f"number {n}", importance=1 + n % 10) for n in range(STEP + 20)]
    points = [point_of(make_record(memory)) for memory in memories]
    bounds = {"tenant": SCOPE.tenant, "namespace": SCOPE.namespace}
    paths = {kind: tmp_path / kind for kind in MemoryType}
    engine = Engine.open(paths, DIMENSIONS)
    engine.answer(messages.Upsert(**bounds, type=MemoryType.SEMANTIC, points=points))
    engine.close()
    for left in tmp_path.rglob("light.bin"):
        left.unlink()  # as if it had been killed
    engine = Engine.open(paths, DIMENSIONS)
    assert sum(1 for _ in engine.warm()) >= 2 + 2 + len(MemoryType) - 1  # a slow machine takes smaller steps
    change = messages.FieldChange([memories[0].id], {"importance": 9})
    engine.answer(messages.Patch(**bounds, changes=[change], removed=[], fence=None))
    search = messages.TypeSearch(MemoryType.SEMANTIC, points[0].dense, None, None, len(points), {})
    (found,) = engine.answer(messages.Candidates(**bounds, searches=[search]))
    importance = {one.id: one.payload["importance"] for one in candidates_of(MemoryType.SEMANTIC, found)}
    engine.close()
    assert importance == {memory.id: memory.importance for memory in memories} | {memories[0].id: 9}


def test_an_engine_knows_what_the_one_before_knew(tmp_path: Path) -> None:
    """After a clean end nothing is read ahead again and answers are the same; what is left is there only meanwhile."""
    memories = [make_memory(MemoryType.SEMANTIC, f"number {n}", importance=1 + n % 10) for n in range(STEP + 20)]
    points = [point_of(make_record(memory)) for memory in memories]
    bounds = {"tenant": SCOPE.tenant, "namespace": SCOPE.namespace}
    search = messages.TypeSearch(MemoryType.SEMANTIC, points[0].dense, points[0].terms, points[0].weights, 200, {})
    paths = {kind: tmp_path / kind for kind in MemoryType}
    engine = Engine.open(paths, DIMENSIONS)
    engine.answer(messages.Upsert(**bounds, type=MemoryType.SEMANTIC, points=points))
    engine.answer(messages.Delete(**bounds, ids=[memories[3].id]))
    (before,) = engine.answer(messages.Candidates(**bounds, searches=[search]))
    engine.close()
    (left,) = tmp_path.rglob("light.bin")
    assert memories[3].content_hash.encode() not in left.read_bytes()
    assert memories[4].content_hash.encode() in left.read_bytes()
    engine = Engine.open(paths, DIMENSIONS)
    assert not left.exists()
    steps = sum(1 for _ in engine.warm())
    assert steps == 2 + len(MemoryType) - 1  # of passages alone
    assert engine.answer(messages.Candidates(**bounds, searches=[search])) == [before]
    engine.close()


async def test_a_connection_that_broke_is_lost_at_once(tmp_path: Path) -> None:
    """Whoever is told that an answer will not come finds the connection lost, so nothing more is asked there."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    path = str(tmp_path / "socket")
    async with await asyncio.start_unix_server(hang_up, path):
        for pause in (0.0, 0.01):
            connection = await Connection.open(path)
            await asyncio.sleep(pause)
            with pytest.raises(ConnectionLostError):
                await connection.ask(wire.Hello(1), 5.0)
            assert connection.lost
            await connection.aclose()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (Exception("Can't init WAL: Kind(WouldBlock)"), StoreInUse),
        (Exception("disk full"), Unavailable),
        (ValueError("invalid JSON path"), InvalidRequest),
        (TypeError("wrong"), InvalidRequest),
        (Conflict("ours"), Conflict),
    ],
)
def test_what_the_engines_errors_become(raised: Exception, expected: type[RemembrancerError]) -> None:
    """The engine raises bare exceptions; each becomes one of ours, with its text."""
    with pytest.raises(expected, match=str(raised).split("(")[0]), translated():
        raise raised


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """While a lock is held nobody else gets it, and it names its holder."""
    path = tmp_path / "lock"
    with locked(path) as first, locked(path) as second:
        assert (first, second) == (True, False)
        assert holder_of(path) == str(os.getpid())
    with locked(path) as again:
        assert again


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The new content is there, readable by its owner alone, and nothing else is left behind."""
    path = tmp_path / "file"
    for content in (b"a long first content", b"short"):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o077 == 0


def test_what_is_deleted_meanwhile_needs_no_syncing(tmp_path: Path) -> None:
    """A log that a renewal took away, or a file of it that was flushed, does not end the engine."""
    sync_directory(tmp_path / "gone")
    (tmp_path / "segment").symlink_to(tmp_path / "flushed")  # listed, and not there when it is opened
    sync_directory(tmp_path)


def test_a_store_without_an_alias_has_no_shards(tmp_path: Path) -> None:
    """Asking for the shards of a directory that is no store is an error; a damaged holder file is nobody."""
    layout = Layout(tmp_path)
    with pytest.raises(Unavailable, match=r"store\.json is missing"):
        layout.shard_paths()
    layout.holder_path.write_bytes(b"{")
    assert layout.read_holder() is None
