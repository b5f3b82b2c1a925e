"""What a write has read of the store before it decides. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memtypes.model.memory import Memory


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A memory similar to one that is being written. cosine: similarity of their vectors; None if
    it is not known.
    """

    memory: Memory
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Stored:
    """Memories as they are stored, by id, and which of them are similar to the arriving ones.

    absent: ids that were looked up and that no memory has. neighbours: for each arriving memory, in
    order, similar stored ones; empty for one that is private to a session or has no vectors.
    """

    memories: Mapping[str, Memory] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    neighbours: Sequence[Sequence[Neighbour]] = ()

    def looked_up(self, memory_id: str) -> bool:
        """Whether it is known if a memory has this id."""
        return memory_id in self.memories or memory_id in self.absent

    def updated(self, later: Stored) -> Stored:
        """What two reads have found; neighbours as in the `later` one."""
        memories = {**self.memories, **later.memories}
        absent = (self.absent | later.absent) - memories.keys()
        return Stored(memories, absent, later.neighbours)

    def with_found(self, ids: frozenset[str], memories: Mapping[str, Memory]) -> Stored:
        """What was read, and the `memories` that a further look-up of `ids` has found."""
        return self.updated(Stored(memories, ids - memories.keys(), self.neighbours))
