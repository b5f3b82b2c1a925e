"""Facts that a newer one replaces: marked as over, never removed. Pure: decides over memories that stand near.

`change` says what replaces what. Only facts that the whole namespace sees take part. What is replaced keeps its
text; `as_of` a time before the newer one still finds it. A fact that arrives late takes its place between those that
are there: it is stored as over already. A pinned fact is replaced by its caller alone.

The links to what a fact replaced are stored with it, before the replaced ones are marked. So whoever dies in between
leaves what `unfinished` finds when the same fact is written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest.identity.change import Saying, replaces
from memtypes.model.memory import MAX_LINKS, Link, LinkType, Memory, first_line
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.semantic import Semantic
from memtypes.model.times import rfc3339


@dataclass(frozen=True, slots=True)
class _Said:
    """concept: the one that a caller gave; None where it is the content's first line."""

    concept: str | None
    saying: Saying


@dataclass(slots=True)
class Timeline:
    """Facts as they stand once the new ones have their places.

    current: by id. changed: the ids that differ. said: what each says, which is read once.
    """

    now: datetime
    current: dict[str, Memory] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    said: dict[str, _Said] = field(default_factory=dict)

    def take_in(self, newer: Memory, near: Sequence[Memory]) -> None:
        """Give `newer` its place among those `near`, which were there before it."""
        self.current[newer.id] = newer
        if not takes_part(newer):
            return
        others = [self.current.setdefault(one.id, one) for one in near if one.id != newer.id]
        for old in others:
            if self._is_replaced(old, newer):
                self._end(old.id, newer.id)
        later = [one for one in others if one.valid_from > newer.valid_from and self._is_replaced(newer, one)]
        if later:
            self._end(newer.id, min(later, key=lambda one: (one.valid_from, one.id)).id)

    def replaced_by(self, memory_id: str) -> list[str]:
        """What `memory_id` has replaced."""
        return [one for one in self.current if one in self.changed and self.current[one].superseded_by == memory_id]

    def patch(self, memory_id: str) -> dict[str, Any]:
        """What to write for a fact that is stored."""
        memory = self.current[memory_id]
        fields: dict[str, Any] = {"links": [link.model_dump(mode="json") for link in memory.links]}
        if memory.superseded_by is not None and memory.valid_to is not None:
            fields |= {"valid_to": rfc3339(memory.valid_to), "superseded_by": memory.superseded_by}
        return {**fields, "updated_at": rfc3339(self.now)}

    def _is_replaced(self, old: Memory, newer: Memory) -> bool:
        """Whether `newer` says what `old` says, of the same concept, later and with another value."""
        if not may_be_replaced(old, newer, self.now):
            return False
        before, after = self._said(old), self._said(newer)
        return before.concept == after.concept and replaces(after.saying, before.saying)

    def _said(self, memory: Memory) -> _Said:
        known = self.said.get(memory.id)
        if known is None:
            known = self.said[memory.id] = _Said(_concept(memory), Saying.of(memory.content))
        return known

    def _end(self, old_id: str, newer_id: str) -> None:
        """Let one end where the other begins; the newer one points to it, as long as it has room for a link."""
        old, newer = self.current[old_id], self.current[newer_id]
        link = Link(type=LinkType.CONTRADICTS, id=old_id)
        if link not in newer.links:
            if len(newer.links) >= MAX_LINKS:
                return
            self._change(newer, links=[*newer.links, link])
        self._change(old, valid_to=newer.valid_from, superseded_by=newer_id)

    def _change(self, memory: Memory, **fields: Any) -> None:
        self.current[memory.id] = memory.model_copy(update=fields)
        self.changed.add(memory.id)


def timeline(arriving: Sequence[Memory], near: Mapping[str, Sequence[Memory]], now: datetime) -> Timeline:
    """How all stand once `arriving`, in their order, have their places. near: by the ids of `arriving`."""
    placed = Timeline(now)
    for memory in arriving:
        placed.take_in(memory, near.get(memory.id, ()))
    return placed


def may_be_replaced(old: Memory, newer: Memory, now: datetime) -> bool:
    """Whether `newer` comes after `old` and both hold, whatever they say; of one time what arrives last is later.

    One that ended already is replaced only by what begins before its end: by a fact that came late.
    """
    if old.id == newer.id or old.pinned or not takes_part(old) or old.valid_from > newer.valid_from:
        return False
    ended = old.valid_to is not None and (old.superseded_by is None or old.valid_to <= newer.valid_from)
    if ended or any(one.expires_at is not None and one.expires_at <= now for one in (old, newer)):
        return False
    return takes_part(newer)


def unfinished(kept: Sequence[Memory]) -> dict[str, list[str]]:
    """For each of `kept` the facts that it may have replaced, as its links say."""
    linked = {
        memory.id: [link.id for link in memory.links if link.type is LinkType.CONTRADICTS]
        for memory in kept
        if takes_part(memory)
    }
    return {memory_id: ids for memory_id, ids in linked.items() if ids}


def takes_part(memory: Memory) -> bool:
    """Whether `memory` is a fact that the whole namespace sees."""
    return memory.type is MemoryType.SEMANTIC and memory.visibility is Visibility.NAMESPACE


def _concept(memory: Memory) -> str | None:
    if not isinstance(memory, Semantic) or memory.concept == first_line(memory.content):
        return None
    return memory.concept
