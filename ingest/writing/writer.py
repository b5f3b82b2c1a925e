"""Writes memories to the store, and determines each outcome by reading the store back."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import anyio

from ingest.identity.acts import Deeds
from ingest.identity.duplicates import SAME_WORDING, SAME_WORDS, SAME_WRITE
from ingest.identity.plan import Arriving, Plan, PlannedWrite, plan
from ingest.identity.states import contradicted
from ingest.identity.stored import Stored
from ingest.writing.consulting import targets
from ingest.writing.drafts import PendingWrite, Preparer
from ingest.writing.embedding import MemoryEmbedder
from ingest.writing.lookup import LookedUp, read_stored
from ingest.writing.outcome import WriteOutcome, WriteStatus
from memtypes.model.filters import Compare, Op, all_of, unfinished
from memtypes.model.memory import Memory, State
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import CLOSED, Prospective, Status, TaskChange
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.offload import offload
from memtypes.ports.memory_store import Listing, MemoryStore, Record

MAX_LAPSED = 100
"""Maximum number of appointments that one write marks as lapsed; the next write goes on."""

NOT_READ_BACK = "the store accepted it, but did not return it when it was read back"


class ScopeLocks:
    """A lock for each namespace in use, and for each session whose messages are stored. Within this
    process, only one caller at a time writes to a namespace, and stores the messages of a session.

    A write reads memories, decides and writes them back, which is not atomic. The locks do not
    cover other processes: if two of them repeat a stored text at the same time, its count of
    repetitions may rise by one instead of two. No memory is lost or stored twice.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, ...], anyio.Lock] = WeakValueDictionary()

    def lock(self, scope: Scope) -> anyio.Lock:
        """The lock of the namespace of `scope`."""
        return self._locks.setdefault((scope.tenant, scope.namespace), anyio.Lock())

    def session_lock(self, scope: Scope) -> anyio.Lock:
        """The lock of the messages of the session that `scope` names."""
        key = (scope.tenant, scope.namespace, scope.session_id or "")
        return self._locks.setdefault(key, anyio.Lock())


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did, as read back. outcomes: of the memories, in order. tasks: those that it
    changed.
    """

    outcomes: list[WriteOutcome]
    tasks: list[Prospective]


@dataclass(frozen=True, slots=True)
class MemoryWriter:
    """Writes memories to the store, one call at a time per namespace: reads what the store has,
    plans, writes, and reads the result back.
    """

    store: MemoryStore
    embedder: MemoryEmbedder
    preparer: Preparer
    clock: Clock
    locks: ScopeLocks

    async def write(
        self, scope: Scope, pending: Sequence[PendingWrite], deeds: Sequence[Deeds] = ()
    ) -> Written:
        """Store or merge each memory of `pending`, and do the `deeds` of texts. Raises what store
        and embedder raise.
        """
        if not pending and not deeds:
            return Written([], [])
        async with self.locks.lock(scope):
            now = self.clock()
            pending, made = await self._plan(scope, pending, deeds, now)
            records = await self._records(scope, pending, made)
            said_at = [entry.memory.created_at for entry in pending]
            said_at += [made_of.told.said_at for made_of in deeds]
            lapsed = await self._lapsed(scope, min(max(said_at), now), made)
            patches = {**made.patches, **lapsed}
            if records or patches:
                await self.store.write(scope, records, patches)
            types = {memory.id: memory.type for memory in made.affected.values()}
            for planned, entry in zip(made.writes, pending, strict=True):
                types[planned.id] = entry.memory.type
            read_back = await self.store.get(scope, types)
        outcomes = [
            _outcome(planned, entry.memory, read_back, made.affected)
            for planned, entry in zip(made.writes, pending, strict=True)
        ]
        return Written(outcomes, _changed_tasks(read_back, made.affected))

    async def _plan(
        self,
        scope: Scope,
        pending: Sequence[PendingWrite],
        deeds: Sequence[Deeds],
        now: datetime,
    ) -> tuple[list[PendingWrite], Plan]:
        """The plan for writing `pending`, and the entries with the embeddings that it needs.

        One read is enough for most plans. Another one follows if an entry is new that was taken for
        a repetition, or if links lead further than the first read followed them.
        """
        also = {turn.id: turn.type for entry in pending for turn in entry.before}
        also |= targets(deeds)
        pending = _with_shared_embeddings(pending)
        stored = await read_stored(self.store, scope, _looked_up(pending), now, also)
        entries = _in_present_context(pending, stored)
        while True:
            arriving = [_arriving(entry) for entry in entries]
            made = await offload(
                (entry.memory.content for entry in entries),
                partial(plan, stored, arriving, now, self.preparer.count_tokens, deeds),
            )
            if made.unembedded:
                unembedded = [entries[index] for index in made.unembedded]
                embedded = await self.embedder.embedded(unembedded)
                for index, entry in zip(made.unembedded, embedded, strict=True):
                    entries[index] = entry
                again = await read_stored(self.store, scope, _looked_up(entries), now, also)
                stored = stored.updated(again)
            elif made.missing:
                memories = await self.store.get(scope, sorted(made.missing))
                stored = stored.with_found(made.missing, memories)
            else:
                return entries, made

    async def _lapsed(
        self, scope: Scope, moment: datetime, made: Plan
    ) -> dict[str, dict[str, Any]]:
        """The patches of appointments that were over at `moment`, by id, with those that the plan
        has for them.

        moment: when the newest text of this write was said. So what an import tells of the past
        makes nothing lapse that is still to come.
        """
        over = all_of(unfinished(), Compare("lapses_at", Op.LTE, moment))
        page = await self.store.page(scope, Listing((MemoryType.PROSPECTIVE,), over, MAX_LAPSED))
        patches: dict[str, dict[str, Any]] = {}
        for task in page.memories:
            if task.id in made.inserts:
                continue
            planned = made.patches.get(task.id, {})
            lapsed = task.model_copy(update={"status": Status.LAPSED})
            tokens = self.preparer.count_tokens(lapsed).model_dump(mode="json")
            patches[task.id] = {**planned, "status": str(Status.LAPSED), "tokens": tokens}
        return patches

    async def _records(
        self, scope: Scope, entries: Sequence[PendingWrite], made: Plan
    ) -> list[Record]:
        """Records of new memories, of those that a merge gave another text to embed, and of the
        stored turns after these.
        """
        reworded = {memory.id for memory in made.reworded}
        records: list[PendingWrite] = []
        for memory in made.inserts.values():
            entry = entries[made.sources[memory.id]]
            if memory.id in reworded:
                renewed = await anyio.to_thread.run_sync(self.preparer.prepare_memory, memory)
                records.append(replace(renewed, submission=entry.submission, before=entry.before))
            else:
                records.append(replace(entry, memory=memory))
        stale = [memory for memory in made.reworded if memory.id not in made.inserts]
        if stale:
            following = await self.embedder.following(scope, stale, stale)
            records += await self.embedder.in_context(scope, stale)
            records += [entry for entry in following if entry.memory.id not in made.inserts]
        return await self.embedder.records(records)


def _looked_up(entries: Sequence[PendingWrite]) -> list[LookedUp]:
    return [
        LookedUp(entry.memory, None if entry.embedding is None else entry.vectors(entry.embedding))
        for entry in entries
    ]


def _arriving(entry: PendingWrite) -> Arriving:
    return Arriving(entry.memory, None if entry.embedding is None else entry.embedding.dense)


def _with_shared_embeddings(entries: Sequence[PendingWrite]) -> list[PendingWrite]:
    """`entries`, where those with the same id have the same embedding: only the first was
    embedded.
    """
    embeddings = {
        entry.memory.id: entry.embedding
        for entry in reversed(entries)
        if entry.embedding is not None
    }
    return [
        replace(entry, embedding=entry.embedding or embeddings.get(entry.memory.id))
        for entry in entries
    ]


def _in_present_context(entries: Sequence[PendingWrite], stored: Stored) -> list[PendingWrite]:
    """`entries` with the turns before them as they are now.

    An entry whose context was changed or deleted since it was embedded has no embedding any more.
    """
    turns: dict[str, Memory] = {**stored.memories}
    turns |= {entry.memory.id: entry.memory for entry in entries}
    present: list[PendingWrite] = []
    for entry in entries:
        before = tuple(turns[turn.id] for turn in entry.before if turn.id in turns)
        renewed = replace(entry, before=before)
        if renewed.in_context != entry.in_context:
            renewed = replace(renewed, embedding=None)
        present.append(renewed)
    return present


def _outcome(
    planned: PlannedWrite,
    written: Memory,
    read_back: Mapping[str, Memory],
    affected: Container[str],
) -> WriteOutcome:
    """The outcome of a write; failed if `read_back` lacks the memory. affected: ids of those whose
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
        if other.id in affected and other.id in contradicted(memory)
    ]
    replaced = [rival for rival in rivals if rival.superseded_by == memory.id]
    tasks = _changed_tasks(read_back, affected)
    contests = tuple(rival.id for rival in rivals if rival.state is State.CONTESTED)
    stored = WriteOutcome(
        WriteStatus.STORED,
        memory.id,
        memory=memory,
        supersedes=tuple(rival.id for rival in replaced),
        contests=contests,
        ended=tuple(task.id for task in tasks if _is_ended_by(task, memory)),
        moved=tuple(task.id for task in tasks if _is_moved_by(task, memory)),
        retracted=tuple(rival.id for rival in replaced if rival.state is State.WRONG),
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


def _changed_tasks(read_back: Mapping[str, Memory], affected: Container[str]) -> list[Prospective]:
    memories = read_back.values()
    return [task for task in memories if isinstance(task, Prospective) and task.id in affected]


def _is_ended_by(task: Prospective, memory: Memory) -> bool:
    return task.status in CLOSED and task.ended is not None and task.ended.by == memory.id


def _is_moved_by(task: Prospective, memory: Memory) -> bool:
    """Whether `memory` takes the place of `task`, or moved it as the last thing that happened."""
    if task.superseded_by == memory.id:
        return True
    if task.id == memory.id or not task.history:
        return False
    last = task.history[-1]
    return last.how is TaskChange.MOVED and last.by == memory.id
