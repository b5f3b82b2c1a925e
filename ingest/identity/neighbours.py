"""Finds stored memories similar to those about to be written, with one search and one look-up for a
whole list.

Duplicates and contradictions are both looked for among these neighbours, so a write needs one
search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np

from ingest.identity.judgement import tells_change
from memtypes.model.filters import Compare, Filter, Not, Op, all_of, in_view
from memtypes.model.memory import Memory
from memtypes.model.policy import POLICIES, MemoryType, Visibility
from memtypes.model.prospective import OPEN, Prospective, Status
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore
from memtypes.search.candidates import Candidates
from memtypes.search.columns import TERMS, ColumnKind, ColumnKinds
from memtypes.search.vectors import Vectors, heaviest, term_column

DEPTH = 8
"""Number of nearest neighbours to fetch per memory: enough to include a statement that differs in
one value.
"""

COLUMNS: ColumnKinds = {TERMS: ColumnKind.TERMS}
"""The payload fields that are read of each hit of a search for neighbours."""

_PAGE = 500

SHARED_TERMS = 0.5
"""Minimum share of an event's terms that its neighbours must contain.

Rewordings of the event contain a larger share. Reading events that contain less would cost more
than the search.
"""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A memory similar to one that is being written. cosine: similarity of their vectors; None if
    it is not known.
    """

    memory: Memory
    cosine: float | None


Arriving: TypeAlias = Mapping[int, tuple[Memory, Vectors]]
"""Memories about to be written, each with its vectors, by index in the list of writes."""

Neighbours: TypeAlias = Mapping[int, Sequence[Neighbour]]
"""Neighbours of each arriving memory, by its index. Memories private to a session are not searched:
no entry.
"""


def is_public(memory: Memory) -> bool:
    """Whether the whole namespace sees `memory`. Memories private to a session are not compared
    with others.
    """
    return memory.visibility is Visibility.NAMESPACE


async def find_neighbours(
    store: MemoryStore, scope: Scope, arriving: Arriving, now: datetime
) -> Neighbours:
    """The stored memories of the same type that are similar to each memory of `arriving`, by its
    index.

    They have the states that they have at `now`. For a fact there is no minimum cosine, because
    facts that contradict each other may be less similar than duplicates, and facts earlier in
    `arriving` are included. For an event that reports a change, facts are included, too. Raises the
    errors of the store.
    """
    searched = {
        index: (memory, vectors)
        for index, (memory, vectors) in arriving.items()
        if is_public(memory)
    }
    if not searched:
        return {}
    neighbours = await _nearest(store, scope, searched, now)
    full = [index for index, group in neighbours.items() if len(group) >= DEPTH]
    crowded = {
        index: searched[index]
        for index in full
        if any(_is_past(near.memory) for near in neighbours[index])
    }
    # Earlier values of a fact, or ended tasks, may have kept the current one out of the search's
    # results
    if crowded:
        current = all_of(
            in_view(now), Not(Compare("status", Op.ANY, (Status.COMPLETED, Status.CANCELLED)))
        )
        for index, group in (await _nearest(store, scope, crowded, now, current)).items():
            ids = {near.memory.id for near in neighbours[index]}
            neighbours[index] += [near for near in group if near.memory.id not in ids]
    for index, tasks in (await _same_tasks(store, scope, searched, now)).items():
        ids = {near.memory.id for near in neighbours[index]}
        neighbours[index] += [Neighbour(task, None) for task in tasks if task.id not in ids]
    for index, facts in _earlier_facts(searched).items():
        neighbours[index] += facts
    return {
        index: [near for near in group if is_public(near.memory)]
        for index, group in neighbours.items()
    }


def _is_past(memory: Memory) -> bool:
    return memory.superseded_by is not None or (
        isinstance(memory, Prospective) and memory.status not in OPEN
    )


async def _same_tasks(
    store: MemoryStore, scope: Scope, searched: Arriving, now: datetime
) -> dict[int, list[Memory]]:
    """The stored tasks with the same text as each task of `searched`, by its index; due times make
    vectors differ.
    """
    tasks = {
        index: memory
        for index, (memory, _) in searched.items()
        if memory.type is MemoryType.PROSPECTIVE
    }
    hashes = {index: task.content_hash for index, task in tasks.items()}
    if not hashes:
        return {}
    has_text = Compare("content_hash", Op.ANY, tuple(sorted(set(hashes.values()))))
    listing = Listing((MemoryType.PROSPECTIVE,), has_text, _PAGE)
    stored = [task.at(now) async for task in store.list_all(scope, listing)]
    return {
        index: [task for task in stored if task.content_hash == text]
        for index, text in hashes.items()
    }


async def _nearest(
    store: MemoryStore, scope: Scope, searched: Arriving, now: datetime, where: Filter | None = None
) -> dict[int, list[Neighbour]]:
    """The stored memories nearest to each memory of `searched`, by its index. where: filter for
    stored memories.
    """
    searches = [
        (index, search) for index in searched for search in _searches(*searched[index], where)
    ]
    candidates = await store.candidates(scope, [search for _, search in searches])
    cosines: dict[int, dict[str, float | None]] = {index: {} for index in searched}
    types: dict[str, MemoryType] = {}
    for (index, search), hits in zip(searches, candidates, strict=True):
        [kind] = search.filters
        similar = (
            _cosines(kind, hits) if search.sparse is None else _same_words(searched[index][1], hits)
        )
        cosines[index] |= similar
        types |= dict.fromkeys(similar, kind)
    stored = await store.get(scope, types)
    return {
        index: [
            Neighbour(stored[near_id].at(now), cosine)
            for near_id, cosine in by_id.items()
            if near_id in stored
        ]
        for index, by_id in cosines.items()
    }


def _searches(memory: Memory, vectors: Vectors, where: Filter | None) -> list[CandidateSearch]:
    """The searches for stored memories that are similar to `memory`. where: filter for stored
    memories.

    Events are searched by their words only. An event written again may have another dense vector,
    because the vector of an event depends on its day, and that of a conversation turn on the turns
    before it.
    """
    kind = MemoryType.SEMANTIC if memory.type is MemoryType.EPISODIC else memory.type
    by_vector = CandidateSearch({kind: where}, vectors.dense, None, DEPTH, columns=False)
    by_words = CandidateSearch({memory.type: where}, None, vectors.sparse, DEPTH)
    return (
        [by_vector]
        if kind is memory.type
        else [by_words, *([by_vector] if _is_compared(memory) else [])]
    )


def _is_compared(memory: Memory) -> bool:
    """Whether `memory` is compared with facts: it is a fact itself, or an event that reports a
    change.
    """
    return memory.type is MemoryType.SEMANTIC or (
        memory.type is MemoryType.EPISODIC and tells_change(memory.content)
    )


def _same_words(vectors: Vectors, hits: Candidates) -> dict[str, float | None]:
    """The hits that contain at least the share SHARED_TERMS of an event's heaviest terms, as
    {memory id: None}.

    None stands for the cosine, because events are compared by words. vectors: of the event.
    """
    [terms] = term_column([heaviest(vectors.sparse)])
    shared = np.isin(hits.columns.column(TERMS), terms[terms > 0]).sum(axis=1)
    return {
        hit.decode(): None for hit in hits.ids[shared >= SHARED_TERMS * (terms > 0).sum()].tolist()
    }


def _cosines(kind: MemoryType, hits: Candidates) -> dict[str, float | None]:
    """Cosine of each search hit by memory id. Hits below the minimum cosine of the type are left
    out, except facts.
    """
    if hits.dense is None:
        return {}
    minimum = -np.inf if kind is MemoryType.SEMANTIC else POLICIES[kind].repetition_cosine
    # NaN, which stands for no cosine, compares as false
    rows = np.flatnonzero(hits.dense >= minimum)
    return {hits.ids[row].decode(): float(hits.dense[row]) for row in rows}


def _earlier_facts(arriving: Arriving) -> dict[int, list[Neighbour]]:
    """For each memory in `arriving` that is compared with facts, by its index: the most similar
    facts before it.
    """
    compared = [index for index, (memory, _) in arriving.items() if _is_compared(memory)]
    if not compared:
        return {}
    matrix = np.vstack([arriving[index][1].dense for index in compared])
    is_fact = np.array([arriving[index][0].type is MemoryType.SEMANTIC for index in compared])
    cosines = np.where(is_fact, matrix @ matrix.T, -np.inf)
    earlier: dict[int, list[Neighbour]] = {}
    for row, index in enumerate(compared):
        best = [
            at
            for at in np.argsort(-cosines[row, :row], kind="stable")[:DEPTH].tolist()
            if is_fact[at]
        ]
        earlier[index] = [
            Neighbour(arriving[compared[at]][0], float(cosines[row, at])) for at in best
        ]
    return earlier
