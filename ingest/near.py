"""The same statement in other letters: what differs from a stored memory in case and spacing alone.

A vector only proposes; the words decide. A changed number, date, name or negation is a changed word, so it is never
taken for the same. Being the same carries over from one to the next, so no chain of near-duplicates can glue together
what differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from memtypes.ids import normalise
from memtypes.memory import Memory
from memtypes.policy import POLICIES, MemoryType, Visibility
from memtypes.ports import CandidateSearch, MemoryStore
from memtypes.scope import Scope
from memtypes.vectors import Embedding

DEPTH = 3
_OPTION = re.compile(r"(?<![\w-])-[A-Za-z](?!\w)")

_Statement: TypeAlias = tuple[MemoryType, str, tuple[str | None, ...]]


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


def statement(memory: Memory) -> _Statement:
    """What `memory` says, whatever its case and spacing, and who says it, when it is due and the like."""
    _, *others = memory.identity()
    return (memory.type, normalise(memory.content).casefold(), tuple(others))


def same_statement(one: Memory, other: Memory) -> bool:
    """Whether both say the same. Options of commands alone keep their case: `-c` is not `-C`."""
    if statement(one) != statement(other):
        return False
    first, second = normalise(one.content), normalise(other.content)
    return first == second or _OPTION.sub("-", first) != _OPTION.sub("-", second)


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Looks for them among what is stored and what arrives together."""

    store: MemoryStore

    async def originals(
        self, scope: Scope, arriving: Sequence[Arrival], stored: Mapping[str, Memory]
    ) -> dict[int, Memory]:
        """For each place in `arriving` whose statement is there already, the memory that has it.

        stored: by the ids of `arriving`; what is stored under its own id needs no looking for.
        """
        places = [place for place, one in enumerate(arriving) if one.memory.id not in stored and _public(one.memory)]
        known = await self._known(scope, [arriving[place] for place in places])
        found: dict[int, Memory] = {}
        for place in places:
            memory = arriving[place].memory
            original = known.setdefault(statement(memory), memory)
            if original.id != memory.id and same_statement(original, memory):
                found[place] = original
        return found

    async def _known(self, scope: Scope, arriving: Sequence[Arrival]) -> dict[_Statement, Memory]:
        """The stored memories that are near enough to any of `arriving`, by what they say."""
        searches = [
            CandidateSearch(one.memory.type, one.embedding.dense, None, DEPTH) for one in arriving if one.embedding
        ]
        answers = await self.store.candidates(scope, searches) if searches else []
        near = {
            candidate.id: candidate.type
            for candidates in answers
            for candidate in candidates
            if candidate.dense is not None and candidate.dense >= POLICIES[candidate.type].near
        }
        memories = await self.store.get(scope, near) if near else {}
        return {statement(memory): memory for memory in memories.values() if _public(memory)}


def _public(memory: Memory) -> bool:
    """Whether the whole namespace sees it: what one session keeps to itself is not compared with others."""
    return memory.visibility is Visibility.NAMESPACE
