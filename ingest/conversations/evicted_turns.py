"""Stores turns as memories: turns that were removed from threads (evicted), and turns that clients
report (captured).

Turns wait in queues of the live store until they are written, in batches of turns that were removed
together. So none is lost if the service crashes, and failed writes are retried. Writing a batch
twice is harmless: the id of a memory is derived from its turns.

A batch that is rejected is put behind the other batches. After `TRIES` rejections it is set aside,
so that it neither blocks the others nor is lost. A batch that is set aside is queued again after a
pause, which doubles each time, and whenever the service starts, because the redaction rules may
have changed.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

from pydantic import ValidationError

from ingest.conversations.sessions import SaidBefore, SessionMessage, SessionWriter
from ingest.conversations.transcript import (
    LeftTurn,
    draft_of_turns,
    memories_of_thread,
    split,
    turns_of,
)
from ingest.screening.recall_guard import RecallGuard
from ingest.screening.submission import ReviewMode
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor
from ingest.writing.writer import ScopeLocks
from memtypes.live.turns import Turn
from memtypes.model.episodic import EpisodicDraft
from memtypes.model.errors import InvalidRequest, Overloaded, RemembrancerError, Unavailable
from memtypes.model.memory import Source
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339, to_utc
from memtypes.ports.client_sessions import ClientSessionStore
from memtypes.ports.threads import EvictedTurns, EvictedTurnStore

TRIES = 3
"""Rejections after which a batch is set aside; each call of `persist` tries a batch at most
once.
"""

FIRST_PAUSE = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(days=1)
"""Shortest and longest pause before a batch that was set aside is queued again; each is twice the
one before.
"""

SUMMARY_ROLE = "summary"
"""Role of a captured turn that holds a client's own summary of its session so far; it is stored as
one event memory.
"""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class EvictedTurnCounts:
    """Numbers of batches that were stored, left in the queue after a failure, set aside, and queued
    again later.
    """

    kept: int = 0
    postponed: int = 0
    set_aside: int = 0
    recalled: int = 0


@dataclass(eq=False, slots=True)
class EvictedTurnWriter:
    """Writes turns that were removed from threads as memories, in the background, so that appends
    do not wait for it.

    Within one process, batches of a namespace are written one at a time, under the namespace's lock
    in `locks`. So a caller that holds this lock can delete queued turns while none of them is being
    written. Several processes may write the same batch at once.
    """

    name: ClassVar[str] = "evicted turns"
    """What messages in the log call these turns."""

    store: EvictedTurnStore
    ingestor: Ingestor
    clock: Clock
    counts: EvictedTurnCounts = field(default_factory=EvictedTurnCounts, init=False)
    locks: ScopeLocks = field(default_factory=ScopeLocks, init=False)
    _runs: ScopeLocks = field(default_factory=ScopeLocks, init=False)
    _started: bool = field(default=False, init=False)
    _due: set[Scope] = field(default_factory=set, init=False)
    _waiting: dict[tuple[str, str], int] = field(default_factory=dict, init=False)
    _persisting: asyncio.Task[None] | None = field(default=None, init=False)
    _closing: bool = field(default=False, init=False)

    @property
    def waiting(self) -> int:
        """Number of batches of turns that were still queued when this process last read the
        queues.
        """
        return sum(self._waiting.values())

    def persist_soon(self, scope: Scope) -> None:
        """Start to write the queued turns of the namespace of `scope` as memories, in a background
        task.
        """
        self._due.add(Scope(scope.tenant, scope.namespace))
        if self._persisting is None or self._persisting.done():
            self._persisting = asyncio.create_task(self._persist_due())

    async def wait_until_idle(self) -> None:
        """Wait until the background work that `persist_soon` started has ended."""
        while self._persisting is not None and not self._persisting.done():
            await asyncio.wait({self._persisting})

    async def aclose(self) -> None:
        """Stop after the batch that is being written; the other batches stay queued until the
        service starts again.
        """
        self._closing = True
        await self.wait_until_idle()

    async def _persist_due(self) -> None:
        while self._due and not self._closing:
            await self.persist(self._due.pop())

    async def persist(self, scope: Scope) -> dict[str, list[str]]:
        """Try once to write each queued batch of turns of the namespace; return the memories' ids,
        by thread id.

        Service errors are logged, not raised. Calls for the same namespace run one after the other.
        """
        memory_ids: dict[str, list[str]] = {}
        key = scope.tenant, scope.namespace
        async with self._runs.lock(scope):
            try:
                queued = self._waiting[key] = (await self.store.backlog(scope)).waiting
                for _ in range(queued):
                    if self._closing:
                        return memory_ids
                    async with self.locks.lock(scope):
                        for batch in await self.store.pending(scope, 1):
                            memory_ids.setdefault(batch.thread_id, []).extend(
                                await self._persist(scope, batch)
                            )
                self._waiting[key] = (await self.store.backlog(scope)).waiting
            except RemembrancerError as error:
                _log.warning(
                    "%s stay queued, and are tried again: %s", self.name, type(error).__name__
                )
            if not self._waiting.get(key):
                self._waiting.pop(key, None)
        return memory_ids

    async def persist_all(self) -> int:
        """Write the queued batches of turns of all namespaces; return the number of memories.

        Before this, batches that were set aside after several rejections are queued again: all of
        them in the first call of this process, later those whose pause is over.
        """
        self.counts.recalled += await self.store.requeue(
            to_utc(self.clock()) if self._started else None
        )
        self._started = True
        scopes = [scope async for scope in self.store.scopes()]
        return sum([len(ids) for scope in scopes for ids in (await self.persist(scope)).values()])

    async def turns(self, scope: Scope, thread_id: str) -> list[LeftTurn]:
        """Return the turns that were removed from the thread, in order, whether or not they are
        memories yet.

        A removed turn moves from the thread to a queue, then into a memory. A caller that also
        needs the turns still in the thread must read these first: a turn that is removed meanwhile
        is then found twice, and not missed.
        """
        backlog = await self.store.backlog(scope, thread_id)
        pending = await self.store.pending(scope, backlog.waiting) if backlog.waiting else []
        batches = [batch for batch in pending if batch.thread_id == thread_id]
        turns = {
            turn.index: LeftTurn(turn)
            for batch in (*batches, *backlog.set_aside)
            for turn in batch.turns
        }
        memories = self.ingestor.store.list_all(scope, memories_of_thread(thread_id))
        turns |= {
            turn.index: LeftTurn(turn, memory.id)
            async for memory in memories
            for turn in turns_of(memory)
        }
        return [turns[index] for index in sorted(turns)]

    async def _persist(self, scope: Scope, batch: EvictedTurns) -> list[str]:
        """Write a batch of turns as memories and take it off the queue; return their ids, none if
        it is rejected.

        Raises Unavailable or Overloaded if the store cannot take the batch now; the batch then
        stays in the queue.
        """
        try:
            memory_ids = await self.write(scope, batch)
        except (Unavailable, Overloaded):
            await self.store.postpone(scope, batch, batch.tries)
            self.counts.postponed += 1
            raise
        except RemembrancerError as error:
            reason = str(error)
        # One bug must not block all later batches; counted and logged
        except Exception as error:  # noqa: BLE001
            _log.exception("unexpected error while storing %s of %s", self.name, batch.thread_id)
            reason = type(error).__name__
        else:
            await self.store.acknowledge(scope, batch)
            self.counts.kept += 1
            return memory_ids
        tries = batch.tries + 1
        if tries < TRIES and not batch.rounds:
            await self.store.postpone(scope, batch, tries)
            self.counts.postponed += 1
            return []
        retry_at = to_utc(self.clock()) + min(
            FIRST_PAUSE * 2 ** min(batch.rounds, 20), LONGEST_PAUSE
        )
        await self.store.set_aside(scope, batch, reason, retry_at)
        self.counts.set_aside += 1
        subject = f"{len(batch.turns)} {self.name} of {batch.thread_id}"
        _log.error(
            "%s are set aside until %s after %d tries: %s",
            subject,
            rfc3339(retry_at),
            tries,
            reason,
        )
        return []

    async def write(self, scope: Scope, batch: EvictedTurns) -> list[str]:
        """Write the turns of `batch` as memories; return their ids. Raises InvalidRequest if a
        memory is rejected.
        """
        memory_ids: list[str] = []
        # Eviction order may differ
        for turns in split(sorted(batch.turns, key=lambda turn: turn.index)):
            try:
                draft = draft_of_turns(batch.thread_id, turns)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                raise InvalidRequest(
                    f"evicted turns do not form a valid memory: {first['msg']}"
                ) from error
            draft = draft.model_copy(update={"created_at": min(turns[-1].at, to_utc(self.clock()))})
            outcome = await self.ingestor.write_one(scope, draft)
            memory_id = outcome.id
            if memory_id is None:
                raise InvalidRequest(
                    f"the memory of evicted turns was {outcome.status}: {outcome.reason}"
                )
            memory_ids.append(memory_id)
        return memory_ids


@dataclass(eq=False, slots=True)
class CapturedTurnWriter(EvictedTurnWriter):
    """Writes turns that clients reported of their sessions as memories, after filtering, review and
    redaction.

    Text that repeats a memory which was shown to the session is not stored again; memories that
    were made of the session's own turns count as shown. A queued batch of these turns has the
    session's id as thread id.
    """

    name: ClassVar[str] = "captured turns"

    sessions: ClientSessionStore
    guard: RecallGuard

    async def write(self, scope: Scope, batch: EvictedTurns) -> list[str]:
        """Write the turns of `batch` as memories; return their ids. A turn that is not worth
        keeping is not stored.

        Raises Unavailable or Overloaded if the store cannot take turns now, RemembrancerError if
        one was not stored.
        """
        turns = sorted(batch.turns, key=lambda turn: turn.index)
        session = Scope(scope.tenant, scope.namespace, batch.thread_id, turns[0].agent_id)
        summaries = [turn for turn in turns if turn.role == SUMMARY_ROLE]
        spoken = [turn for turn in turns if turn.role != SUMMARY_ROLE]
        ids = [
            memory_id for turn in summaries for memory_id in await self._summarised(session, turn)
        ]
        if spoken:
            writer = SessionWriter(
                self.ingestor, self.guard, (await self.sessions.begin(session)).ids
            )
            messages = [
                SessionMessage(role=turn.role, content=turn.content, timestamp=rfc3339(turn.at))
                for turn in spoken
            ]
            outcomes = await writer.write(
                session, messages, ReviewMode.AUTO, SaidBefore(count=spoken[0].index)
            )
            failed = [
                outcome.reason or "" for outcome in outcomes if outcome.status is WriteStatus.FAILED
            ]
            if failed:
                raise RemembrancerError(f"{len(failed)} messages were not stored: {failed[0]}")
            ids += [memory_id for outcome in outcomes for memory_id in outcome.ids]
        await self.sessions.note_shown(session, ids)
        return ids

    async def discard(self, scope: Scope) -> None:
        """Discard the turns and prompts of the scope's session (of all, if it names none) that are
        not stored yet.
        """
        await self.store.discard(scope, scope.session_id)
        await self.sessions.discard_prompts(scope)

    async def _summarised(self, session: Scope, turn: Turn) -> list[str]:
        (content,) = await self.guard.without_recalled(session, [turn.content])
        if not content.strip():
            return []
        draft = EpisodicDraft(
            type=MemoryType.EPISODIC,
            content=content,
            title="Summary of a session",
            session_id=session.session_id,
            created_at=turn.at,
            source=Source.of_message(session.session_id, turn.index),
        )
        outcome = await self.ingestor.write_one(session, draft)
        memory_id = outcome.id
        return [] if memory_id is None else [memory_id]
