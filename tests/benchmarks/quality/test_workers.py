"""The cached store: the same answers with fewer questions to the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.workers import CachedStore
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import system_clock
from memtypes.model.types import DRAFT
from memtypes.ports.memory_store import CandidateSearch, Listing
from memtypes.search.candidates import Candidate, Candidates
from memtypes.stores.memory import InMemoryStore
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

pytestmark = pytest.mark.anyio

SCOPE = Scope("t", "n")


class Counting(InMemoryStore):
    """A store that counts reads and searches."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.searches = 0

    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """Record the ids."""
        self.read += ids
        return await super().get(scope, ids)

    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """Count the searches."""
        self.searches += len(searches)
        return await super().candidates(scope, searches)


@pytest.fixture
async def store() -> Counting:
    """A store with two facts."""
    store = Counting()
    ingestor = Ingestor(IngestorParts(store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), system_clock))
    texts = ("Copper conducts heat well", "The crane was painted yellow")
    drafts = [DRAFT.validate_python({"type": "semantic", "content": text}) for text in texts]
    await ingestor.write(SCOPE, drafts)
    store.read, store.searches = [], 0
    return store


async def _search(text: str, kind: MemoryType = MemoryType.SEMANTIC) -> CandidateSearch:
    return CandidateSearch(
        {kind: None}, (await FakeEmbedder().embed_query(text)).dense, FakeSparse().encode_query(text)
    )


def _ids(found: Sequence[Sequence[Candidate]]) -> list[list[tuple[str, float | None]]]:
    return [sorted((one.id, one.sparse) for one in each) for each in found]


async def test_a_search_is_made_once(store: Counting) -> None:
    """A repeated search is answered from the cache; a new one among known ones is made."""
    cached = CachedStore(store)
    first, second = await _search("copper"), await _search("crane", MemoryType.EPISODIC)
    expected = await InMemoryStore.candidates(store, SCOPE, [first, second])
    assert _ids(await cached.candidates(SCOPE, [first])) == _ids(expected[:1])
    assert _ids(await cached.candidates(SCOPE, [second, first, second])) == _ids([expected[1], *expected])
    assert store.searches == 2


async def test_searches_differ_in_every_part(store: Counting) -> None:
    """Scope, type, depth and every vector are part of the key."""
    cached = CachedStore(store)
    plain = await _search("copper")
    assert plain.dense is not None
    others = [
        replace(plain, depth=3),
        replace(plain, filters={MemoryType.EPISODIC: None}),
        replace(plain, dense=-plain.dense),
        replace(plain, dense=None),
        replace(plain, sparse=FakeSparse().encode_query("crane")),
        replace(plain, sparse=None),
        replace(plain, tokens=np.ones((2, 128), dtype=np.int8)),
    ]
    for search in (plain, *others):
        await cached.candidates(SCOPE, [search])
    await cached.candidates(Scope("t", "other"), [plain])
    assert store.searches == len(others) + 2


async def test_old_searches_leave_the_cache(store: Counting) -> None:
    """A search that was evicted is made again."""
    cached = CachedStore(store)
    plain = await _search("copper")
    for depth in range(100, 180):
        await cached.candidates(SCOPE, [replace(plain, depth=depth)])
    await cached.candidates(SCOPE, [replace(plain, depth=179)])
    assert store.searches == 80
    await cached.candidates(SCOPE, [replace(plain, depth=100)])
    assert store.searches == 81


async def test_a_memory_is_read_once(store: Counting) -> None:
    """The store is asked for unread ids only, given as list or mapping; unknown ids stay unknown."""
    cached = CachedStore(store)
    one, two = [memory.id for memory in (await cached.page(SCOPE, Listing())).memories]
    assert set(await cached.get(SCOPE, [one])) == {one}
    both = await cached.get(SCOPE, {two: MemoryType.SEMANTIC, one: MemoryType.SEMANTIC})
    assert both == await InMemoryStore.get(store, SCOPE, [two, one])
    assert store.read == [one, two]
    assert await cached.get(Scope("t", "other"), [one]) == {}


async def test_the_cache_is_read_only(store: Counting) -> None:
    """Reads of the store pass through; writes are refused."""
    cached = CachedStore(store)
    await cached.ping()
    assert (await cached.stats(SCOPE))[MemoryType.SEMANTIC].count == 2
    assert await cached.namespaces("t") == ["n"]
    await cached.aclose()
    for write in (cached.upsert(SCOPE, []), cached.patch(SCOPE, {}), cached.delete(SCOPE, [])):
        with pytest.raises(NotImplementedError):
            await write
    with pytest.raises(NotImplementedError):
        await cached.delete_where(SCOPE, [], None)
