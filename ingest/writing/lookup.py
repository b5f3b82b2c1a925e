"""Reads, in one request, what a namespace has that concerns memories about to be written.

Similar memories are looked for once: repetitions and contradictions are both found among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.identity.duplicates import is_public
from ingest.identity.stored import Neighbour, Stored
from memtypes.model.memory import Memory
from memtypes.model.policy import POLICIES, MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore, RelatedSearch, SimilarSearch
from memtypes.search.vectors import Vectors

DEPTH = 8
"""Number of nearest neighbours to read per memory: enough to include a statement that differs in
one value.
"""

SHARED_TERMS = 0.5
"""Minimum share of an event's terms that its neighbours must contain.

Rewordings of the event contain a larger share. Reading events that contain less would cost more
than the search.
"""

_ANY_COSINE = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class LookedUp:
    """A memory to look up. vectors: to search similar ones; None to search none."""

    memory: Memory
    vectors: Vectors | None


async def read_stored(
    store: MemoryStore,
    scope: Scope,
    arriving: Sequence[LookedUp],
    now: datetime,
    ids: Mapping[str, MemoryType] | None = None,
) -> Stored:
    """What the store has of the `arriving` memories: the memories with their ids, similar ones,
    tasks with the same text, and what these link to.

    ids: further memories to read. Neighbours have the states that they have at `now`. Raises the
    errors of the store.
    """
    searches = [
        (position, search) for position, entry in enumerate(arriving) for search in _searches(entry)
    ]
    tasks = [entry.memory.content_hash for entry in arriving if _is_searched_task(entry)]
    request = RelatedSearch(
        now,
        {**(ids or {}), **{entry.memory.id: entry.memory.type for entry in arriving}},
        [search for _, search in searches],
        tasks,
    )
    related = await store.related(scope, request)

    cosines: list[dict[str, float | None]] = [{} for _ in arriving]
    for (position, _), hits in zip(searches, related.similar, strict=True):
        cosines[position].update(hits)
    # Due times make the vectors of tasks with the same text differ.
    for position, entry in enumerate(arriving):
        if _is_searched_task(entry):
            for task in _same_tasks(entry.memory, related.memories.values()):
                cosines[position].setdefault(task.id, None)
    neighbours = [
        [
            Neighbour(related.memories[near_id].at(now), cosine)
            for near_id, cosine in by_id.items()
            if near_id in related.memories
        ]
        for by_id in cosines
    ]
    return Stored(related.memories, related.absent, neighbours)


def _is_searched_task(entry: LookedUp) -> bool:
    return (
        entry.vectors is not None
        and entry.memory.type is MemoryType.PROSPECTIVE
        and is_public(entry.memory)
    )


def _same_tasks(task: Memory, memories: Iterable[Memory]) -> list[Memory]:
    return [
        memory
        for memory in memories
        if memory.type is MemoryType.PROSPECTIVE
        and memory.content_hash == task.content_hash
        and is_public(memory)
    ]


def _searches(entry: LookedUp) -> list[SimilarSearch]:
    """The searches for memories that are similar to a public memory.

    For facts there is no minimum cosine, because facts that contradict each other may be less
    similar than repetitions. Events are compared with events by their words only: an event written
    again may have another dense vector, because that depends on its day, and that of a conversation
    turn on the turns before it.
    """
    memory = entry.memory
    if entry.vectors is None or not is_public(memory):
        return []
    dense = entry.vectors.dense
    if memory.type is MemoryType.EPISODIC:
        return [SimilarSearch(memory.type, entry.vectors.sparse, SHARED_TERMS, DEPTH)]
    if memory.type is MemoryType.SEMANTIC:
        return [SimilarSearch(memory.type, dense, _ANY_COSINE, DEPTH)]
    return [SimilarSearch(memory.type, dense, POLICIES[memory.type].repetition_cosine, DEPTH)]
