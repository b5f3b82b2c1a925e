"""Writes memories to the store, and determines each outcome by reading the store back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from weakref import WeakValueDictionary

import anyio

from ingest.identity.contradictions import contradict, place_facts, takes_part
from ingest.identity.duplicates import (
    SAME_WORDING,
    SAME_WORDS,
    SAME_WRITE,
    PlannedWrite,
    WritePlan,
    is_new_task,
    is_over,
    is_reasserted,
    lacks_due,
    originals,
    plan_writes,
    same_place,
    statement,
)
from ingest.identity.neighbours import Neighbour, Neighbours, find_neighbours
from ingest.identity.states import States, contradicted
from ingest.writing.drafts import PendingWrite, Preparer
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.settling import StateWriter
from memtypes.conversation_context import ConversationContext
from memtypes.model.errors import Conflict
from memtypes.model.ids import memory_id
from memtypes.model.memory import Memory, State
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore, Record

NOT_READ_BACK = "the store accepted it but did not return it when it was read back"
_MAX_NAMESAKES = 16


class ScopeLocks:
    """A lock for each namespace in use. Within this process, only one caller at a time writes to a namespace.

    A write reads memories, decides and writes them back, which is not atomic. The locks do not cover other processes:
    if two of them repeat a stored text at the same time, its count of repetitions may rise by one instead of two. No
    memory is lost or stored twice.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    def of(self, scope: Scope) -> anyio.Lock:
        """The lock of the namespace of `scope`."""
        return self._locks.setdefault((scope.tenant, scope.namespace), anyio.Lock())


@dataclass(frozen=True, slots=True)
class MemoryWriter:
    """Deduplicates memories and writes them to the store, one call at a time per namespace."""

    store: MemoryStore
    embedder: Embedder
    preparer: Preparer
    clock: Clock
    locks: ScopeLocks

    async def write(self, scope: Scope, pending: Sequence[PendingWrite]) -> list[WriteOutcome]:
        """Store or merge each memory of `pending`; return the outcomes. Raises what store and embedder raise."""
        parts = await offload((entry.memory.content for entry in pending), lambda: _in_turn(pending, self.clock()))
        return [outcome for part in parts for outcome in await self._write(scope, part)]

    async def _write(self, scope: Scope, pending: Sequence[PendingWrite]) -> list[WriteOutcome]:
        async with self.locks.of(scope):
            now = self.clock()
            pending, stored = await self._resolve_ids(scope, pending, now)
            new = _first_new(pending, stored, now)
            pending = await self._embed_new(scope, pending, new)
            arriving = {
                index: (pending[index].memory, pending[index].vectors(embedding))
                for index in new
                if (embedding := pending[index].embedding) is not None
            }
            neighbours = await find_neighbours(self.store, scope, arriving, now)
            pending, stored, neighbours = await _use_original_ids(pending, stored, neighbours)
            plan = plan_writes([entry.memory for entry in pending], stored, now)
            states = await self._place_facts(scope, plan, pending, neighbours, stored, now)
            records = await self._records(scope, plan, pending, stored, states)
            if records:
                await self.store.upsert(scope, records)
            if plan.patches:
                await self.store.patch(scope, plan.patches)
            types = {changed: states.memories[changed].type for changed in states.changed - states.gone}
            read_back = await self.store.get(scope, types | {entry.memory.id: entry.memory.type for entry in pending})
        return [
            _outcome(planned, entry.memory, read_back, states.changed)
            for planned, entry in zip(plan.writes, pending, strict=True)
        ]

    async def _resolve_ids(
        self, scope: Scope, pending: Sequence[PendingWrite], now: datetime
    ) -> tuple[list[PendingWrite], dict[str, Memory]]:
        """Return `pending` with ids that belong to no other statement, and the stored memories with these ids, by id.

        The id of a memory is derived from its identity (such as its text). Another id is derived, by adding a suffix to
        the identity, if a stored memory with this id says something else because it was edited, or is a replaced fact
        or an ended task that is now stated again. Raises Conflict if no free id is found.
        """
        resolved = list(pending)
        for attempt in range(1, _MAX_NAMESAKES):
            types = {entry.memory.id: entry.memory.type for entry in resolved}
            found = await self.store.get(scope, types)
            stored = {known_id: memory.at(now) for known_id, memory in found.items()}
            suffixes = [_id_suffix(entry.memory, stored, types, attempt) for entry in resolved]
            if not any(suffixes):
                return resolved, stored
            resolved = [
                entry
                if suffix is None
                else _with_id(entry, memory_id(scope, entry.memory.type, (*entry.memory.identity(), suffix)))
                for entry, suffix in zip(resolved, suffixes, strict=True)
            ]
        raise Conflict(f"{_MAX_NAMESAKES} revised memories have the ids that this statement could have")

    async def _embed_new(self, scope: Scope, pending: list[PendingWrite], new: Sequence[int]) -> list[PendingWrite]:
        """Return `pending` after embedding those of the entries at indexes `new` that have no embedding for their text.

        The entry was taken for a repetition, or its conversation context (earlier turns), which is reread, has changed.
        """
        turns = {entry.memory.id: entry.memory for entry in pending}
        earlier = {turn.id: turn.type for index in new for turn in pending[index].before if turn.id not in turns}
        turns |= await self.store.get(scope, earlier) if earlier else {}
        embedded = list(pending)
        for index in new:
            entry = pending[index]
            before = tuple(turns[turn.id] for turn in entry.before if turn.id in turns)
            renewed = replace(entry, before=before, embedding=None)
            if renewed.in_context != entry.in_context:
                embedded[index] = renewed
        missing = [index for index in new if embedded[index].embedding is None]
        texts = [embedded[index].in_context for index in missing]
        embeddings = await self.embedder.embed_in_context(texts) if texts else []
        for index, embedding in zip(missing, embeddings, strict=True):
            embedded[index] = replace(embedded[index], embedding=embedding)
        return embedded

    async def _place_facts(
        self,
        scope: Scope,
        plan: WritePlan,
        pending: Sequence[PendingWrite],
        neighbours: Neighbours,
        stored: Mapping[str, Memory],
        now: datetime,
    ) -> States:
        """Decide which facts in `plan` replace or contest others; add the changes to `plan`, return the new states.

        neighbours: the facts to compare with, by index of the new fact. stored: memories with the id of a new one.
        """
        # Ended memories that are written again are current. What they did to other facts is undone, and judged again.
        renewed = {known: stored[known] for known in plan.inserts if known in stored}
        states = States(now, {**plan.merged, **renewed})
        if linked := {end for known in renewed.values() for end in contradicted(known)}:
            states.know(linked, await self.store.get(scope, sorted(linked)))
        near = {known: [Neighbour(other, None) for other in states.release(known)] for known in renewed}
        for new_id, index in plan.sources.items():
            others = neighbours.get(index, ())
            known = [Neighbour(states.memories.get(each.memory.id, each.memory), each.cosine) for each in others]
            near[new_id] = [*near.get(new_id, ()), *known]
        unfinished = await self._unfinished(scope, plan, stored, now)
        arriving = [*plan.inserts.values(), *(plan.merged.get(known, stored[known]) for known in unfinished)]
        near |= unfinished
        await offload((fact.content for fact in arriving), lambda: place_facts(arriving, near, states))
        # Those with links of a caller, or with a life that a merge made longer, are settled, too.
        written = (*plan.merged.values(), *plan.inserts.values())
        states.changed |= {memory.id for memory in written if contradicted(memory)}
        states.changed |= {known for known, memory in plan.merged.items() if memory.line() != stored[known].line()}
        first = {known: pending[index].memory for known, index in plan.sources.items()}
        states.changed |= {known for known, memory in plan.inserts.items() if memory.line() != first[known].line()}
        await StateWriter(self.store, self.preparer.tokenizer).settle(scope, states)
        for changed_id in states.changed - states.gone:
            if changed_id in plan.inserts:
                plan.inserts[changed_id] = states.memories[changed_id]
            else:
                plan.patches[changed_id] = {**plan.patches.get(changed_id, {}), **states.patch(changed_id)}
        return states

    async def _records(
        self,
        scope: Scope,
        plan: WritePlan,
        pending: Sequence[PendingWrite],
        stored: Mapping[str, Memory],
        states: States,
    ) -> list[Record]:
        """Records of the new memories, and of the merged ones whose text to embed a merge has changed."""
        # Of entries with one id only the first is embedded, and any of them may be the one that is stored.
        made = {entry.memory.id: entry.embedding for entry in reversed(pending) if entry.embedding is not None}
        entries: list[PendingWrite] = []
        for memory in plan.inserts.values():
            entry = pending[plan.sources[memory.id]]
            if _same_text(memory, entry.memory):
                entries.append(replace(entry, memory=memory, embedding=made[memory.id]))
            else:
                renewed = await anyio.to_thread.run_sync(self.preparer.prepare_memory, memory)
                entries.append(replace(renewed, submission=entry.submission, before=entry.before))
        merged = [states.memories[known] for known in plan.merged]
        again = [memory for memory in merged if not _same_text(memory, stored[memory.id])]
        for memory, before in zip(again, await ConversationContext(self.store).turns_before(scope, again), strict=True):
            renewed = await anyio.to_thread.run_sync(self.preparer.prepare_memory, memory)
            entries.append(replace(renewed, before=before))
        texts = [entry.in_context for entry in entries if entry.embedding is None]
        embeddings = iter(await self.embedder.embed_in_context(texts) if texts else ())
        return [entry.record(entry.embedding or next(embeddings)) for entry in entries]

    async def _unfinished(
        self, scope: Scope, plan: WritePlan, stored: Mapping[str, Memory], now: datetime
    ) -> dict[str, list[Neighbour]]:
        """Find the facts that a process should have ended or contested, but died before it could.

        It died after storing a fact that contradicts them, and now this fact is written again. Returns the facts that
        are left to compare, by the id of the repeated fact.
        """
        repeated = {planned.id for planned in plan.writes} & stored.keys() - plan.inserts.keys()
        linked = {known: sorted(contradicted(stored[known])) for known in sorted(repeated) if takes_part(stored[known])}
        types = dict.fromkeys((fact for ids in linked.values() for fact in ids), MemoryType.SEMANTIC)
        facts = {fact.id: fact.at(now) for fact in (await self.store.get(scope, types)).values()} if types else {}
        return {
            known: [
                Neighbour(facts[fact], None)
                for fact in ids
                if fact in facts and facts[fact].superseded_by != known and known not in contradicted(facts[fact])
            ]
            for known, ids in linked.items()
            if ids
        }


def _id_suffix(memory: Memory, stored: Mapping[str, Memory], arriving: Container[str], attempt: int) -> str | None:
    """What `_resolve_ids` adds to the identity of `memory` for another id; None if it keeps it. arriving: all ids."""
    other = stored.get(memory.id)
    if other is None:
        return None
    if other.identity() != memory.identity() and not same_place(other, memory) and not lacks_due(memory, other):
        return f"namesake {attempt}"
    is_new = is_reasserted(other, memory, arriving) or is_new_task(other, memory)
    return f"since {rfc3339(memory.valid_from)}" if is_new else None


def _in_turn(pending: Sequence[PendingWrite], now: datetime) -> list[list[PendingWrite]]:
    """Cut `pending` before each fact that was said before, but contradicted in between: the last said holds.

    Also before each task that comes before as an ended one, so that it is written as a new task.
    """
    parts: list[list[PendingWrite]] = []
    said: dict[object, int] = {}
    for entry in pending:
        key = statement(entry.memory) if takes_part(entry.memory) else entry.memory.id
        before, *between = parts[-1][said[key] :] if key in said else [entry]
        contradicted_since = any(contradict(other.memory, entry.memory, now) for other in between)
        if not parts or contradicted_since or is_new_task(before.memory, entry.memory):
            parts.append([])
            said.clear()
        said[key] = len(parts[-1])
        parts[-1].append(entry)
    return parts


def _same_text(memory: Memory, other: Memory) -> bool:
    return memory.embedding_text() == other.embedding_text()


def _with_id(entry: PendingWrite, new_id: str) -> PendingWrite:
    return replace(entry, memory=entry.memory.model_copy(update={"id": new_id}))


def _first_new(pending: Sequence[PendingWrite], stored: Mapping[str, Memory], now: datetime) -> list[int]:
    """Indexes in `pending` of the memories that are not stored yet, or only as ended ones; the first index per id."""
    first: dict[str, int] = {}
    for index, entry in enumerate(pending):
        memory = stored.get(entry.memory.id)
        if memory is None or is_over(memory, now):
            first.setdefault(entry.memory.id, index)
    return list(first.values())


async def _use_original_ids(
    pending: list[PendingWrite], stored: dict[str, Memory], neighbours: Neighbours
) -> tuple[list[PendingWrite], dict[str, Memory], Neighbours]:
    """Find entries that repeat another memory, the original, in other words, and give them the original's id.

    They are merged into it later. Returns the three arguments with these changes: `stored` has the originals, too, and
    `neighbours` has them instead of their repetitions. Entries with the same id also get the same embedding.
    """
    memories = [entry.memory for entry in pending]
    embedded = {entry.memory.id: entry.embedding for entry in reversed(pending) if entry.embedding is not None}
    by_index = await offload((memory.content for memory in memories), lambda: originals(memories, stored, neighbours))
    renamed = [
        _with_id(entry, by_index[at].id)
        if at in by_index
        else replace(entry, embedding=entry.embedding or embedded.get(entry.memory.id))
        for at, entry in enumerate(pending)
    ]
    arriving = {memory.id for memory in memories}
    by_id = {memories[at].id: original for at, original in by_index.items()}
    near = {
        index: [Neighbour(by_id.get(other.memory.id, other.memory), other.cosine) for other in others]
        for index, others in neighbours.items()
    }
    return renamed, {memory.id: memory for memory in by_index.values() if memory.id not in arriving} | stored, near


def _outcome(
    planned: PlannedWrite, written: Memory, read_back: Mapping[str, Memory], changed: Container[str]
) -> WriteOutcome:
    """The outcome of a write; failed if `read_back` lacks the memory. changed: ids of those whose state has changed."""
    memory = read_back.get(planned.id)
    as_written = memory is not None and memory.content_hash == written.content_hash
    if memory is None or not (as_written or planned.merged in (SAME_WRITE, SAME_WORDS, SAME_WORDING)):
        return WriteOutcome(WriteStatus.FAILED, id=planned.id, reason=NOT_READ_BACK)
    others = [known for known in read_back.values() if known.id in changed and known.id in contradicted(memory)]
    ended = tuple(other.id for other in others if other.superseded_by == memory.id)
    contests = tuple(other.id for other in others if other.state is State.CONTESTED)
    stored = WriteOutcome(WriteStatus.STORED, memory.id, memory=memory, supersedes=ended, contests=contests)
    if planned.merged is None:
        return stored
    reason = planned.merged if planned.merged == SAME_WRITE else f"{planned.merged} as {memory.id}"
    return replace(stored, status=WriteStatus.MERGED, reason=reason, merged_into=memory.id, changed=planned.changed)
