"""Opening an embedded store: each failure names its cause and the remedy, and changes no file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memtypes.model.errors import EmbedderMismatch, StoreInUse, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.edge import EdgeSettings, EdgeStore
from memtypes.stores.edge.layout import Layout
from retrieval.columns import COLUMNS
from tests.builders import SCOPE, make_memory, make_record
from tests.memtypes.stores.engines import settings_for, start_python

pytestmark = pytest.mark.anyio

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
    await store.aclose()
    before = Layout(tmp_path).manifest_path.read_bytes()
    for settings in (
        settings_for(tmp_path, fingerprint="other"),
        EdgeSettings(tmp_path, "test-embedder", 9, COLUMNS),
    ):
        with pytest.raises(
            EmbedderMismatch,
            match=r"test-embedder \(8 dimensions\).*Nothing was changed.*--data-dir.*reembed",
        ):
            await EdgeStore.open(settings)
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


async def test_a_lock_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    Layout(tmp_path).lock_path.mkdir()
    with pytest.raises(Unavailable, match=r"engine\.lock cannot be written: Is a directory"):
        await EdgeStore.open(settings_for(tmp_path))


async def test_a_shard_that_another_program_has_open_is_an_error(tmp_path: Path) -> None:
    """A program that does not know the lock, such as an earlier version of this one, may have a
    shard open.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.aclose()
    with start_python(HOLD_SHARD, str(tmp_path / "semantic" / "v1")) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "0\n"
        with pytest.raises(StoreInUse, match=r"another program.*--url"):
            await EdgeStore.open(settings_for(tmp_path))
        process.communicate()


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
    """If the engine cannot open a file, the error has the operating system's message with the
    file's name.
    """
    Layout(tmp_path).prepare("test-embedder", 8)
    (tmp_path / "episodic" / "v1" / "slots" / "ids.bin").mkdir(parents=True)
    with pytest.raises(Unavailable, match=r"Is a directory.*ids\.bin"):
        await EdgeStore.open(settings_for(tmp_path))


async def test_a_start_that_takes_too_long_is_an_error(tmp_path: Path) -> None:
    """The worker is ended, so that the store can be opened again at once."""
    with pytest.raises(Unavailable, match="did not start within 0 s"):
        await EdgeStore.open(settings_for(tmp_path, start_timeout_s=0.0))
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.aclose()
