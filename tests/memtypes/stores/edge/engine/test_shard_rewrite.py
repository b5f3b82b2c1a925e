"""Erasure removes the bytes of memories from the disk: shards are rewritten while the store is in
use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Record
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.edge import EdgeFiles, EdgeStore
from memtypes.stores.edge.engine.shard import COPY_BATCH
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.rebuild import rebuild
from memtypes.stores.operations.schema import COLLECTIONS
from tests.builders import SCOPE, make_memory, make_record
from tests.memtypes.stores.engines import kill_worker, settings_for, until

pytestmark = pytest.mark.anyio

OTHER = Scope("other", "shop")


def facts(word: str, count: int, scope: Scope = SCOPE) -> list[Record]:
    """Facts whose texts contain `word`."""
    return [
        make_record(make_memory(MemoryType.SEMANTIC, f"{word} {number}", scope))
        for number in range(count)
    ]


def files_with(directory: Path, word: str) -> list[Path]:
    """The files of the shard with the facts that contain the bytes of `word`."""
    return [
        path
        for path in (directory / "semantic").rglob("*")
        if path.is_file() and word.encode() in path.read_bytes()
    ]


async def embed_again(texts: Sequence[InContext]) -> list[Vectors]:
    """Embed texts with as many dimensions as the store already has, in place of a model."""
    return [make_record(make_memory(MemoryType.SEMANTIC, text.text)).vectors for text in texts]


async def test_an_erasure_removes_bytes_from_the_disk(tmp_path: Path) -> None:
    """After an erasure no file contains a removed text; other memories keep their texts and
    vectors.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    kept_records = facts("kept", COPY_BATCH + 5, OTHER)
    await store.upsert(SCOPE, facts("wiped", 3))
    await store.upsert(OTHER, kept_records)
    search = CandidateSearch(
        {MemoryType.SEMANTIC: None},
        kept_records[0].vectors.dense,
        kept_records[0].vectors.sparse,
        depth=500,
    )
    (before,) = await store.candidates(OTHER, [search])
    await store.delete_where(SCOPE, (), None)
    assert files_with(tmp_path, "wiped")
    files = EdgeFiles(store)
    assert await files.erase(SCOPE, None) == 1
    assert await files.remaining(SCOPE, None) == 0
    assert not files_with(tmp_path, "wiped")
    (after,) = await store.candidates(OTHER, [search])
    assert {hit.id: (hit.dense, hit.sparse) for hit in before} == {
        hit.id: (hit.dense, hit.sparse) for hit in after
    }
    assert {hit.id for hit in after} == {record.id for record in kept_records}
    assert len(await store.get(OTHER, [record.id for record in kept_records])) == len(kept_records)
    await store.aclose()


async def test_shards_without_deleted_bytes_are_not_rewritten(tmp_path: Path) -> None:
    """An erasure that finds nothing to remove rewrites no shard, so every shard keeps its version
    number.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.upsert(SCOPE, facts("kept", 3))
    assert await EdgeFiles(store).erase(SCOPE, None) == 0
    assert set(Layout(tmp_path).require_manifest().current.values()) == {"v1"}
    await store.aclose()


async def test_writes_continue_during_a_rewrite(tmp_path: Path) -> None:
    """The rewritten shard has all memories that were written or changed during the rewrite, and
    none removed then.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    old = facts("kept", 6 * COPY_BATCH)
    await store.upsert(SCOPE, old)
    await store.upsert(OTHER, facts("wiped", 2, OTHER))
    await store.delete_where(OTHER, (), None)
    erasing = asyncio.create_task(EdgeFiles(store).erase(OTHER, None))
    new = facts("later", 40)
    for record, patched in zip(new, old, strict=False):
        await store.upsert(SCOPE, [record])
        await store.patch(SCOPE, {patched.id: {"importance": 9}})
    removed = [record.id for record in old[50:60]]
    await store.delete(SCOPE, removed)
    assert await erasing == 1
    ids = [record.id for record in (*old, *new)]
    memories = await store.get(SCOPE, ids)
    assert set(memories) == set(ids) - set(removed)
    assert all(memories[record.id].importance == 9 for record in old[:40])
    await store.aclose()


async def test_a_kill_during_a_rewrite_loses_nothing(tmp_path: Path) -> None:
    """If the engine is killed during a rewrite, no memory is lost, and the next erasure removes the
    deleted bytes.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    records = facts("kept", 20 * COPY_BATCH)
    await store.upsert(SCOPE, records)
    await store.upsert(OTHER, facts("wiped", 2, OTHER))
    await store.delete_where(OTHER, (), None)
    await store.rewrite_shards(2**62)
    await until((tmp_path / "semantic" / "v2").exists)
    await kill_worker(tmp_path)
    assert len(await store.get(SCOPE, [record.id for record in records])) == len(records)
    files = EdgeFiles(store)
    await files.erase(OTHER, None)
    assert await files.remaining(OTHER, None) == 0
    assert not files_with(tmp_path, "wiped")
    assert len(await store.get(SCOPE, [record.id for record in records])) == len(records)
    await store.aclose()


async def test_an_erasure_deletes_previous_versions(tmp_path: Path) -> None:
    """An erasure also deletes the old shards that a rebuild has left, because they contain removed
    texts.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.upsert(SCOPE, facts("wiped", 2))
    await store.rebuild(lambda: rebuild(settings_for(tmp_path), embed_again))
    await store.delete_where(SCOPE, (), None)
    assert await EdgeFiles(store).erase(SCOPE, None) == len(COLLECTIONS)
    assert not files_with(tmp_path, "wiped")
    await store.aclose()
