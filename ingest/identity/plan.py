"""Decides what arriving memories do to stored ones. Pure.

`plan` takes what the store has (`Stored`) and the arriving memories, one after the other, and
returns a `Plan`: memories to insert, fields to change in stored ones, and texts to embed. It asks
three questions about each arriving memory:

1. Which id does it get? The id of a memory is derived from its identity (such as its text). If a
   stored memory with this id says something else because it was edited, or is a replaced fact or an
   ended task that is stated again, another id is derived by adding a suffix to the identity.
2. Does a memory say this already? Then the arriving one is merged into it (see `duplicates` and
   `merging`), or takes its place if it has ended.
3. What does it do to the memories near it? It may replace or contest facts, or be a task that is
   told again with another date (see `relation` and `timeline`).

Last come the deeds of texts that a reader has read together with stored memories (see `acts`): they
end, move or reopen tasks, and replace facts.

Finally the states of all memories that these changes affect are computed (see `states`).

A plan that lacks something says so: `missing` are ids of memories that must be read first, and
`unembedded` are positions of arriving memories that must be embedded first, because they are new.
Then the caller gets these and plans again. All changes of a plan are written together, inserts
first. If the process dies in between, the next write of the same fact completes the work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from ingest.identity.acts import Deed, Deeds, Told, acted_on, continued, moved_to
from ingest.identity.duplicates import (
    SAME_WRITE,
    StatementKey,
    best_original,
    has_ended,
    is_new_task,
    is_over,
    is_public,
    is_reasserted,
    is_sent_again,
    lacks_due,
    merge_reason,
    restated_at,
    same_place,
    stays_replaced,
)
from ingest.identity.judgement import Relation
from ingest.identity.merging import changed_fields, joined, with_evidence, with_wording
from ingest.identity.relation import is_public_fact, may_be_replaced
from ingest.identity.states import States, contradicted
from ingest.identity.stored import Neighbour, Stored
from ingest.identity.timeline import MOVED, Timeline, Verdicts
from memtypes.model.errors import Conflict
from memtypes.model.ids import memory_id
from memtypes.model.memory import Memory, State, TokenCount
from memtypes.model.prospective import CLOSED, Prospective
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.reader import Act
from memtypes.search.vectors import DenseVector

MAX_NEAR = 8
"""Maximum number of earlier facts of the same write that a memory is compared with: the nearest."""

MAX_NAMESAKES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Arriving:
    """A memory that is about to be written. vector: None if it is not embedded, because a stored
    memory probably says the same.
    """

    memory: Memory
    vector: DenseVector | None = None


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """What becomes of one arriving memory: it is stored as memory `id`, or merged into the memory
    `id`.

    merged: the reason for the merge; None if the memory is stored. changed: the fields that the
    merge changes.
    """

    id: str
    merged: str | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write to the store for a list of arriving memories.

    writes: the decision about each arriving memory, in order. inserts: memories to store, by id.
    sources: for each of `inserts`, the position of the arriving memory whose text it has. patches:
    payload fields to set in stored memories, by id. reworded: stored memories, and those of
    `inserts`, whose text to embed is another than that of the stored or the arriving memory.
    affected: memories whose states change, by id. missing, unembedded: what is needed before this
    plan is complete (see the module).
    """

    writes: tuple[PlannedWrite, ...] = ()
    inserts: Mapping[str, Memory] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    patches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reworded: tuple[Memory, ...] = ()
    affected: Mapping[str, Memory] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    unembedded: tuple[int, ...] = ()


def plan(
    stored: Stored,
    arriving: Sequence[Arriving],
    now: datetime,
    count: Callable[[Memory], TokenCount],
    deeds: Sequence[Deeds] = (),
) -> Plan:
    """Decide what to write for the `arriving` memories. count: counts the tokens of a memory, as
    contexts may show what has changed. deeds: what texts do to memories, in order of time.

    Raises Conflict if all ids that a statement could have are taken by edited memories.
    """
    planner = _Planner(stored, arriving, now, count)
    for index, entry in enumerate(arriving):
        planner.place(index)
        if index in planner.writes:
            planner.placed[entry.memory.id] = planner.writes[index].id
    for told in deeds:
        planner.act(told)
    return planner.finish()


def is_repetition(memory: Memory, namesake: Memory, now: datetime) -> bool:
    """Whether `memory` will probably be merged into `namesake`, a stored memory with its id, so
    that it needs no embedding.
    """
    namesake = namesake.at(now)
    return not is_over(namesake, now) and _suffix(namesake, memory, 1, together=False) is None


class _Planner:
    """The state of a plan. `states.memories` has the present version of each memory that changes.

    restated: ids of memories by the statement that they make, to find those with the same words.
    placed: for the id with which a memory arrived, that with which it is stored.
    """

    def __init__(
        self,
        stored: Stored,
        arriving: Sequence[Arriving],
        now: datetime,
        count: Callable[[Memory], TokenCount],
    ) -> None:
        self.stored = stored
        self.arriving = arriving
        self.now = now
        self.count = count
        self.states = States(now)
        self.timeline = Timeline(self.states)
        self.writes: dict[int, PlannedWrite] = {}
        self.placed: dict[str, str] = {}
        self.sources: dict[str, int] = {}
        self.merged: set[str] = set()
        self.missing: set[str] = set()
        self.unembedded: list[int] = []
        self.restated: defaultdict[StatementKey, dict[str, None]] = defaultdict(dict)
        self.cosines = _cosines(arriving)
        self.resent = {
            entry.memory.id
            for entry in arriving
            if (namesake := stored.memories.get(entry.memory.id)) is not None
            and is_sent_again(namesake, entry.memory)
        }

    def place(self, index: int) -> None:
        """Decide about the arriving memory at `index`."""
        memory = self._with_free_id(index)
        if memory is None:
            return
        existing = self._current(memory.id)
        if existing is None:
            verdicts = self.timeline.compare(memory, self._near(index, memory))
            existing = best_original(
                memory,
                (other for other, verdict in verdicts if verdict.relation is Relation.RESTATES),
            )
            if existing is None:
                self._insert(index, memory, verdicts)
                return
            memory = memory.model_copy(update={"id": existing.id})
        if self._is_resent(index, existing):
            self._merge(index, existing, joined(existing, memory), SAME_WRITE)
        elif self._takes_place(index, existing, memory):
            self._renew(index, existing, memory)
        else:
            reason = merge_reason(existing, memory)
            fields = {
                **joined(existing, memory),
                **with_evidence(existing, memory),
                **restated_at(existing, memory),
                **with_wording(existing, memory, reason, self.now),
            }
            self._merge(index, existing, fields, reason)

    # The id of a memory

    def _with_free_id(self, index: int) -> Memory | None:
        """The arriving memory at `index` with an id that no other statement has; None if a memory
        must be read first.
        """
        memory = self.arriving[index].memory
        scope = Scope(memory.tenant, memory.namespace)
        for attempt in range(1, MAX_NAMESAKES):
            namesake = self._current(memory.id)
            if namesake is None and not self.stored.looked_up(memory.id):
                self.missing.add(memory.id)
                return None
            suffix = None
            if namesake is not None:
                together = self._is_restated_after(index, namesake.superseded_by)
                suffix = _suffix(namesake, memory, attempt, together=together)
            if suffix is None:
                return memory
            identity = (*memory.identity(), suffix)
            memory = memory.model_copy(update={"id": memory_id(scope, memory.type, identity)})
        raise Conflict(
            f"{MAX_NAMESAKES} revised memories have the ids that this statement could have"
        )

    def _is_restated_after(self, index: int, successor_id: str | None) -> bool:
        """Whether the memory `successor_id` is stated again by an arriving memory after `index`."""
        successor = None if successor_id is None else self._current(successor_id)
        return successor is not None and any(
            entry.memory.id == successor.id or entry.memory.content_hash == successor.content_hash
            for entry in self.arriving[index + 1 :]
        )

    # The memories near an arriving one

    def _near(self, index: int, memory: Memory) -> list[Neighbour]:
        """The memories to compare with the arriving memory: similar stored ones, earlier ones of
        this write, and those with the same words.
        """
        if not is_public(memory):
            return []
        cosines: dict[str, float | None] = {}
        if self.stored.neighbours:
            for neighbour in self.stored.neighbours[index]:
                cosines[neighbour.memory.id] = neighbour.cosine
                self._remember(neighbour.memory)
        for earlier, cosine in self.cosines.get(index, ()):
            if earlier in self.writes:
                cosines[self.writes[earlier].id] = cosine
        same_words = [*self.restated[self.timeline.relations.statement(memory)]]
        # A value that returns may have returned before. Then it ends the chain of the first.
        namesake = self._current(self.arriving[index].memory.id)
        if namesake is not None and namesake.superseded_by is not None:
            self._follow(namesake)
            same_words.append(namesake.id)
        for same_id in same_words:
            cosines.setdefault(same_id, None)
        return [
            Neighbour(current, cosine)
            for near_id, cosine in cosines.items()
            if (current := self._current(near_id)) is not None
        ]

    def _remember(self, memory: Memory) -> None:
        if is_public(memory):
            self.restated[self.timeline.relations.statement(memory)][memory.id] = None

    def _follow(self, memory: Memory) -> None:
        """Add the memories that replaced `memory`, one after the other, to `states`."""
        passed = {memory.id}
        successor_id = memory.superseded_by
        while successor_id is not None and successor_id not in passed:
            successor = self._current(successor_id)
            if successor is None:
                return
            self.states.memories[successor_id] = successor
            passed.add(successor_id)
            successor_id = successor.superseded_by

    def _current(self, known_id: str) -> Memory | None:
        """The present version of a memory; None if there is none or it was not read."""
        if known_id in self.states.memories:
            return self.states.memories[known_id]
        stored = self.stored.memories.get(known_id)
        return None if stored is None else stored.at(self.now)

    # The changes

    def _is_resent(self, index: int, existing: Memory) -> bool:
        """Whether the arriving memory comes from the same write as `existing`, so that it is no
        further evidence.
        """
        memory = self.arriving[index].memory
        before = self.stored.memories.get(existing.id)
        return memory.id in self.resent or (before is not None and is_sent_again(before, memory))

    def _takes_place(self, index: int, existing: Memory, memory: Memory) -> bool:
        """Whether the arriving `memory` is stored in the place of `existing`, which has ended."""
        if not is_over(existing, self.now) or is_over(memory, self.now):
            return False
        together = self._is_restated_after(index, existing.superseded_by)
        return not stays_replaced(existing, memory, together=together)

    def _insert(self, index: int, memory: Memory, verdicts: Verdicts) -> None:
        if self.arriving[index].vector is None:
            self.unembedded.append(index)
        self.sources[memory.id] = index
        self.writes[index] = PlannedWrite(memory.id)
        if memory.from_message is not None:
            message = self.placed.get(memory.from_message, memory.from_message)
            memory = memory.model_copy(update={"from_message": message})
        self.timeline.apply(memory, verdicts)
        for other, _ in verdicts:
            for earlier, later in ((other, memory), (memory, other)):
                if isinstance(earlier, Prospective) and self._is_replaced_by(earlier, later):
                    self._continue(earlier, later.id, MOVED)
        self._remember(memory)

    def _is_replaced_by(self, earlier: Memory, later: Memory) -> bool:
        return self.states.memories[earlier.id].superseded_by == later.id

    def _renew(self, index: int, existing: Memory, memory: Memory) -> None:
        """Store `memory` in the place of `existing`, an ended memory, with the evidence of both.

        What `existing` did to other facts is undone, and judged again.
        """
        self.states.memories.setdefault(existing.id, existing)
        self._load(contradicted(existing))
        linked = self.states.retract(existing.id)
        texts = {"earlier": existing.earlier, "rewordings": existing.rewordings}
        renewed = memory.model_copy(update=with_evidence(memory, existing) | texts)
        wording = with_wording(renewed, existing, merge_reason(existing, memory), self.now)
        renewed = renewed.model_copy(update=wording)
        near = [*(Neighbour(fact, None) for fact in linked), *self._near(index, memory)]
        self.merged.discard(existing.id)
        self._insert(index, renewed, self.timeline.compare(renewed, near))

    def _merge(self, index: int, existing: Memory, fields: Mapping[str, Any], reason: str) -> None:
        """Set `fields` of the memory `existing`, which the arriving memory repeats."""
        merged = existing.model_copy(update=fields)
        changed = changed_fields(existing, merged)
        self.writes[index] = PlannedWrite(existing.id, reason, changed)
        if changed:
            merged = merged.model_copy(update={"updated_at": self.now})
            self.states.memories[existing.id] = merged
            if existing.id not in self.sources:
                self.merged.add(existing.id)
        self._complete(merged)

    def _complete(self, fact: Memory) -> None:
        """End or contest the facts that an earlier write of `fact` should have ended or contested.

        The process of that write died after it had stored the fact with its links, before it
        updated the linked facts.
        """
        if fact.id in self.sources or not is_public_fact(fact):
            return
        linked_ids = sorted(contradicted(fact))
        self.missing |= {end for end in linked_ids if not self._is_known(end)}
        linked = [self._current(end) for end in linked_ids]
        unfinished = [
            Neighbour(other, None)
            for other in linked
            if other is not None
            and other.superseded_by != fact.id
            and fact.id not in contradicted(other)
        ]
        if unfinished:
            self.timeline.add(fact, unfinished)

    def _load(self, ids: set[str]) -> None:
        """Add the memories with these ids to `states`; those that were not read are `missing`."""
        self.missing |= {end for end in ids if not self._is_known(end)}
        # An id that the store does not have may be that of a memory of this write.
        looked_up = {end for end in ids if self.stored.looked_up(end)} - self.states.memories.keys()
        memories = self.stored.memories
        self.states.add_loaded(
            looked_up, {end: memories[end] for end in looked_up if end in memories}
        )

    def _is_known(self, known_id: str) -> bool:
        return known_id in self.states.memories or self.stored.looked_up(known_id)

    # The deeds of texts

    def act(self, deeds: Deeds) -> None:
        """Do what a text does to stored memories, as far as these are still as they were read."""
        told = deeds.told
        write = None if told.position is None else self.writes.get(told.position)
        for deed in deeds.deeds:
            memory = self._current(deed.id)
            if memory is None or has_ended(memory, self.now) or (write and write.id == deed.id):
                continue
            if isinstance(memory, Prospective):
                self._act_on_task(memory, deed, told, write.id if write else None)
            elif write is not None:
                self._act_on_fact(memory, deed, write.id)

    def _act_on_task(self, task: Prospective, deed: Deed, told: Told, by: str | None) -> None:
        if (task.status in CLOSED) is not (deed.act is Act.REOPENS):
            return
        successor = self._same_task_of(told) if deed.act is Act.MOVES and deed.sure else None
        if successor is not None and successor.id != task.id:
            self._continue(task, successor.id, deed.reason, deed.certainty)
            self.states.memories[task.id] = moved_to(successor, task, deed)
            self.states.replace(task.id, successor.id, deed.reason)
            return
        fields = acted_on(task, deed, told, by, self.now)
        if fields:
            changed = task.model_copy(update={**fields, "updated_at": self.now})
            self.states.memories[task.id] = changed
            self._mark_changed(task.id)

    def _continue(
        self, earlier: Prospective, later_id: str, reason: str, sure: float | None = None
    ) -> None:
        """Give the task `later_id`, which states `earlier` with another time or owner, the history
        of both.
        """
        later = self.states.memories.get(later_id) or self._current(later_id)
        if isinstance(later, Prospective):
            self.states.memories[later_id] = continued(later, earlier, reason, sure)
            self._mark_changed(later_id)

    def _same_task_of(self, told: Told) -> Prospective | None:
        """The task that the text states itself: the memory that is made of it, or the only task
        among those that are made of its sentences.
        """
        tasks: dict[str, Prospective] = {}
        for index, write in self.writes.items():
            memory = self._current(write.id)
            same_text = index == told.position
            source = self.arriving[index].memory.source
            if isinstance(memory, Prospective) and memory.status not in CLOSED:
                if same_text:
                    return memory
                if source is not None and source == told.source:
                    tasks[memory.id] = memory
        return next(iter(tasks.values())) if len(tasks) == 1 else None

    def _act_on_fact(self, fact: Memory, deed: Deed, newer_id: str) -> None:
        newer = self._current(newer_id)
        if newer is None or not is_public_fact(newer):
            return
        self.states.memories.setdefault(fact.id, fact)
        self.states.memories.setdefault(newer_id, newer)
        if deed.sure and not fact.pinned and may_be_replaced(fact, newer, self.now):
            self.states.replace(fact.id, newer_id, deed.reason, State.WRONG)
        elif fact.superseded_by is None and newer_id not in contradicted(fact):
            self.states.contest(newer_id, fact.id, deed.reason, round(deed.probability, 3))

    def _mark_changed(self, known_id: str) -> None:
        if known_id not in self.sources:
            self.merged.add(known_id)

    # The result

    def finish(self) -> Plan:
        """Compute the states of all affected memories; return the plan."""
        states = self.states
        states.changed |= self.merged
        for new_id, index in self.sources.items():
            memory = states.memories[new_id]
            if contradicted(memory) or memory != self.arriving[index].memory:
                states.changed.add(new_id)
        states.recompute()
        while needed := states.needed():
            if unread := {end for end in needed if not self.stored.looked_up(end)}:
                self.missing |= unread
                break
            self._load(needed)
            states.recompute()
        states.count_tokens(self.count)
        if self.missing or self.unembedded:
            return Plan(missing=frozenset(self.missing), unembedded=tuple(self.unembedded))
        inserts = {new_id: states.memories[new_id] for new_id in self.sources}
        reworded = [memory for memory in inserts.values() if self._is_reworded(memory)]
        reworded += [
            states.memories[known]
            for known in sorted(self.merged)
            if self._is_reworded(states.memories[known])
        ]
        return Plan(
            writes=tuple(self.writes[index] for index in range(len(self.arriving))),
            inserts=inserts,
            sources=self.sources,
            patches=dict(self._patches({memory.id for memory in reworded})),
            reworded=tuple(reworded),
            affected={known: states.memories[known] for known in states.changed - states.deleted},
        )

    def _before(self, known_id: str) -> Memory:
        """The arriving memory that an insert was made from, or the stored one that is changed."""
        if known_id in self.sources:
            return self.arriving[self.sources[known_id]].memory
        return self.stored.memories[known_id]

    def _is_reworded(self, memory: Memory) -> bool:
        return memory.embedding_text() != self._before(memory.id).embedding_text()

    def _patches(self, reworded: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The fields that differ from the stored ones, of each changed memory that is not stored as
        a whole.
        """
        changed = self.states.changed - self.states.deleted
        for changed_id in sorted(changed - self.sources.keys() - reworded):
            after = self.states.memories[changed_id].model_copy(update={"updated_at": self.now})
            names = changed_fields(self.stored.memories[changed_id], after)
            yield changed_id, after.model_dump(mode="json", include=set(names))


def _suffix(namesake: Memory, memory: Memory, attempt: int, *, together: bool) -> str | None:
    """The suffix for another id of `memory`, whose id `namesake` has; None if it keeps its id."""
    repeated = same_place(namesake, memory) or lacks_due(memory, namesake)
    if namesake.identity() != memory.identity() and not repeated:
        return f"namesake {attempt}"
    is_new = is_reasserted(namesake, memory, together=together) or is_new_task(namesake, memory)
    return f"since {rfc3339(memory.valid_from)}" if is_new else None


def _cosines(arriving: Sequence[Arriving]) -> dict[int, list[tuple[int, float]]]:
    """For each position, the positions of the nearest earlier facts, with cosines."""
    embedded = [
        (index, entry.memory, entry.vector)
        for index, entry in enumerate(arriving)
        if entry.vector is not None and is_public(entry.memory)
    ]
    if not embedded:
        return {}
    matrix = np.vstack([vector for _, _, vector in embedded])
    is_fact = np.array([is_public_fact(memory) for _, memory, _ in embedded])
    similarities = np.where(is_fact, matrix @ matrix.T, -np.inf)
    nearest: dict[int, list[tuple[int, float]]] = {}
    for row, (index, _, _) in enumerate(embedded):
        order = np.argsort(-similarities[row, :row], kind="stable")[:MAX_NEAR].tolist()
        nearest[index] = [
            (embedded[at][0], float(similarities[row, at])) for at in order if is_fact[at]
        ]
    return nearest
