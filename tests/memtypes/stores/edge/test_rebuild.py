"""Re-embedding of an embedded store: a rebuild is completed, or changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest

from memtypes.model.errors import EmbedderMismatch, InvalidRequest, Overloaded, StoreInUse
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.edge import EdgeStore
from memtypes.stores.edge.engine.engine import PAYLOAD_BATCH
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.rebuild import rebuild
from tests.builders import SCOPE, make_dense, make_memory, make_record, make_sparse
from tests.memtypes.stores.engines import ended, engine_of, settings_for, until

pytestmark = pytest.mark.anyio
OTHER = Scope("other", "shop")


async def embed_wider(texts: Sequence[InContext]) -> list[Vectors]:
    """Embed texts in twelve dimensions, as another embedder than the store's would."""
    return [Vectors(make_dense(crc32(text.text.encode()), 12), make_sparse([1])) for text in texts]


async def embed_equally(texts: Sequence[InContext]) -> list[Vectors]:
    """Embed every text as the same vector, in as many dimensions as the store already has."""
    return [Vectors(make_dense(5), make_sparse([1])) for _ in texts]


def facts(count: int, scope: Scope = SCOPE) -> list[Memory]:
    """Facts with the texts "fact 0", "fact 1", and so on."""
    return [make_memory(MemoryType.SEMANTIC, f"fact {number}", scope) for number in range(count)]


async def filled(directory: Path, count: int = 70) -> list[Memory]:
    """Create and close a store in `directory` with facts of two tenants; return those of the first
    tenant.
    """
    store = await EdgeStore.open(settings_for(directory))
    stored = facts(count)
    await store.upsert(SCOPE, [make_record(memory) for memory in stored])
    await store.upsert(OTHER, [make_record(memory) for memory in facts(3, OTHER)])
    pid = engine_of(directory).pid
    await store.aclose()
    await until(lambda: ended(pid))
    return stored


async def embed_full_batches(texts: Sequence[InContext]) -> list[Vectors]:
    """Embed full batches in twelve dimensions, and raise Overloaded for the last, incomplete
    batch.
    """
    if len(texts) < PAYLOAD_BATCH:
        raise Overloaded("the encoder is busy")
    return await embed_wider(texts)


async def test_reembedding_includes_every_tenant(tmp_path: Path) -> None:
    """A failed rebuild changes nothing; after a complete rebuild every memory of every tenant has
    new vectors.
    """
    stored = await filled(tmp_path)
    settings = settings_for(tmp_path, fingerprint="wider", dimensions=12)
    with pytest.raises(EmbedderMismatch, match="remembrancer reembed"):
        await EdgeStore.open(settings)
    with pytest.raises(Overloaded):
        await rebuild(settings, embed_full_batches, stop_engine=False)
    manifest = Layout(tmp_path).read_manifest()
    assert manifest is not None
    assert set(manifest.current.values()) == {"v1"}
    counts = await rebuild(settings, embed_wider, stop_engine=False)
    assert counts[MemoryType.SEMANTIC] == len(stored) + 3
    store = await EdgeStore.open(settings)
    assert await store.get(SCOPE, [memory.id for memory in stored]) == {
        memory.id: memory for memory in stored
    }
    vector = make_dense(crc32(stored[7].content.encode()), 12)
    candidates = await store.candidates(
        SCOPE, [CandidateSearch({MemoryType.SEMANTIC: None}, vector, None, 1)]
    )
    assert [memory.id for memory in candidates[0]] == [stored[7].id]
    assert (await store.stats(OTHER))[MemoryType.SEMANTIC].count == 3
    await store.aclose()
    with pytest.raises(EmbedderMismatch):
        await EdgeStore.open(settings_for(tmp_path))


async def test_a_store_in_use_is_not_rebuilt(tmp_path: Path) -> None:
    """A rebuild of a store in use is refused with an error that says to stop the service; the store
    still answers.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    with pytest.raises(StoreInUse, match="stop the service first"):
        await rebuild(settings_for(tmp_path), embed_equally, stop_engine=False)
    await store.ping()
    await store.aclose()


async def test_a_store_that_was_closed_just_now_is_rebuilt(tmp_path: Path) -> None:
    """A rebuild waits for the engine of a store to end, which lingers for a moment after its last
    client left.
    """
    store = await EdgeStore.open(replace(settings_for(tmp_path), linger_s=1.0))
    await store.upsert(SCOPE, [make_record(memory) for memory in facts(3)])
    await store.aclose()
    counts = await rebuild(
        replace(settings_for(tmp_path), linger_s=1.0), embed_equally, stop_engine=False
    )
    assert counts[MemoryType.SEMANTIC] == 3


async def test_a_running_service_continues_after_a_rebuild(tmp_path: Path) -> None:
    """Requests of a running service wait while a rebuild re-embeds its store, and no write is
    lost.
    """
    store = await EdgeStore.open(settings_for(tmp_path))
    stored = facts(100)
    await store.upsert(SCOPE, [make_record(memory) for memory in stored])
    async with asyncio.TaskGroup() as tasks:
        rebuilding = tasks.create_task(
            rebuild(settings_for(tmp_path), embed_equally, stop_engine=True)
        )
        reads = [tasks.create_task(store.get(SCOPE, [stored[3].id])) for _ in range(5)]
    assert rebuilding.result()[MemoryType.SEMANTIC] == 100
    assert all(task.result().keys() == {stored[3].id} for task in reads)
    await store.upsert(SCOPE, [make_record(make_memory(MemoryType.SEMANTIC, "a later fact"))])
    assert (await store.stats(SCOPE))[MemoryType.SEMANTIC].count == 101
    manifest = Layout(tmp_path).read_manifest()
    assert manifest is not None
    assert set(manifest.current.values()) == {"v2"}
    await store.aclose()


async def test_a_directory_without_a_store_is_not_rebuilt(tmp_path: Path) -> None:
    """A rebuild of a directory without a store raises an error that says so, and creates no
    collection.
    """
    with pytest.raises(InvalidRequest, match="is not a store"):
        await rebuild(settings_for(tmp_path), embed_equally, stop_engine=False)
    assert not (tmp_path / "semantic").exists()
