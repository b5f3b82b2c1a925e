"""Writes memories to the store, and determines each outcome by reading the store back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from weakref import WeakValueDictionary

import anyio

from ingest.identity.contradictions import contradict, is_public_fact, place_facts
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

NOT_READ_BACK = "the store accepted it, but did not return it when it was read back"
_MAX_NAMESAKES = 16


class ScopeLocks:
    """A lock for each namespace in use. Within this process, only one caller at a time writes to a
    namespace.

    A write reads memories, decides and writes them back, which is not atomic. The locks do not
    cover other processes: if two of them repeat a stored text at the same time, its count of
    repetitions may rise by one instead of two. No memory is lost or stored twice.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    def of(self, scope: Scope) -> anyio.Lock:
        """The lock of the namespace of `scope`."""
        return self._locks.setdefault((scope.tenant, scope.namespace), anyio.Lock())


@dataclass(frozen=True, slots=True)
class _Batch:
    """Memories that are written together at `now`, what the store has of them, and the plan for
    writing them.

    stored: the stored memories that have the id of one of `pending`, by id. neighbours: the similar
    stored memories, by index in `pending`.
    """

    scope: Scope
    now: datetime
    pending: Sequence[PendingWrite]
    stored: Mapping[str, Memory]
    neighbours: Neighbours
    plan: WritePlan


@dataclass(frozen=True, slots=True)
class MemoryWriter:
    """Deduplicates memories and writes them to the store, one call at a time per namespace."""

    store: MemoryStore
    embedder: Embedder
    preparer: Preparer
    clock: Clock
    locks: ScopeLocks

    async def write(self, scope: Scope, pending: Sequence[PendingWrite]) -> list[WriteOutcome]:
        """Store or merge each memory of `pending`; return the outcomes. Raises what store and
        embedder raise.
        """
        texts = (entry.memory.content for entry in pending)
        groups = await offload(texts, lambda: _split_at_restatements(pending, self.clock()))
        return [outcome for group in groups for outcome in await self._write(scope, group)]

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
            batch = _Batch(scope, now, pending, stored, neighbours, plan)
            states = await self._place_facts(batch)
            if records := await self._records(batch, states):
                await self.store.upsert(scope, records)
            if plan.patches:
                await self.store.patch(scope, plan.patches)
            types = {
                memory_id: states.memories[memory_id].type
                for memory_id in states.changed - states.deleted
            }
            read_back = await self.store.get(
                scope, types | {entry.memory.id: entry.memory.type for entry in pending}
            )
        return [
            _outcome(planned, entry.memory, read_back, states.changed)
            for planned, entry in zip(plan.writes, pending, strict=True)
        ]

    async def _resolve_ids(
        self, scope: Scope, pending: Sequence[PendingWrite], now: datetime
    ) -> tuple[list[PendingWrite], dict[str, Memory]]:
        """Give each entry an id that no other statement has; return the entries, and the stored
        memories by these ids.

        The id of a memory is derived from its identity (such as its text). Another id is derived,
        by adding a suffix to the identity, if a stored memory with this id says something else
        because it was edited, or is a replaced fact or an ended task that is now stated again.
        Raises Conflict if no free id is found.
        """
        resolved = list(pending)
        for attempt in range(1, _MAX_NAMESAKES):
            types = {entry.memory.id: entry.memory.type for entry in resolved}
            stored = {
                memory.id: memory.at(now)
                for memory in (await self.store.get(scope, types)).values()
            }
            suffixes = [_id_suffix(entry.memory, stored, types, attempt) for entry in resolved]
            if not any(suffixes):
                return resolved, stored
            resolved = [
                entry
                if suffix is None
                else _with_id(
                    entry, memory_id(scope, entry.memory.type, (*entry.memory.identity(), suffix))
                )
                for entry, suffix in zip(resolved, suffixes, strict=True)
            ]
        raise Conflict(
            f"{_MAX_NAMESAKES} revised memories have the ids that this statement could have"
        )

    async def _embed_new(
        self, scope: Scope, pending: list[PendingWrite], new: Sequence[int]
    ) -> list[PendingWrite]:
        """Return `pending`, where each entry at an index in `new` has an embedding with its current
        context.

        The entry had none if it was taken for a repetition. The context, its earlier turns, is read
        again.
        """
        turns = {entry.memory.id: entry.memory for entry in pending}
        earlier = {
            turn.id: turn.type
            for index in new
            for turn in pending[index].before
            if turn.id not in turns
        }
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

    async def _place_facts(self, batch: _Batch) -> States:
        """Decide which facts of `batch` replace or contest others; add this to its plan, and return
        the new states.
        """
        plan = batch.plan
        stored = batch.stored
        # Ended memories that are written again are current. What they did to other facts is undone,
        # and judged again.
        renewed = {
            memory_id: stored[memory_id] for memory_id in plan.inserts if memory_id in stored
        }
        states = States(batch.now, {**plan.merged, **renewed})
        if linked := {end for memory in renewed.values() for end in contradicted(memory)}:
            states.add_loaded(linked, await self.store.get(batch.scope, sorted(linked)))
        compared = {
            memory_id: [Neighbour(fact, None) for fact in states.retract(memory_id)]
            for memory_id in renewed
        }
        for new_id, index in plan.sources.items():
            compared.setdefault(new_id, []).extend(
                Neighbour(states.memories.get(similar.memory.id, similar.memory), similar.cosine)
                for similar in batch.neighbours.get(index, ())
            )
        unfinished = await self._unfinished(batch)
        arriving = [
            *plan.inserts.values(),
            *(plan.merged.get(fact_id, stored[fact_id]) for fact_id in unfinished),
        ]
        compared |= unfinished
        await offload(
            (fact.content for fact in arriving), lambda: place_facts(arriving, compared, states)
        )
        # Also settle memories with links that a caller set, and those that a merge has changed:
        # their tokens are counted again.
        sent = {new_id: batch.pending[index].memory for new_id, index in plan.sources.items()}
        states.changed |= plan.merged.keys()
        states.changed |= {
            memory.id
            for memory in plan.inserts.values()
            if contradicted(memory) or memory != sent[memory.id]
        }
        await StateWriter(self.store, self.preparer.count_tokens).settle(batch.scope, states)
        for changed_id in states.changed - states.deleted:
            if changed_id in plan.inserts:
                plan.inserts[changed_id] = states.memories[changed_id]
            else:
                plan.patches[changed_id] = {
                    **plan.patches.get(changed_id, {}),
                    **states.patch(changed_id),
                }
        return states

    async def _records(self, batch: _Batch, states: States) -> list[Record]:
        """Records of new memories, of merged ones with a new text to embed, and of the turns after
        such merged ones.
        """
        plan = batch.plan
        context = ConversationContext(self.store)
        # Of entries with one id only the first is embedded, and any of them may be the one that is
        # stored.
        computed = {
            entry.memory.id: entry.embedding
            for entry in reversed(batch.pending)
            if entry.embedding is not None
        }
        entries: list[PendingWrite] = []
        for memory in plan.inserts.values():
            entry = batch.pending[plan.sources[memory.id]]
            if memory.embedding_text() == entry.memory.embedding_text():
                entries.append(replace(entry, memory=memory, embedding=computed[memory.id]))
            else:
                renewed = await anyio.to_thread.run_sync(self.preparer.prepare_memory, memory)
                entries.append(replace(renewed, submission=entry.submission, before=entry.before))
        merged = [states.memories[memory_id] for memory_id in plan.merged]
        stale = [
            memory
            for memory in merged
            if memory.embedding_text() != batch.stored[memory.id].embedding_text()
        ]
        stale += [
            turn
            for turn in await context.following(batch.scope, stale)
            if turn.id not in plan.inserts
        ]
        for memory, before in zip(
            stale, await context.turns_before(batch.scope, stale), strict=True
        ):
            renewed = await anyio.to_thread.run_sync(self.preparer.prepare_memory, memory)
            entries.append(replace(renewed, before=before))
        texts = [entry.in_context for entry in entries if entry.embedding is None]
        embeddings = iter(await self.embedder.embed_in_context(texts) if texts else ())
        return [entry.record(entry.embedding or next(embeddings)) for entry in entries]

    async def _unfinished(self, batch: _Batch) -> dict[str, list[Neighbour]]:
        """Facts that an earlier write of a repeated fact should have ended or contested, by the id
        of that fact.

        The process of that write died after storing the fact with its links, before it updated the
        linked facts.
        """
        stored = batch.stored
        repeated = {
            planned.id for planned in batch.plan.writes
        } & stored.keys() - batch.plan.inserts.keys()
        facts = [stored[fact_id] for fact_id in sorted(repeated) if is_public_fact(stored[fact_id])]
        types = dict.fromkeys(
            {end for fact in facts for end in contradicted(fact)}, MemoryType.SEMANTIC
        )
        ends = (await self.store.get(batch.scope, types)).values() if types else ()
        linked_facts = [fact.at(batch.now) for fact in sorted(ends, key=lambda fact: fact.id)]
        return {
            fact.id: [
                Neighbour(linked, None)
                for linked in linked_facts
                if linked.id in contradicted(fact)
                and linked.superseded_by != fact.id
                and fact.id not in contradicted(linked)
            ]
            for fact in facts
            if contradicted(fact)
        }


def _id_suffix(
    memory: Memory, stored: Mapping[str, Memory], arriving: Container[str], attempt: int
) -> str | None:
    """The suffix for a new id of `memory` (see `_resolve_ids`); None if it keeps its id. arriving:
    all arriving ids.
    """
    namesake = stored.get(memory.id)
    if namesake is None:
        return None
    repeated = same_place(namesake, memory) or lacks_due(memory, namesake)
    if namesake.identity() != memory.identity() and not repeated:
        return f"namesake {attempt}"
    is_new = is_reasserted(namesake, memory, arriving) or is_new_task(namesake, memory)
    return f"since {rfc3339(memory.valid_from)}" if is_new else None


def _split_at_restatements(
    pending: Sequence[PendingWrite], now: datetime
) -> list[list[PendingWrite]]:
    """Split `pending` into groups to write one after the other, so that the last of contradicting
    statements holds.

    A group ends before a fact that the group has already and contradicts in between (A, B, A), and
    before an open task that the group has as an ended one.
    """
    groups: list[list[PendingWrite]] = []
    positions: dict[object, int] = {}  # of each statement in the last group
    for entry in pending:
        key = statement(entry.memory) if is_public_fact(entry.memory) else entry.memory.id
        previous, *between = groups[-1][positions[key] :] if key in positions else [entry]
        contradicted_since = any(contradict(other.memory, entry.memory, now) for other in between)
        if not groups or contradicted_since or is_new_task(previous.memory, entry.memory):
            groups.append([])
            positions.clear()
        positions[key] = len(groups[-1])
        groups[-1].append(entry)
    return groups


def _with_id(entry: PendingWrite, new_id: str) -> PendingWrite:
    return replace(entry, memory=entry.memory.model_copy(update={"id": new_id}))


def _first_new(
    pending: Sequence[PendingWrite], stored: Mapping[str, Memory], now: datetime
) -> list[int]:
    """For each id in `pending` that is not stored, or whose memory has ended: the first index with
    this id.
    """
    first = {entry.memory.id: index for index, entry in reversed(list(enumerate(pending)))}
    return sorted(first[new] for new in first if new not in stored or is_over(stored[new], now))


async def _use_original_ids(
    pending: list[PendingWrite], stored: dict[str, Memory], neighbours: Neighbours
) -> tuple[list[PendingWrite], dict[str, Memory], Neighbours]:
    """Give each entry that repeats another memory (the original) in slightly other words the id of
    the original.

    It is merged into the original later. Returns the three arguments with these changes: `stored`
    has the originals, too, and `neighbours` has them instead of their repetitions. Entries with the
    same id also get the same embedding.
    """
    memories = [entry.memory for entry in pending]
    embeddings = {
        entry.memory.id: entry.embedding
        for entry in reversed(pending)
        if entry.embedding is not None
    }
    by_index = await offload(
        (memory.content for memory in memories), lambda: originals(memories, stored, neighbours)
    )
    renamed = [
        _with_id(entry, by_index[index].id)
        if index in by_index
        else replace(entry, embedding=entry.embedding or embeddings.get(entry.memory.id))
        for index, entry in enumerate(pending)
    ]
    arriving = {memory.id for memory in memories}
    by_id = {memories[index].id: original for index, original in by_index.items()}
    with_originals = {
        index: [Neighbour(by_id.get(near.memory.id, near.memory), near.cosine) for near in similar]
        for index, similar in neighbours.items()
    }
    stored = {
        memory.id: memory for memory in by_index.values() if memory.id not in arriving
    } | stored
    return renamed, stored, with_originals


def _outcome(
    planned: PlannedWrite, written: Memory, read_back: Mapping[str, Memory], changed: Container[str]
) -> WriteOutcome:
    """The outcome of a write; failed if `read_back` lacks the memory. changed: ids of those whose
    state has changed.
    """
    memory = read_back.get(planned.id)
    as_written = memory is not None and memory.content_hash == written.content_hash
    if memory is None or not (
        as_written or planned.merged in (SAME_WRITE, SAME_WORDS, SAME_WORDING)
    ):
        return WriteOutcome(WriteStatus.FAILED, id=planned.id, reason=NOT_READ_BACK)
    rivals = [
        other
        for other in read_back.values()
        if other.id in changed and other.id in contradicted(memory)
    ]
    ended = tuple(rival.id for rival in rivals if rival.superseded_by == memory.id)
    contests = tuple(rival.id for rival in rivals if rival.state is State.CONTESTED)
    stored = WriteOutcome(
        WriteStatus.STORED, memory.id, memory=memory, supersedes=ended, contests=contests
    )
    if planned.merged is None:
        return stored
    reason = planned.merged if planned.merged == SAME_WRITE else f"{planned.merged} as {memory.id}"
    return replace(
        stored,
        status=WriteStatus.MERGED,
        reason=reason,
        merged_into=memory.id,
        changed=planned.changed,
    )
