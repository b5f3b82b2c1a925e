"""Computes the states (current, replaced, wrong, contested) of memories from the links between
them. Pure.

A replaced memory names its successor, the memory that replaced it. The successor may have been
replaced too, so successors form a chain. A memory holds until it is deleted, expires, is forgotten,
is ended without a successor, or loses its link `contradicts` to the memory that it replaced. A
memory counts as replaced while any later memory of its chain holds. After that it is current again,
unless upkeep (a background job) ended it. The successor of a merged memory is the memory into which
it was merged. Two memories with a link `contradicts` between them are both contested if both are in
the current view, that is, neither replaced nor ended.

When the expiry time of a successor is known, the memories that it replaced store that time
(`Memory.state_until`), so nothing needs to be written when it expires. `States` collects the
changes, which the caller writes together. `States.needed` names the memories that must be looked up
before the changes are complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from memtypes.model.memory import (
    CURRENT_AGAIN,
    MAX_LABEL,
    MAX_LINKS,
    Link,
    LinkType,
    Memory,
    State,
    TokenCount,
)
from memtypes.model.times import rfc3339

LINKED = "a link says that they contradict each other"

_NEVER = datetime.max.replace(tzinfo=UTC)
_PATCHED = (
    "links",
    "valid_to",
    "superseded_by",
    "state",
    "state_until",
    "state_reason",
    "retracted_at",
    "dated",
    "history",
    "tokens",
)


@dataclass(slots=True)
class States:
    """Memories by id, and the changes of their states at the time `now`, which the caller writes to
    the store.

    memories: the loaded memories by id, with the changes applied. changed: ids of the memories to
    write. stale: ids of unchanged memories whose state must be computed again. deleted: ids of
    memories that are deleted or about to be deleted. A deleted memory may stay in `memories`: it
    still leads to the memory that replaced it.
    """

    now: datetime
    memories: dict[str, Memory] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def replace(
        self, old_id: str, newer_id: str, reason: str | None, state: State = State.REPLACED
    ) -> None:
        """Mark the old memory as replaced from the newer one's `valid_from`, unless the newer has
        MAX_LINKS links. state: WRONG if it never was true; then it holds at no time. One that a
        caller has retracted stays wrong, until that is undone.
        """
        if self._link(newer_id, Link(to=old_id, type=LinkType.CONTRADICTS)):
            if self.memories[old_id].retracted_at is not None:
                self._change(old_id, superseded_by=newer_id)
                return
            held_by = old_id if state is State.WRONG else newer_id
            end = {"valid_to": self.memories[held_by].valid_from, "superseded_by": newer_id}
            self._change(old_id, **end, state=state, state_reason=_short(reason))

    def contest(
        self, first_id: str, second_id: str, reason: str | None, strength: float = 1.0
    ) -> None:
        """Mark both memories as contested, unless one has MAX_LINKS links. strength: of the links
        between them, 0-1.
        """
        pair = ((first_id, second_id), (second_id, first_id))
        ends = ((self.memories[memory_id], other_id) for memory_id, other_id in pair)
        if all(
            len(memory.links) < MAX_LINKS or other_id in contradicted(memory)
            for memory, other_id in ends
        ):
            for memory_id, other_id in pair:
                self._link(
                    memory_id, Link(to=other_id, type=LinkType.CONTRADICTS, strength=strength)
                )
                self._change(memory_id, state=State.CONTESTED, state_reason=_short(reason))

    def bring_back(self, memory_id: str, reason: str | None) -> None:
        """Make a replaced or ended memory current again, or contested by the current memory that
        had replaced it.
        """
        successor = self._successor(self.memories[memory_id])
        while successor is not None and not self._in_view(self.memories[successor]):
            successor = self._successor(self.memories[successor])
        self._change(memory_id, **CURRENT_AGAIN)
        if successor is not None:
            self.contest(memory_id, successor, reason)

    def retract(self, memory_id: str) -> list[Memory]:
        """Undo what a memory did to the loaded memories that it contradicts; return these.

        Those that it replaced or contested are current afterwards, unless another memory replaces
        or contests them.
        """
        ends = sorted(contradicted(self.memories[memory_id]) & self.memories.keys())
        self.unlink(memory_id, ends)
        for end in ends:
            if self.memories[end].superseded_by == memory_id:
                self._change(end, **self._without_successor(self.memories[end]))
        return [self.memories[end] for end in ends]

    def mark_wrong(self, memory_id: str, reason: str) -> None:
        """Mark a memory as one that never was true: it holds at no time, and what it had replaced
        is current again, unless another memory replaced both.
        """
        never = {"valid_to": self.memories[memory_id].valid_from, "state_until": None}
        wrong = {"state": State.WRONG, "retracted_at": self.now}
        self._change(memory_id, **never, **wrong, state_reason=_short(reason))

    def accept(self, memory_id: str, reason: str) -> None:
        """Undo `mark_wrong`. The memory is replaced if another one has taken its place, and current
        otherwise.
        """
        memory = self.memories[memory_id]
        successor = self._successor(memory)
        self._change(memory_id, **CURRENT_AGAIN)
        if successor is not None:
            ended_at = max(memory.valid_from, self.memories[successor].valid_from)
            replaced = {"state": State.REPLACED, "state_reason": _short(reason)}
            self._change(memory_id, **replaced, superseded_by=successor, valid_to=ended_at)

    def end(self, memory_id: str, ended_at: datetime) -> None:
        """End a memory at `ended_at`. Memories that it had replaced are current again from that
        time.
        """
        replaced = self.memories[memory_id].superseded_by is not None
        self._change(memory_id, valid_to=ended_at, **({} if replaced else {"state_reason": None}))

    def unlink(self, memory_id: str, others: Iterable[str]) -> None:
        """Remove the links `contradicts` between a memory and `others`. Call `recompute` to update
        their states.
        """
        loaded = set(others) & self.memories.keys()
        for linking in (memory_id, *sorted(loaded)) if loaded else ():
            ends = loaded if linking == memory_id else {memory_id}
            links = (
                link
                for link in self.memories[linking].links
                if link.to not in ends or not _contradict([link])
            )
            self._change(linking, links=list(links))

    def add_loaded(self, ids: Iterable[str], stored: Mapping[str, Memory]) -> None:
        """Add memories that were loaded from the store, with the states that they have at `now`.

        ids: those that were looked up. stored: the memories found, by id. Ids not found count as
        deleted memories.
        """
        for memory_id in stored.keys() - self.memories.keys():
            self.memories[memory_id] = stored[memory_id].at(self.now)
            if self.memories[memory_id] is not stored[memory_id]:
                self.changed.add(memory_id)
        self.deleted |= set(ids) - stored.keys()

    def needed(self) -> set[str]:
        """Ids of memories to load and pass to `add_loaded`, so that `recompute` can compute all
        affected states.
        """
        return {missing for memory_id in self._affected() for missing in self._missing(memory_id)}

    def recompute(self) -> None:
        """Compute the state (current, replaced or contested) of each memory that the changes
        affect.

        A memory whose state depends on a memory that is not loaded keeps its state for now.
        """
        recomputed: set[str] = set()
        while waiting := self._affected() - self.deleted - recomputed:
            recomputed |= waiting
            for memory_id in sorted(waiting):
                if not self._missing(memory_id) and self._recompute(self.memories[memory_id]):
                    recomputed -= contradicted(self.memories[memory_id])

    def count_tokens(self, count: Callable[[Memory], TokenCount]) -> None:
        """Count the tokens of each changed memory again, as a context may show what has changed."""
        for memory_id in self.changed:
            memory = self.memories[memory_id]
            self.memories[memory_id] = memory.model_copy(update={"tokens": count(memory)})

    def patches(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The payload fields to write to the stored memories with these ids, by id."""
        return {memory_id: self.patch(memory_id) for memory_id in sorted(ids)}

    def patch(self, memory_id: str) -> dict[str, Any]:
        """The payload fields to write to the stored memory `memory_id`. A field with the value None
        is removed.
        """
        dumped = self.memories[memory_id].model_dump(mode="json", include=set(_PATCHED))
        return {**dumped, "updated_at": rfc3339(self.now)}

    def _affected(self) -> set[str]:
        """Ids of the memories that are changed, stale or deleted, and of the memories that these
        contradict.
        """
        affected = self.changed | self.stale | self.deleted
        linked = {
            end
            for start in affected & self.memories.keys()
            for end in contradicted(self.memories[start])
        }
        return (affected | linked) & self.memories.keys()

    def _missing(self, memory_id: str) -> set[str]:
        """Ids of the memories that must be loaded before the state of `memory_id` can be
        computed.
        """
        starts = {memory_id, *contradicted(self.memories[memory_id])}
        return (
            {member for start in starts for member in self._chain_ids(start)}
            - self.memories.keys()
            - self.deleted
        )

    def _recompute(self, memory: Memory) -> bool:
        """Compute the links and the state of `memory` again; return whether the memory or a link to
        it changed.
        """
        links = [link for link in memory.links if link.to not in self.deleted]
        fields: dict[str, Any] = {"links": links, "dated": _contradict(links)}
        successor = self._successor(memory)
        if successor is not None:
            fields |= self._replaced_by(memory, successor)
        elif memory.superseded_by is not None:
            fields |= self._without_successor(memory)
        after = memory.model_copy(update=fields)
        linked = False
        if self._in_view(after):
            rivals = [
                end for end in sorted(contradicted(after)) if self._in_view(self.memories.get(end))
            ]
            back = Link(to=memory.id, type=LinkType.CONTRADICTS)
            one_way = [
                rival for rival in rivals if memory.id not in contradicted(self.memories[rival])
            ]
            added = [self._link(rival, back) for rival in one_way]
            linked = any(added)
            fields |= self._contested(after, rivals)
        elif successor is None:
            wrong = after.state is State.WRONG
            state = State.WRONG if wrong else State.CURRENT
            ended = after.model_copy(update={"state": state, "state_until": None}).at(self.now)
            fields |= {"state_until": None, "state": ended.state}
        if all(getattr(memory, name) == value for name, value in fields.items()):
            return linked
        self._change(memory.id, **fields)
        return True

    def _replaced_by(self, memory: Memory, successor: str) -> dict[str, Any]:
        until = max([self.now, *map(self._holds_until, self.chain(successor))])
        fields = {
            "state": memory.state if memory.state is State.WRONG else State.REPLACED,
            "state_until": None if _is_over_for_good(memory) else _time(until),
        }
        if successor == memory.superseded_by:
            return fields
        if memory.retracted_at is not None:
            return {**fields, "superseded_by": successor}
        self._link(successor, Link(to=memory.id, type=LinkType.CONTRADICTS))
        ended_at = max(memory.valid_to or memory.valid_from, self.memories[successor].valid_from)
        return {**fields, "superseded_by": successor, "valid_to": ended_at}

    def _without_successor(self, memory: Memory) -> Mapping[str, Any]:
        """Fields to set because nothing replaces `memory` any more: current again, unless an upkeep
        job ended it, or a caller retracted it.
        """
        if memory.retracted_at is not None:
            return {"superseded_by": None} if memory.superseded_by in self.deleted else {}
        if memory.upkeep is None or not memory.ended_by_upkeep:
            return CURRENT_AGAIN
        may_return = memory.superseded_by not in self.deleted and self._is_replaced(memory)
        return {} if may_return else {"superseded_by": None, "valid_to": memory.upkeep.at}

    def _contested(self, memory: Memory, rivals: Sequence[str]) -> dict[str, Any]:
        """Fields to set in a memory that contradicts `rivals` (ids of memories in view); without
        any, it is current.
        """
        if not rivals:
            return {"state": State.CURRENT, "state_until": None, "state_reason": None}
        until = max(self._holds_until(self.memories[rival]) for rival in rivals)
        # Passing `state_until` makes a memory current whatever its own end, so one that will end
        # has none.
        state_until = _time(until) if memory.valid_to is None else None
        return {
            "state": State.CONTESTED,
            "state_until": state_until,
            "state_reason": memory.state_reason or LINKED,
        }

    def _successor(self, memory: Memory) -> str | None:
        """The id of the first memory that has not ended, in the chain of memories that replaced
        `memory`.

        None if all have ended, or `memory` was not replaced. None, too, if the chain leads back to
        `memory`, because otherwise every memory of the circle would be hidden.
        """
        if memory.superseded_by is None or not self._is_replaced(memory):
            return None
        chain = {member.id: member for member in self.chain(memory.superseded_by)}
        holding = (member.id for member in chain.values() if self._holds_until(member) > self.now)
        return None if memory.id in chain else next(holding, None)

    def _is_replaced(self, memory: Memory) -> bool:
        """Whether the memory that replaced `memory` still has its link `contradicts` to it, or is
        deleted.
        """
        successor = memory.superseded_by or ""
        return successor in self.deleted or memory.id in contradicted(self.memories.get(successor))

    def chain(self, memory_id: str | None) -> Iterator[Memory]:
        """Yield the memory `memory_id`, the memory that took its place, and so on. Deleted memories
        are left out.
        """
        ids = (member for member in self._chain_ids(memory_id) if member not in self.deleted)
        return (self.memories[member] for member in ids if member in self.memories)

    def _chain_ids(self, memory_id: str | None) -> Iterator[str]:
        """Yield the ids of a chain of memories, deleted ones too, up to the first memory that is
        not loaded.
        """
        passed: set[str] = set()
        while memory_id is not None and memory_id not in passed:
            yield memory_id
            passed.add(memory_id)
            memory_id = _next(self.memories.get(memory_id))

    def _holds_until(self, memory: Memory) -> datetime:
        """The time at which `memory` expires or ends without a successor; _NEVER if it does
        neither.
        """
        stays_ended = memory.superseded_by is None or _is_over_for_good(memory)
        ended = memory.valid_to if stays_ended else None
        return min(memory.expires_at or _NEVER, ended or _NEVER)

    def _in_view(self, memory: Memory | None) -> bool:
        if memory is None or memory.id in self.deleted or self._holds_until(memory) <= self.now:
            return False
        return memory.superseded_by is None or self._successor(memory) is None

    def _link(self, memory_id: str, link: Link) -> bool:
        """Add a link, unless the memory has it already. Returns False if it would be more than
        MAX_LINKS links.
        """
        memory = self.memories[memory_id]
        if any((link.to, link.type) == (other.to, other.type) for other in memory.links):
            return True
        if len(memory.links) >= MAX_LINKS:
            return False
        self._change(memory_id, links=[*memory.links, link])
        return True

    def _change(self, memory_id: str, **fields: Any) -> None:
        if "links" in fields:
            fields["dated"] = _contradict(fields["links"])
        self.memories[memory_id] = self.memories[memory_id].model_copy(update=fields)
        self.changed.add(memory_id)


def contradicted(memory: Memory | None) -> set[str]:
    """Ids of the memories to which `memory` has a link `contradicts`; empty if `memory` is None."""
    return (
        {link.to for link in memory.links if link.type is LinkType.CONTRADICTS}
        if memory is not None
        else set()
    )


def _is_over_for_good(memory: Memory) -> bool:
    """Whether `memory` does not hold, whatever becomes of the memories that replaced it."""
    return memory.ended_by_upkeep or memory.retracted_at is not None


def _next(memory: Memory | None) -> str | None:
    """Id of the memory that replaced `memory` or that it was merged into; None if there is no such
    memory.
    """
    if memory is None:
        return None
    return memory.superseded_by or (memory.upkeep.into if memory.upkeep is not None else None)


def _contradict(links: Iterable[Link]) -> bool:
    return any(link.type is LinkType.CONTRADICTS for link in links)


def _time(instant: datetime) -> datetime | None:
    return None if instant == _NEVER else instant


def _short(reason: str | None) -> str | None:
    return None if reason is None else reason[:MAX_LABEL]
