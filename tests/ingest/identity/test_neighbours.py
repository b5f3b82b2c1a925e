"""Search for stored memories similar to arriving ones."""

from __future__ import annotations

import pytest

from ingest.identity.neighbours import find_neighbours
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.ports.memory_store import Record
from tests.builders import DIMENSIONS, SCOPE, make_dense, make_memory, make_record
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

SEED = 7


def record(content: str, kind: MemoryType = MemoryType.SEMANTIC, seed: int = SEED, **fields: object) -> Record:
    """A record whose vector depends on `seed` alone."""
    return make_record(make_memory(kind, content, **fields), make_dense(seed))


async def near(store: InMemoryStore, *arriving: Record) -> list[list[Memory]]:
    """Ids of the neighbours found for each arriving record."""
    neighbours = await find_neighbours(store, SCOPE, dict(enumerate(arriving)))
    return [[neighbour.memory for neighbour in neighbours.get(index, ())] for index in range(len(arriving))]


async def test_neighbours_are_of_the_same_type() -> None:
    """A memory of another type is no neighbour, even with the same vector."""
    store = InMemoryStore(DIMENSIONS)
    stored = record("The tea is green.")
    await store.upsert(SCOPE, [stored, record("The tea is green.", MemoryType.PROCEDURAL)])
    assert await near(store, record("THE TEA IS GREEN.")) == [[stored.memory]]


async def test_private_memories_neither_have_nor_are_neighbours() -> None:
    """No search is made for them, and no search returns them."""
    store = InMemoryStore(DIMENSIONS)
    private = record("Call Ann", session_id="s", visibility=Visibility.SESSION)
    await store.upsert(SCOPE, [private])
    assert await near(store, record("call ann")) == [[]]
    assert await find_neighbours(store, SCOPE, {0: private}) == {}


async def test_facts_that_arrive_earlier_in_a_call_are_neighbours() -> None:
    """Earlier facts of the same call are neighbours before they are stored; later ones are not."""
    first, second = record("The port is 1"), record("The port is 2")
    assert await near(InMemoryStore(DIMENSIONS), first, second) == [[], [first.memory]]


async def test_distant_memories_are_neighbours_of_facts_only() -> None:
    """The search radius for contradictions, which only facts have, is wider than that for duplicates."""
    store = InMemoryStore(DIMENSIONS)
    far = record("The port is 1", seed=8)
    await store.upsert(SCOPE, [far, record("Press the key", MemoryType.PROCEDURAL, seed=8)])
    facts, procedures = await near(store, record("The port is 2"), record("press the key", MemoryType.PROCEDURAL))
    assert (facts, procedures) == ([far.memory], [])
