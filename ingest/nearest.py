"""What stands nearest to memories on their way in: one search for a whole piece, then one look-up.

Whoever compares a new memory with what is there asks this, so that a write costs one search. Knows vectors, not words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from memtypes.memory import Memory
from memtypes.policy import POLICIES, MemoryType, Visibility
from memtypes.ports import Candidate, CandidateSearch, MemoryStore
from memtypes.scope import Scope
from memtypes.vectors import Embedding

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


@dataclass(frozen=True, slots=True)
class Near:
    """A memory near another one."""

    memory: Memory
    cosine: float


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
    searches = [CandidateSearch(arriving[place].memory.type, vectors[place], None, DEPTH) for place in vectors]
    found = dict(zip(vectors, await store.candidates(scope, searches), strict=True))
    wanted = {place: [one for one in candidates if _worth_a_look(one)] for place, candidates in found.items()}
    known = await store.get(scope, {one.id: one.type for candidates in wanted.values() for one in candidates})
    around = {
        place: [Near(known[one.id], one.dense or 0.0) for one in candidates if one.id in known]
        for place, candidates in wanted.items()
    }
    for place, before in _together(arriving, list(vectors)).items():
        around[place] += before
    return {place: [one for one in near if is_public(one.memory)] for place, near in around.items()}


def _worth_a_look(candidate: Candidate) -> bool:
    if candidate.dense is None:
        return False
    return candidate.type is MemoryType.SEMANTIC or candidate.dense >= POLICIES[candidate.type].near


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
