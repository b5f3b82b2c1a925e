"""Puts new facts in their place in time, so that a fact ends when another replaces it, and a task
when it is told again with another date. Pure.

A replaced fact is ended, never removed: it keeps its text, and a query `as_of` an earlier time
still finds it. Two contested facts both stay, linked to each other; so do a pinned fact and a newer
one that would replace it. A fact that arrives late takes its place in time between the stored
facts, so it may have ended when it is stored.

A new fact is stored with links to the facts that it replaces or contests, before these are changed.
If a write ends in between, the next write of the same fact completes the work (see `plan`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ingest.identity.judgement import Relation, Verdict
from ingest.identity.relation import Relations
from ingest.identity.states import States
from ingest.identity.stored import Neighbour
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType

REPLACED = "the same sentence with another value"
MOVED = "the same task with another time"
CONTESTED = "the newer one seems to give another value"

MAX_CONTESTED = 3
"""Maximum number of facts that one fact contests: those with the strongest evidence."""

Verdicts: TypeAlias = Sequence[tuple[Memory, Verdict]]
"""Memories, each with what a new statement does to it."""


@dataclass(slots=True)
class Timeline:
    """Compares new statements with memories, and records in `states` which facts are replaced or
    contested.
    """

    states: States
    relations: Relations = field(init=False)

    def __post_init__(self) -> None:
        self.relations = Relations(self.states.now)

    def add(self, newer: Memory, near: Iterable[Neighbour]) -> None:
        """Compare `newer` with the memories `near` it, and apply the verdicts."""
        self.apply(newer, self.compare(newer, near))

    def compare(self, newer: Memory, near: Iterable[Neighbour]) -> Verdicts:
        """What `newer` does to each memory `near` it, in their present versions.

        If one was replaced, the current memory of its chain is compared, too.
        """
        memories = self.states.memories
        compared = {
            neighbour.memory.id: replace(
                neighbour, memory=memories.setdefault(neighbour.memory.id, neighbour.memory)
            )
            for neighbour in near
        }
        for memory_id in list(compared):
            *_, end = self.states.chain(memory_id)
            compared.setdefault(end.id, Neighbour(end, None))
        compared.pop(newer.id, None)
        return [
            (neighbour.memory, self.relations.between(newer, neighbour))
            for neighbour in compared.values()
        ]

    def apply(self, newer: Memory, verdicts: Verdicts) -> None:
        """Add `newer`; end the facts (or tasks) that it replaces, and mark those that it contests.

        If a fact that begins later than `newer` replaces it, `newer` is ended and contests nothing.
        """
        self.states.memories[newer.id] = newer
        replacing = [fact for fact, verdict in verdicts if verdict.relation is Relation.REPLACES]
        for fact in replacing:
            if fact.valid_from <= newer.valid_from:
                self.states.replace(fact.id, newer.id, _reason(fact))
        later = [fact for fact in replacing if fact.valid_from > newer.valid_from]
        if later:
            first = min(later, key=lambda fact: (fact.valid_from, fact.id))
            self.states.replace(newer.id, first.id, _reason(newer))
            return
        contested = [
            (fact, verdict) for fact, verdict in verdicts if verdict.relation is Relation.CONTESTS
        ]
        contested.sort(key=lambda pair: (-pair[1].strength, pair[0].id))
        for fact, verdict in contested[:MAX_CONTESTED]:
            self.states.contest(newer.id, fact.id, CONTESTED, round(verdict.strength, 3))


def _reason(replaced: Memory) -> str:
    return MOVED if replaced.type is MemoryType.PROSPECTIVE else REPLACED


def judge_again(
    states: States, fact_id: str, linked: Sequence[Memory], similar: Sequence[Neighbour]
) -> None:
    """Record in `states` which facts the fact `fact_id` replaces or contests after its text was
    edited.

    It is judged as the newest, whatever its `valid_from`. linked: facts that it contradicted
    before; those that it replaces end at its `valid_from`, or now if theirs is later. similar:
    other facts; those that it replaces end now.
    """
    fact = states.memories[fact_id]
    ids = {other.id for other in linked}
    near = [
        *(Neighbour(other, None) for other in linked),
        *(other for other in similar if other.memory.id not in ids),
    ]
    Timeline(states).add(fact.model_copy(update={"valid_from": states.now}), near)
    for old in linked:
        judged = states.memories[old.id]
        if judged.superseded_by == fact_id and judged.valid_from <= fact.valid_from:
            states.memories[old.id] = judged.model_copy(update={"valid_to": fact.valid_from})
    states.memories[fact_id] = states.memories[fact_id].model_copy(
        update={"valid_from": fact.valid_from}
    )
