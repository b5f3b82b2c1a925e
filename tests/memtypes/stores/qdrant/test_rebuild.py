"""The next version of a server's collections, on the client's local mode: complete, or not there at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from qdrant_client import AsyncQdrantClient

from memtypes.model.errors import EmbedderMismatch, InvalidRequest, Overloaded, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.qdrant.rebuild import PIECE, rebuild
from memtypes.stores.qdrant.store import LOCAL, QdrantSettings, QdrantStore
from tests.builders import DIMENSIONS, SCOPE, make_dense, make_memory, make_record, make_sparse

pytestmark = pytest.mark.anyio

OTHER = Scope("other", "shop")
OLD = QdrantSettings(LOCAL, "old", DIMENSIONS, prefix="p")
WIDER = QdrantSettings(LOCAL, "wider", 12, prefix="p")


@pytest.fixture
async def client() -> AsyncIterator[AsyncQdrantClient]:
    """A server of one's own, in this process."""
    made = AsyncQdrantClient(LOCAL)
    yield made
    await made.close()


async def wider(memories: Sequence[Memory], _given: Sequence[InContext]) -> list[Vectors]:
    """Vectors of twelve dimensions: another embedder's."""
    return [Vectors(make_dense(int(one.id[:8], 16), 12), make_sparse([1])) for one in memories]


async def filled(client: AsyncQdrantClient) -> tuple[QdrantStore, list[Memory]]:
    """A store with facts of two tenants, and those of the first."""
    store = QdrantStore(OLD, client)
    await store.prepare()
    kept = [make_memory(MemoryType.SEMANTIC, f"fact {number}") for number in range(PIECE + 6)]
    await store.upsert(SCOPE, [make_record(one) for one in kept])
    await store.upsert(OTHER, [make_record(make_memory(MemoryType.EPISODIC, "theirs", OTHER))])
    return store, kept


async def test_every_memory_is_in_the_next_version(client: AsyncQdrantClient) -> None:
    """All with new vectors, of every tenant; the old embedder is out, and the collections before are still there."""
    _, kept = await filled(client)
    counts = await rebuild(WIDER, wider, client)
    assert (counts[MemoryType.SEMANTIC], counts[MemoryType.EPISODIC]) == (len(kept), 1)
    store = QdrantStore(WIDER, client)
    await store.prepare()
    assert await store.get(SCOPE, [one.id for one in kept]) == {one.id: one for one in kept}
    vector = make_dense(int(kept[7].id[:8], 16), 12)
    (found,) = await store.candidates(SCOPE, [CandidateSearch({MemoryType.SEMANTIC: None}, vector, None, 1)])
    assert [one.id for one in found] == [kept[7].id]
    with pytest.raises(EmbedderMismatch):
        await QdrantStore(OLD, client).prepare()
    assert await client.collection_exists("p_semantic_v1")
    assert (await rebuild(WIDER, wider, client))[MemoryType.SEMANTIC] == len(kept)
    assert await client.collection_exists("p_semantic_v3")


async def test_a_failed_rebuild_changes_nothing(client: AsyncQdrantClient) -> None:
    """The store answers as before, and the next rebuild starts from the beginning."""

    async def failing(memories: Sequence[Memory], given: Sequence[InContext]) -> list[Vectors]:
        if len(memories) < PIECE:
            raise Overloaded("the encoder is busy")
        return await wider(memories, given)

    store, kept = await filled(client)
    with pytest.raises(Overloaded):
        await rebuild(WIDER, failing, client)
    await store.prepare()
    assert len(await store.get(SCOPE, [one.id for one in kept])) == len(kept)
    assert (await rebuild(WIDER, wider, client))[MemoryType.SEMANTIC] == len(kept)


async def test_changes_during_a_rebuild_are_copied(client: AsyncQdrantClient) -> None:
    """A memory that is written, one that is removed and one that is used while others are embedded."""
    store, kept = await filled(client)
    late = make_memory(MemoryType.SEMANTIC, "a late fact")
    seen: list[int] = []

    async def meddling(memories: Sequence[Memory], given: Sequence[InContext]) -> list[Vectors]:
        if len(memories) == PIECE and not seen:
            seen.append(len(memories))
            await store.upsert(SCOPE, [make_record(late)])
            await store.delete(SCOPE, [kept[0].id])
            await store.patch(SCOPE, {kept[1].id: {"access_count": 9}})
        return await wider(memories, given)

    counts = await rebuild(WIDER, meddling, client)
    assert counts[MemoryType.SEMANTIC] == len(kept)
    moved = QdrantStore(WIDER, client)
    found = await moved.get(SCOPE, [late.id, kept[0].id, kept[1].id])
    assert set(found) == {late.id, kept[1].id}
    assert found[kept[1].id].access_count == 9


async def test_a_rebuild_gives_up_while_the_store_is_written_to(client: AsyncQdrantClient) -> None:
    """The rebuild gives up and says what to do."""
    store, _ = await filled(client)
    written: list[str] = []

    async def busy(memories: Sequence[Memory], given: Sequence[InContext]) -> list[Vectors]:
        written.append(f"fact {len(written)} of many")
        await store.upsert(SCOPE, [make_record(make_memory(MemoryType.SEMANTIC, written[-1]))])
        return await wider(memories, given)

    with pytest.raises(Unavailable, match="stop every service"):
        await rebuild(WIDER, busy, client)
    await store.prepare()


async def test_a_rebuild_needs_existing_collections(client: AsyncQdrantClient) -> None:
    """The error names the first missing collection."""
    with pytest.raises(InvalidRequest, match="p_episodic"):
        await rebuild(WIDER, wider, client)
