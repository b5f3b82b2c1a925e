"""Re-embedding of Qdrant collections, with a client in local mode: a rebuild is completed, or
changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from zlib import crc32

import pytest
from qdrant_client import AsyncQdrantClient

from memtypes.model.errors import EmbedderMismatch, InvalidRequest, Overloaded, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.qdrant.rebuild import BATCH, rebuild
from memtypes.stores.qdrant.store import LOCAL, QdrantSettings, QdrantStore
from retrieval.columns import COLUMNS
from tests.builders import DIMENSIONS, SCOPE, make_dense, make_memory, make_record, make_sparse

pytestmark = pytest.mark.anyio

OTHER = Scope("other", "shop")
OLD = QdrantSettings(LOCAL, "old", DIMENSIONS, COLUMNS, prefix="p")
WIDER = QdrantSettings(LOCAL, "wider", 12, COLUMNS, prefix="p")


@pytest.fixture
async def client() -> AsyncIterator[AsyncQdrantClient]:
    """An empty Qdrant client in local mode."""
    local = AsyncQdrantClient(LOCAL)
    yield local
    await local.close()


async def wider(texts: Sequence[InContext]) -> list[Vectors]:
    """Embed texts in twelve dimensions, as another embedder than the store's would."""
    return [Vectors(make_dense(crc32(text.text.encode()), 12), make_sparse([1])) for text in texts]


async def filled(client: AsyncQdrantClient) -> tuple[QdrantStore, list[Memory]]:
    """A store with facts of two tenants, and the list of the first tenant's facts."""
    store = QdrantStore(OLD, client)
    await store.prepare()
    stored = [make_memory(MemoryType.SEMANTIC, f"fact {number}") for number in range(BATCH + 6)]
    await store.upsert(SCOPE, [make_record(memory) for memory in stored])
    await store.upsert(OTHER, [make_record(make_memory(MemoryType.EPISODIC, "theirs", OTHER))])
    return store, stored


async def test_a_rebuild_gives_every_memory_a_new_vector(client: AsyncQdrantClient) -> None:
    """After a rebuild, the memories of every tenant have new vectors, in new collections.

    Preparing the store with the old embedder raises EmbedderMismatch. The old collections still
    exist.
    """
    _, stored = await filled(client)
    counts = await rebuild(WIDER, wider, client)
    assert (counts[MemoryType.SEMANTIC], counts[MemoryType.EPISODIC]) == (len(stored), 1)
    store = QdrantStore(WIDER, client)
    await store.prepare()
    assert await store.get(SCOPE, [memory.id for memory in stored]) == {
        memory.id: memory for memory in stored
    }
    vector = make_dense(crc32(stored[7].content.encode()), 12)
    (hits,) = await store.candidates(
        SCOPE, [CandidateSearch({MemoryType.SEMANTIC: None}, vector, None, 1)]
    )
    assert [memory.id for memory in hits] == [stored[7].id]
    with pytest.raises(EmbedderMismatch):
        await QdrantStore(OLD, client).prepare()
    assert await client.collection_exists("p_semantic_v1")
    assert (await rebuild(WIDER, wider, client))[MemoryType.SEMANTIC] == len(stored)
    assert await client.collection_exists("p_semantic_v3")


async def test_a_failed_rebuild_changes_nothing(client: AsyncQdrantClient) -> None:
    """After a failed rebuild the store still answers. The next rebuild starts again with the first
    memory.
    """

    async def failing(texts: Sequence[InContext]) -> list[Vectors]:
        if len(texts) < BATCH:
            raise Overloaded("the encoder is busy")
        return await wider(texts)

    store, stored = await filled(client)
    with pytest.raises(Overloaded):
        await rebuild(WIDER, failing, client)
    await store.prepare()
    assert len(await store.get(SCOPE, [memory.id for memory in stored])) == len(stored)
    assert (await rebuild(WIDER, wider, client))[MemoryType.SEMANTIC] == len(stored)


async def test_changes_during_a_rebuild_are_copied(client: AsyncQdrantClient) -> None:
    """Memories that are written, removed or patched during a rebuild have the same state in the new
    collections.
    """
    store, stored = await filled(client)
    late = make_memory(MemoryType.SEMANTIC, "a late fact")
    batch_sizes: list[int] = []

    async def writing(texts: Sequence[InContext]) -> list[Vectors]:
        if len(texts) == BATCH and not batch_sizes:
            batch_sizes.append(len(texts))
            await store.upsert(SCOPE, [make_record(late)])
            await store.delete(SCOPE, [stored[0].id])
            await store.patch(SCOPE, {stored[1].id: {"access_count": 9}})
        return await wider(texts)

    counts = await rebuild(WIDER, writing, client)
    assert counts[MemoryType.SEMANTIC] == len(stored)
    moved = QdrantStore(WIDER, client)
    memories = await moved.get(SCOPE, [late.id, stored[0].id, stored[1].id])
    assert set(memories) == {late.id, stored[1].id}
    assert memories[stored[1].id].access_count == 9


async def test_a_rebuild_gives_up_while_the_store_is_written_to(client: AsyncQdrantClient) -> None:
    """If writes to the store never pause, the rebuild fails with an error that says to stop every
    service.
    """
    store, _ = await filled(client)
    written: list[str] = []

    async def busy(texts: Sequence[InContext]) -> list[Vectors]:
        written.append(f"fact {len(written)} of many")
        await store.upsert(SCOPE, [make_record(make_memory(MemoryType.SEMANTIC, written[-1]))])
        return await wider(texts)

    with pytest.raises(Unavailable, match="stop every service"):
        await rebuild(WIDER, busy, client)
    await store.prepare()


async def test_a_rebuild_needs_existing_collections(client: AsyncQdrantClient) -> None:
    """A rebuild without collections raises an error that names the first missing collection."""
    with pytest.raises(InvalidRequest, match="p_episodic"):
        await rebuild(WIDER, wider, client)
