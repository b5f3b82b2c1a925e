"""The same statement in other letters: what differs from a stored memory in case, spacing and the like alone.

A vector only proposes; the words decide (`wording`). A changed number, date, name or negation is a changed word,
so it is never taken for the same. Being the same carries over from one to the next, so no chain of near-duplicates can
glue together what differs. Instructions may differ by a sign alone: of theirs only case and spacing are seen through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from ingest.identity.neighbours import Surroundings, is_public
from ingest.identity.wording import wording
from memtypes.model.ids import normalise
from memtypes.model.memory import Memory
from memtypes.model.policy import POLICIES, MemoryType

_OPTION = re.compile(r"(?<![\w-])-[A-Za-z](?!\w)")

_Statement: TypeAlias = tuple[MemoryType, tuple[str, ...], tuple[str | None, ...]]


def statement(memory: Memory) -> _Statement:
    """What `memory` says, however it is written, and who says it, when it is due and the like."""
    _, *others = memory.identity()
    folded = memory.type in (MemoryType.PROCEDURAL, MemoryType.WORKING)
    words = (normalise(memory.content).casefold(),) if folded else wording(memory.content)
    return (memory.type, words, tuple(others))


def same_statement(one: Memory, other: Memory) -> bool:
    """Whether both say the same. Options of commands alone keep their case: `-c` is not `-C`."""
    if statement(one) != statement(other):
        return False
    first, second = normalise(one.content), normalise(other.content)
    return first == second or _OPTION.sub("-", first) != _OPTION.sub("-", second)


def originals(arriving: Sequence[Memory], stored: Mapping[str, Memory], around: Surroundings) -> dict[int, Memory]:
    """For each place in `arriving` whose statement is there already, the memory that has it.

    stored: by the ids of `arriving`; what is stored under its own id needs no looking for. around: what is near each.
    """
    near = {memory.id: memory for memory in _near_enough(arriving, around)}
    known = {statement(memory): memory for memory in near.values()}
    found: dict[int, Memory] = {}
    for place, memory in enumerate(arriving):
        if memory.id in stored or not is_public(memory):
            continue
        original = known.setdefault(statement(memory), memory)
        if original.id != memory.id and same_statement(original, memory):
            found[place] = original
    return found


def _near_enough(arriving: Sequence[Memory], around: Surroundings) -> Iterator[Memory]:
    """What is stored near enough to any of `arriving` to be the same statement."""
    own = {memory.id for memory in arriving}
    for near in around.values():
        for one in near:
            memory = one.memory
            close = one.cosine is None or one.cosine >= POLICIES[memory.type].near
            if close and memory.id not in own and memory.superseded_by is None:
                yield memory
