"""Erasure removes the bytes of memories from the disk: shards are rewritten while the store is in use."""

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
from tests.memtypes.stores.engines import kill_engine, settings_for, until

pytestmark = pytest.mark.anyio

OTHER = Scope("other", "shop")


def facts(word: str, count: int, scope: Scope = SCOPE) -> list[Record]:
    """Facts whose texts contain `word`."""
    return [make_record(make_memory(MemoryType.SEMANTIC, f"{word} {number}", scope)) for number in range(count)]


def files_with(directory: Path, word: str) -> list[Path]:
    """The files of the shard with the facts that contain the bytes of `word`."""
    return [one for one in (directory / "semantic").rglob("*") if one.is_file() and word.encode() in one.read_bytes()]


async def same(texts: Sequence[InContext]) -> list[Vectors]:
    """Embed texts with as many dimensions as the store already has, in place of a model."""
    return [make_record(make_memory(MemoryType.SEMANTIC, text.text)).vectors for text in texts]


async def test_an_erasure_removes_bytes_from_the_disk(tmp_path: Path) -> None:
    """After an erasure no file contains a removed text; other memories keep their texts and vectors."""
    store = await EdgeStore.open(settings_for(tmp_path))
    theirs = facts("kept", COPY_BATCH + 5, OTHER)
    await store.upsert(SCOPE, facts("wiped", 3))
    await store.upsert(OTHER, theirs)
    search = CandidateSearch({MemoryType.SEMANTIC: None}, theirs[0].vectors.dense, theirs[0].vectors.sparse, depth=500)
    (before,) = await store.candidates(OTHER, [search])
    await store.delete_where(SCOPE, (), None)
    assert files_with(tmp_path, "wiped")
    files = EdgeFiles(store)
    assert await files.erase(SCOPE, None) == 1
    assert await files.remaining(SCOPE, None) == 0
    assert not files_with(tmp_path, "wiped")
    (after,) = await store.candidates(OTHER, [search])
    assert {one.id: (one.dense, one.sparse) for one in before} == {one.id: (one.dense, one.sparse) for one in after}
    assert {one.id for one in after} == {one.id for one in theirs}
    assert len(await store.get(OTHER, [one.id for one in theirs])) == len(theirs)
    await store.aclose()


async def test_shards_without_deleted_bytes_are_not_rewritten(tmp_path: Path) -> None:
    """An erasure that finds nothing to remove rewrites no shard, so every shard keeps its version number."""
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.upsert(SCOPE, facts("kept", 3))
    assert await EdgeFiles(store).erase(SCOPE, None) == 0
    assert set(Layout(tmp_path).require_manifest().current.values()) == {"v1"}
    await store.aclose()


async def test_writes_continue_during_a_rewrite(tmp_path: Path) -> None:
    """The rewritten shard has all memories that were written or changed during the rewrite, and none removed then."""
    store = await EdgeStore.open(settings_for(tmp_path))
    old = facts("kept", 6 * COPY_BATCH)
    await store.upsert(SCOPE, old)
    await store.upsert(OTHER, facts("wiped", 2, OTHER))
    await store.delete_where(OTHER, (), None)
    erasing = asyncio.create_task(EdgeFiles(store).erase(OTHER, None))
    new = facts("later", 40)
    for one, other in zip(new, old, strict=False):
        await store.upsert(SCOPE, [one])
        await store.patch(SCOPE, {other.id: {"importance": 9}})
    gone = [one.id for one in old[50:60]]
    await store.delete(SCOPE, gone)
    assert await erasing == 1
    ids = [one.id for one in (*old, *new)]
    found = await store.get(SCOPE, ids)
    assert set(found) == set(ids) - set(gone)
    assert all(found[one.id].importance == 9 for one in old[:40])
    await store.aclose()


async def test_a_kill_during_a_rewrite_loses_nothing(tmp_path: Path) -> None:
    """If the engine is killed during a rewrite, no memory is lost, and the next erasure removes the deleted bytes."""
    store = await EdgeStore.open(settings_for(tmp_path))
    kept = facts("kept", 20 * COPY_BATCH)
    await store.upsert(SCOPE, kept)
    await store.upsert(OTHER, facts("wiped", 2, OTHER))
    await store.delete_where(OTHER, (), None)
    await store.rewrite_shards(2**62)
    await until((tmp_path / "semantic" / "v2").exists)
    kill_engine(tmp_path)
    assert len(await store.get(SCOPE, [one.id for one in kept])) == len(kept)
    files = EdgeFiles(store)
    await files.erase(OTHER, None)
    assert await files.remaining(OTHER, None) == 0
    assert not files_with(tmp_path, "wiped")
    assert len(await store.get(SCOPE, [one.id for one in kept])) == len(kept)
    await store.aclose()


async def test_an_erasure_deletes_previous_versions(tmp_path: Path) -> None:
    """An erasure also deletes the old shards that a rebuild has left, because they contain removed texts."""
    store = await EdgeStore.open(settings_for(tmp_path))
    await store.upsert(SCOPE, facts("wiped", 2))
    await rebuild(settings_for(tmp_path), same, stop_engine=True)
    await store.delete_where(SCOPE, (), None)
    assert await EdgeFiles(store).erase(SCOPE, None) == len(COLLECTIONS)
    assert not files_with(tmp_path, "wiped")
    await store.aclose()
