"""A store that remembers answers as the store does, and asks it less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.remembered import RememberedStore
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
    """Counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.searches = 0

    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """Notes the ids."""
        self.read += ids
        return await super().get(scope, ids)

    async def candidates(self, scope: Scope, searches: Sequence[CandidateSearch]) -> list[Candidates]:
        """Notes how many there are."""
        self.searches += len(searches)
        return await super().candidates(scope, searches)


@pytest.fixture
async def store() -> Counting:
    """Two facts."""
    kept = Counting()
    ingestor = Ingestor(IngestorParts(kept, FakeEmbedder(), FakeSparse(), FakeTokenizer(), system_clock))
    texts = ("Copper conducts heat well", "The crane was painted yellow")
    drafts = [DRAFT.validate_python({"type": "semantic", "content": text}) for text in texts]
    await ingestor.write(SCOPE, drafts)
    kept.read, kept.searches = [], 0
    return kept


async def _search(text: str, kind: MemoryType = MemoryType.SEMANTIC) -> CandidateSearch:
    return CandidateSearch(
        {kind: None}, (await FakeEmbedder().embed_query(text)).dense, FakeSparse().encode_query(text)
    )


def _ids(found: Sequence[Sequence[Candidate]]) -> list[list[tuple[str, float | None]]]:
    return [sorted((one.id, one.sparse) for one in each) for each in found]


async def test_a_search_is_made_once(store: Counting) -> None:
    """The second time the answer is the same and the store is not asked; a new search among known ones is."""
    remembered = RememberedStore(store)
    first, second = await _search("copper"), await _search("crane", MemoryType.EPISODIC)
    expected = await InMemoryStore.candidates(store, SCOPE, [first, second])
    assert _ids(await remembered.candidates(SCOPE, [first])) == _ids(expected[:1])
    assert _ids(await remembered.candidates(SCOPE, [second, first, second])) == _ids([expected[1], *expected])
    assert store.searches == 2


async def test_what_differs_in_anything_is_another_search(store: Counting) -> None:
    """Scope, type, depth, filter and every vector tell searches apart."""
    remembered = RememberedStore(store)
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
        await remembered.candidates(SCOPE, [search])
    await remembered.candidates(Scope("t", "other"), [plain])
    assert store.searches == len(others) + 2


async def test_old_searches_are_forgotten(store: Counting) -> None:
    """What was asked long ago is asked again."""
    remembered = RememberedStore(store)
    plain = await _search("copper")
    for depth in range(100, 180):
        await remembered.candidates(SCOPE, [replace(plain, depth=depth)])
    await remembered.candidates(SCOPE, [replace(plain, depth=179)])
    assert store.searches == 80
    await remembered.candidates(SCOPE, [replace(plain, depth=100)])
    assert store.searches == 81


async def test_a_memory_is_read_once(store: Counting) -> None:
    """The store is asked for what was not read yet, in whatever form the ids come; unknown ids stay unknown."""
    remembered = RememberedStore(store)
    one, two = [memory.id for memory in (await remembered.page(SCOPE, Listing())).memories]
    assert set(await remembered.get(SCOPE, [one])) == {one}
    both = await remembered.get(SCOPE, {two: MemoryType.SEMANTIC, one: MemoryType.SEMANTIC})
    assert both == await InMemoryStore.get(store, SCOPE, [two, one])
    assert store.read == [one, two]
    assert await remembered.get(Scope("t", "other"), [one]) == {}


async def test_after_a_write_nothing_is_remembered(store: Counting) -> None:
    """A change shows at once."""
    remembered = RememberedStore(store)
    one, two = [memory.id for memory in (await remembered.page(SCOPE, Listing())).memories]
    await remembered.get(SCOPE, [one, two])
    await remembered.patch(SCOPE, {one: {"importance": 9}})
    assert (await remembered.get(SCOPE, [one]))[one].importance == 9
    assert await remembered.delete(SCOPE, [one]) == 1
    assert set(await remembered.get(SCOPE, [one, two])) == {two}
    assert await remembered.delete_where(SCOPE, [], None) == 1
    assert await remembered.get(SCOPE, [two]) == {}
    await remembered.upsert(SCOPE, [])
    await remembered.ping()
    await remembered.aclose()
    assert (await remembered.stats(SCOPE))[MemoryType.SEMANTIC].count == 0
