"""What stands nearest to memories on their way in: one search for a whole piece, then one look-up.

Whoever compares a new memory with what is there asks this, so that a write costs one search. Knows vectors, not words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from memtypes.conversation_context import place_of
from memtypes.model.memory import Memory
from memtypes.model.policy import POLICIES, MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import CandidateSearch, MemoryStore
from memtypes.search.candidates import Candidate, Candidates
from memtypes.search.vectors import DenseVector, Embedding, SparseVector

DEPTH = 8
"""Nearest memories that are compared: what differs by one value stands among the first."""


class Arrival(Protocol):
    """A memory on its way in, with its embedding where it was made."""

    @property
    def memory(self) -> Memory:
        """The memory."""
        ...

    @property
    def embedding(self) -> Embedding | None:
        """Its embedding."""
        ...

    @property
    def sparse(self) -> SparseVector:
        """Its words."""
        ...


@dataclass(frozen=True, slots=True)
class Near:
    """A memory near another one. cosine: of their vectors; None for one that was found by its words."""

    memory: Memory
    cosine: float | None


Surroundings: TypeAlias = Mapping[int, Sequence[Near]]
"""What is near each arriving memory, by its place; nothing for one that was not looked for."""


def is_public(memory: Memory) -> bool:
    """Whether the whole namespace sees it: what one session keeps to itself is not compared with others."""
    return memory.visibility is Visibility.NAMESPACE


async def nearest(store: MemoryStore, scope: Scope, arriving: Mapping[int, Arrival]) -> dict[int, list[Near]]:
    """The stored memories of its own type that are near each of `arriving`, by place.

    Facts may contradict each other from further away than what says the same, so a fact's come whatever their cosine,
    and with them the facts that arrive before it. Raises what the store raises.
    """
    vectors = {place: one.embedding.dense for place, one in arriving.items() if one.embedding and is_public(one.memory)}
    if not vectors:
        return {}
    types = {place: arriving[place].memory.type for place in vectors}
    searches = [_search(arriving[place], dense) for place, dense in vectors.items()]
    found = zip(types.items(), await store.candidates(scope, searches), strict=True)
    cosines: dict[int, dict[str, float | None]] = {
        place: _worth_a_look(kind, candidates) for (place, kind), candidates in found
    }
    known = await store.get(scope, {one: types[place] for place, near in cosines.items() for one in near})
    around = {
        place: [Near(known[one], cosine) for one, cosine in near.items() if one in known]
        for place, near in cosines.items()
    }
    for place, before in _together(arriving, list(vectors)).items():
        around[place] += before
    return {place: [one for one in near if is_public(one.memory)] for place, near in around.items()}


def _search(arriving: Arrival, dense: DenseVector) -> CandidateSearch:
    """What finds the memories near `arriving`.

    A turn is looked for by its words: its vector is made with what was said before it, which may be something else when
    it is said again.
    """
    memory = arriving.memory
    if place_of(memory) is not None:
        return CandidateSearch(memory.type, None, arriving.sparse, DEPTH, light=False)
    return CandidateSearch(memory.type, dense, None, DEPTH, light=False)


def _worth_a_look(kind: MemoryType, found: Sequence[Candidate]) -> dict[str, float | None]:
    """The cosine of each candidate that may have to do with the new one, by id."""
    columns = Candidates.of(found)
    if columns.dense is None:
        return {one.decode(): None for one in columns.ids.tolist()}
    least = -np.inf if kind is MemoryType.SEMANTIC else POLICIES[kind].near
    near = np.flatnonzero(columns.dense >= least)  # false for what has no cosine, which is marked as no number
    return {columns.ids[place].decode(): float(columns.dense[place]) for place in near}


def _together(arriving: Mapping[int, Arrival], places: Sequence[int]) -> dict[int, list[Near]]:
    """For each fact at `places` the nearest facts among those before it."""
    facts = [place for place in places if arriving[place].memory.type is MemoryType.SEMANTIC]
    if not facts:
        return {}
    matrix = np.vstack([one.dense for place in facts if (one := arriving[place].embedding) is not None])
    cosines = matrix @ matrix.T
    before: dict[int, list[Near]] = {}
    for row, place in enumerate(facts):
        best = np.argsort(-cosines[row, :row], kind="stable")[:DEPTH]
        before[place] = [Near(arriving[facts[at]].memory, float(cosines[row, at])) for at in best.tolist()]
    return before
