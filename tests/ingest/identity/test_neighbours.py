"""Finding stored memories near arriving ones."""

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
    """The neighbours of each arriving record."""
    neighbours = await find_neighbours(store, SCOPE, dict(enumerate(arriving)))
    return [[neighbour.memory for neighbour in neighbours.get(index, ())] for index in range(len(arriving))]


async def test_neighbours_are_of_the_same_type() -> None:
    """A memory of another type with the same vector is none."""
    store = InMemoryStore(DIMENSIONS)
    stored = record("The tea is green.")
    await store.upsert(SCOPE, [stored, record("The tea is green.", MemoryType.PROCEDURAL)])
    assert await near(store, record("THE TEA IS GREEN.")) == [[stored.memory]]


async def test_private_memories_have_no_neighbours_and_are_none() -> None:
    """They are neither searched for nor found."""
    store = InMemoryStore(DIMENSIONS)
    private = record("Call Ann", session_id="s", visibility=Visibility.SESSION)
    await store.upsert(SCOPE, [private])
    assert await near(store, record("call ann")) == [[]]
    assert await find_neighbours(store, SCOPE, {0: private}) == {}


async def test_facts_that_arrive_before_are_neighbours() -> None:
    """Also those that are not stored yet; later ones are not."""
    first, second = record("The port is 1"), record("The port is 2")
    assert await near(InMemoryStore(DIMENSIONS), first, second) == [[], [first.memory]]


async def test_distant_memories_are_neighbours_of_facts_only() -> None:
    """Facts may contradict each other from further away than duplicates are."""
    store = InMemoryStore(DIMENSIONS)
    far = record("The port is 1", seed=8)
    await store.upsert(SCOPE, [far, record("Press the key", MemoryType.PROCEDURAL, seed=8)])
    facts, procedures = await near(store, record("The port is 2"), record("press the key", MemoryType.PROCEDURAL))
    assert (facts, procedures) == ([far.memory], [])
