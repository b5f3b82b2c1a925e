"""Re-embedding of an embedded store: a rebuild is completed, or changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import pytest

from memtypes.model.errors import (
    EmbedderMismatch,
    InvalidRequest,
    Overloaded,
    StoreInUse,
    Unavailable,
)
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.edge import EdgeStore
from memtypes.stores.edge.engine.edge_engine import PAYLOAD_BATCH
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.rebuild import rebuild
from tests.builders import SCOPE, make_dense, make_memory, make_record, make_sparse
from tests.memtypes.stores.engines import settings_for

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
    await store.aclose()
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
        await rebuild(settings, embed_full_batches)
    manifest = Layout(tmp_path).read_manifest()
    assert manifest is not None
    assert set(manifest.current.values()) == {"v1"}
    counts = await rebuild(settings, embed_wider)
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
        await rebuild(settings_for(tmp_path, lock_wait_s=0.0), embed_equally)
    await store.ping()
    await store.aclose()


async def test_calls_during_a_rebuild_are_refused_and_continue_after_it(tmp_path: Path) -> None:
    """The error says when to try again. No write is lost."""
    store = await EdgeStore.open(settings_for(tmp_path))
    stored = facts(100)
    await store.upsert(SCOPE, [make_record(memory) for memory in stored])
    refused: list[Unavailable] = []

    async def embed_and_read(texts: Sequence[InContext]) -> list[Vectors]:
        with pytest.raises(Unavailable, match="is being re-embedded") as caught:
            await store.get(SCOPE, [stored[3].id])
        refused.append(caught.value)
        return await embed_equally(texts)

    counts = await store.rebuild(lambda: rebuild(settings_for(tmp_path), embed_and_read))
    assert counts[MemoryType.SEMANTIC] == 100
    assert refused[0].retry_after_s == 5
    assert set(await store.get(SCOPE, [stored[3].id])) == {stored[3].id}
    await store.upsert(SCOPE, [make_record(make_memory(MemoryType.SEMANTIC, "a later fact"))])
    assert (await store.stats(SCOPE))[MemoryType.SEMANTIC].count == 101
    assert set(Layout(tmp_path).require_manifest().current.values()) == {"v2"}
    await store.aclose()


async def test_a_store_is_open_again_after_a_failed_rebuild(tmp_path: Path) -> None:
    store = await EdgeStore.open(settings_for(tmp_path))
    stored = facts(3)
    await store.upsert(SCOPE, [make_record(memory) for memory in stored])
    with pytest.raises(Overloaded):
        await store.rebuild(lambda: rebuild(settings_for(tmp_path), embed_full_batches))
    assert len(await store.get(SCOPE, [memory.id for memory in stored])) == 3
    assert set(Layout(tmp_path).require_manifest().current.values()) == {"v1"}
    await store.aclose()


async def test_a_directory_without_a_store_is_not_rebuilt(tmp_path: Path) -> None:
    """A rebuild of a directory without a store raises an error that says so, and creates no
    collection.
    """
    with pytest.raises(InvalidRequest, match="is not a store"):
        await rebuild(settings_for(tmp_path), embed_equally)
    assert not (tmp_path / "semantic").exists()
