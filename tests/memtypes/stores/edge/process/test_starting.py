"""Opening an embedded store: each failure names its cause and the remedy, and changes no file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from memtypes.model.errors import EmbedderMismatch, StoreInUse, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.edge import EdgeSettings, EdgeStore
from memtypes.stores.edge.layout import EngineProcess, Layout
from memtypes.stores.edge.process.wire import PROTOCOL
from memtypes.stores.files import locked
from tests.builders import SCOPE, make_memory, make_record
from tests.memtypes.stores.engines import ended, engine_of, settings_for, start_python, until

pytestmark = pytest.mark.anyio

HOLD_LOCK = """
import sys
from pathlib import Path
from memtypes.stores.files import locked
with locked(Path(sys.argv[1])) as held:
    print(held, flush=True)
    sys.stdin.read()
"""
HOLD_SHARD = """
import sys
import qdrant_edge
shard = qdrant_edge.EdgeShard.load(sys.argv[1])
print(shard.info().points_count, flush=True)
sys.stdin.read()
"""


async def test_another_embedder_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    """The error for an embedder with another fingerprint or dimension names both and the remedy. No
    file is changed.
    """
    memory = make_memory(MemoryType.EPISODIC, "x")
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.upsert(SCOPE, [make_record(memory)])
    before = Layout(tmp_path).manifest_path.read_bytes()
    for settings in (
        settings_for(tmp_path, fingerprint="other"),
        EdgeSettings(tmp_path, "test-embedder", 9),
    ):
        with pytest.raises(
            EmbedderMismatch,
            match=r"test-embedder \(8 dimensions\).*Nothing was changed.*--data-dir",
        ):
            await EdgeStore.open(settings)
    engine = engine_of(tmp_path).pid
    await store.aclose()
    await until(lambda: ended(engine))
    with pytest.raises(EmbedderMismatch, match=r"other \(8 dimensions\).*reembed"):
        await EdgeStore.open(settings_for(tmp_path, fingerprint="other"))
    assert Layout(tmp_path).manifest_path.read_bytes() == before
    reopened = await EdgeStore.open(settings_for(tmp_path))
    assert await reopened.get(SCOPE, [memory.id]) == {memory.id: memory}
    await reopened.aclose()


async def test_a_store_without_store_json_is_not_opened(tmp_path: Path) -> None:
    """A directory with memories but without store.json is neither used nor initialised."""
    (tmp_path / "semantic").mkdir()
    with pytest.raises(EmbedderMismatch, match=r"store\.json"):
        await EdgeStore.open(settings_for(tmp_path))
    assert not Layout(tmp_path).manifest_path.exists()


async def test_a_damaged_store_json_is_not_replaced(tmp_path: Path) -> None:
    """Opening a store with a damaged store.json raises an error that names the file."""
    path = Layout(tmp_path).manifest_path
    path.write_text("{")
    with pytest.raises(Unavailable, match=r"store\.json"):
        await EdgeStore.open(settings_for(tmp_path))
    assert path.read_text() == "{"


async def test_an_unusable_directory_is_an_error(tmp_path: Path) -> None:
    """Opening a store at a path below a file raises an error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="can't be used"):
        await EdgeStore.open(settings_for(tmp_path / "file" / "store"))


async def test_a_process_that_holds_the_lock_and_does_not_answer_is_named(tmp_path: Path) -> None:
    for lock in ("engine.lock", "opening.lock"):
        with start_python(HOLD_LOCK, str(tmp_path / lock)) as process:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "True\n"
            with pytest.raises(StoreInUse, match=rf"process {process.pid}.*--url"):
                await EdgeStore.open(settings_for(tmp_path, start_timeout_s=0.3))
            process.communicate()


async def test_a_shard_that_another_program_has_open_is_an_error(tmp_path: Path) -> None:
    """If a program that is no engine of this product has a shard open, the error says so and names
    the remedy.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    engine = engine_of(tmp_path).pid
    await store.aclose()
    await until(lambda: ended(engine))
    with start_python(HOLD_SHARD, str(tmp_path / "semantic" / "v1")) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "0\n"
        with pytest.raises(StoreInUse, match=r"not an engine of this program.*--url"):
            await EdgeStore.open(settings_for(tmp_path))
        process.communicate()


async def test_an_engine_of_another_version_is_refused(tmp_path: Path) -> None:
    """A client refuses to use a running engine with another protocol version."""
    layout = Layout(tmp_path)
    layout.engine_path.write_bytes(
        msgspec.json.encode(EngineProcess(os.getpid(), "nowhere", PROTOCOL + 1))
    )
    with locked(layout.engine_lock) as acquired:
        assert acquired
        with pytest.raises(
            StoreInUse, match=rf"process {os.getpid()}, an engine of another version.*--url"
        ):
            await EdgeStore.open(settings_for(tmp_path))


async def test_a_damaged_shard_is_an_error(tmp_path: Path) -> None:
    """The engine reports a damaged shard and leaves its files unchanged."""
    Layout(tmp_path).prepare("test-embedder", 8)
    shard = tmp_path / "episodic" / "v1"
    shard.mkdir(parents=True)
    (shard / "edge_config.json").write_text("damaged")
    with pytest.raises(Unavailable, match="the embedded engine failed"):
        await EdgeStore.open(settings_for(tmp_path))
    assert (shard / "edge_config.json").read_text() == "damaged"


async def test_a_file_that_the_engine_cannot_open_is_named(tmp_path: Path) -> None:
    """If the engine cannot open a file, the client's error has the operating system's message with
    the file's name.
    """
    Layout(tmp_path).prepare("test-embedder", 8)
    (tmp_path / "episodic" / "v1" / "slots" / "ids.bin").mkdir(parents=True)
    with pytest.raises(Unavailable, match=r"Is a directory.*ids\.bin"):
        await EdgeStore.open(settings_for(tmp_path))


async def test_an_engine_that_does_not_start_in_time_is_an_error_that_names_the_log(
    tmp_path: Path,
) -> None:
    """If an engine does not start in time, the error names the engine's log file.

    The engine continues to start and serves the next client.
    """
    with pytest.raises(Unavailable, match=r"did not start.*engine\.log"):
        await EdgeStore.open(settings_for(tmp_path, start_timeout_s=0.0))
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.aclose()
    assert Layout(tmp_path).log_path.read_text() == ""
