"""Search for the neighbours of memories that are being written, which are similar memories in the
store or the call.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

import pytest

from ingest.writing.lookup import DEPTH, LookedUp, read_stored
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import Vectors
from tests.builders import DIMENSIONS, NOW, SCOPE, make_dense, make_memory, make_record
from tests.fakes_memories import InMemoryStore

pytestmark = pytest.mark.anyio

SEED = 7


Embedded: TypeAlias = tuple[Memory, Vectors]


def embedded(
    content: str, kind: MemoryType = MemoryType.SEMANTIC, seed: int = SEED, **fields: object
) -> Embedded:
    """A memory and its vectors. The dense vector depends on `seed` alone."""
    memory = make_memory(kind, content, **fields)
    return memory, make_record(memory, make_dense(seed)).vectors


async def neighbours_of(store: InMemoryStore, *arriving: Embedded) -> list[list[Memory]]:
    """The neighbours (similar memories) found for each memory in `arriving`, in order."""
    stored = await read_stored(store, SCOPE, [LookedUp(*entry) for entry in arriving], NOW)
    return [[neighbour.memory for neighbour in group] for group in stored.neighbours]


async def test_neighbours_are_of_the_same_type() -> None:
    """A memory of another type is not found as a neighbour, even if its vector is the same."""
    store = InMemoryStore(DIMENSIONS)
    stored = embedded("The tea is green.")
    await store.upsert(
        SCOPE,
        [
            Record.from_memory(*stored),
            Record.from_memory(*embedded("The tea is green.", MemoryType.PROCEDURAL)),
        ],
    )
    assert await neighbours_of(store, embedded("THE TEA IS GREEN.")) == [[stored[0]]]


async def test_private_memories_neither_have_nor_are_neighbours() -> None:
    """No search is made for a private memory's neighbours, and no search returns a private
    memory.
    """
    store = InMemoryStore(DIMENSIONS)
    private = embedded("Call Ann", session_id="s", visibility=Visibility.SESSION)
    await store.upsert(SCOPE, [Record.from_memory(*private)])
    assert await neighbours_of(store, embedded("call ann")) == [[]]
    assert await neighbours_of(store, private) == [[]]


async def test_replaced_values_of_a_fact_do_not_hide_its_current_value() -> None:
    """If replaced memories are among the nearest, the nearest current memories are returned as
    neighbours too.
    """
    store = InMemoryStore(DIMENSIONS)
    current = embedded("The port is 0", seed=8)
    replaced = [
        embedded(
            f"The port is {number}", valid_to=NOW - timedelta(days=1), superseded_by=current[0].id
        )
        for number in range(1, DEPTH + 2)
    ]
    await store.upsert(SCOPE, [Record.from_memory(*fact) for fact in (current, *replaced)])
    (neighbours,) = await neighbours_of(store, embedded("The port is 99"))
    assert len(neighbours) == DEPTH + 1
    assert neighbours[-1].id == current[0].id


async def test_less_similar_memories_are_neighbours_of_facts_only() -> None:
    """Among less similar memories, facts are neighbours of a fact, because they may contradict it.

    Memories of other types are neighbours only if they are so similar that they may be duplicates.
    """
    store = InMemoryStore(DIMENSIONS)
    far = embedded("The port is 1", seed=8)
    await store.upsert(
        SCOPE,
        [
            Record.from_memory(*far),
            Record.from_memory(*embedded("Press the key", MemoryType.PROCEDURAL, seed=8)),
        ],
    )
    facts, procedures = await neighbours_of(
        store, embedded("The port is 2"), embedded("press the key", MemoryType.PROCEDURAL)
    )
    assert (facts, procedures) == ([far[0]], [])


async def test_only_events_with_the_same_words_are_neighbours_of_an_event() -> None:
    """A slightly reworded event is found as a neighbour of an event. One that shares only a few
    words is not.
    """
    store = InMemoryStore(DIMENSIONS)
    terms = Bm25Encoder()

    def event(content: str) -> Embedded:
        return make_memory(MemoryType.EPISODIC, content), Vectors(
            make_dense(SEED), terms.encode_document(content)
        )

    same = event("We can't ship the new importer on Friday.")
    other = event("The old importer wrote the totals of Friday and Monday twice.")
    await store.upsert(SCOPE, [Record.from_memory(*same), Record.from_memory(*other)])
    assert await neighbours_of(store, event("we can not ship new importer on Friday")) == [
        [same[0]]
    ]
