"""Intentions that come due, once: by time, by the name of an event, by likeness to a context; and what ends them.

Knows no HTTP. What is due is found by reading the open intentions; what is marked is marked under the namespace's lock,
so that of two who ask at once one alone gets it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ingest.writing.changes import existing_memory
from ingest.writing.pipeline import Ingestor
from ingest.writing.writer import ScopeLocks
from memtypes.model.errors import Conflict, InvalidRequest, Unavailable
from memtypes.model.filters import Absent, AnyOf, Compare, Filter, Op, all_of
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import OPEN, Prospective, Status, TriggerType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.encoders import Embedder
from memtypes.ports.locks import LockRequest, Locks
from memtypes.ports.memory_store import Listing, MemoryStore

ALIKE = 0.4
"""Cosine from which a context is the one that is waited for: of a dozen written pairs those that belong together had
0.48 and more, the others 0.07 and less."""

MAX_WAITING = 1_000
"""Open intentions of a namespace that one look considers: the newest."""

ALONE_S = 8.0
"""How long one process may be at it: shorter than others wait, so that the lock of one that was killed fails nobody."""

_PAGE = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DueQuestion:
    """What is due at `at`, when `event` happens, in `context`. session_id: of the one who asks; None sees all."""

    at: datetime
    event: str | None = None
    context: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class IntentionParts:
    """What intentions work with. locks: those of the ingestor.

    between: keeps processes apart, of which each has an ingestor of its own; None where there is but one.
    """

    store: MemoryStore
    embedder: Embedder
    ingestor: Ingestor
    locks: ScopeLocks
    clock: Clock
    between: Locks | None = None


class Intentions:
    """Finds, fires and ends intentions."""

    def __init__(self, parts: IntentionParts) -> None:
        self._parts = parts

    async def due(self, scope: Scope, question: DueQuestion) -> list[Prospective]:
        """What is due and has not fired, the longest due first."""
        waiting = [one for one in await self._waiting(scope, question) if may_see(one, question.session_id)]
        alike = await self._alike(waiting, question.context)
        found = [one for one in waiting if is_due(one, question) or one.id in alike]
        return sorted(found, key=lambda one: (one.due_at or one.created_at, -one.priority, one.id))

    async def fire(self, scope: Scope, question: DueQuestion) -> list[Prospective]:
        """What is due, marked active: nobody else gets it again."""
        async with self._parts.locks.of(scope), self._alone(scope):
            return await self._marked(scope, [one.id for one in await self.due(scope, question)])

    async def mark(self, scope: Scope, ids: Sequence[str]) -> list[Prospective]:
        """Those of `ids` that had not fired, marked active."""
        if not ids:
            return []
        async with self._parts.locks.of(scope), self._alone(scope):
            return await self._marked(scope, ids)

    @asynccontextmanager
    async def _alone(self, scope: Scope) -> AsyncIterator[None]:
        """Within it no other process fires. With the locks away it goes on: twice told is better than not at all."""
        between, lease = self._parts.between, None
        if between is not None:
            try:
                lease = await between.acquire(LockRequest("due", scope, ttl_s=ALONE_S, optional=True))
            except Unavailable as error:
                _log.warning("intentions may fire twice where there are several processes: %s", error)
        try:
            yield
        finally:
            if between is not None and lease is not None:
                with suppress(Unavailable):  # it frees itself after its time limit
                    await between.release(lease)

    async def _marked(self, scope: Scope, ids: Sequence[str]) -> list[Prospective]:
        now = rfc3339(self._parts.clock())
        kept = await self._parts.store.get(scope, ids)
        fresh = [one for one in (kept.get(key) for key in ids) if isinstance(one, Prospective) and not has_fired(one)]
        if not fresh:
            return []
        change = {"status": str(Status.ACTIVE), "fired_at": now, "updated_at": now}
        await self._parts.store.patch(scope, {one.id: change for one in fresh})
        after = await self._parts.store.get(scope, [one.id for one in fresh])
        return [one for one in (after.get(old.id) for old in fresh) if isinstance(one, Prospective)]

    async def complete(self, scope: Scope, memory_id: str) -> Memory:
        """The intention, completed. Raises NotFound, InvalidRequest for another type, Conflict if it was cancelled."""
        return await self._end(scope, memory_id, Status.COMPLETED)

    async def cancel(self, scope: Scope, memory_id: str) -> Memory:
        """The intention, cancelled. Raises NotFound, InvalidRequest for another type, Conflict if it was completed."""
        return await self._end(scope, memory_id, Status.CANCELLED)

    async def snooze(self, scope: Scope, memory_id: str, until: datetime) -> Memory:
        """The intention, due at `until` and not before. Raises as `complete` does, and InvalidRequest for the past."""
        await self._open(scope, memory_id, Status.PENDING)
        if until <= self._parts.clock():
            raise InvalidRequest("must lie in the future", path="until", got=rfc3339(until))
        changes = {"due_at": until, "due_text": None, "status": Status.PENDING, "fired_at": None}
        return await self._parts.ingestor.revise(scope, memory_id, {**changes, "trigger_type": TriggerType.TIME})

    async def _end(self, scope: Scope, memory_id: str, status: Status) -> Memory:
        before = await self._open(scope, memory_id, status)
        if before.status is status:
            return before
        ended = self._parts.clock() if status is Status.COMPLETED else None
        return await self._parts.ingestor.revise(scope, memory_id, {"status": status, "completed_at": ended})

    async def _open(self, scope: Scope, memory_id: str, wanted: Status) -> Prospective:
        found = await existing_memory(self._parts.store, scope, memory_id)
        if not isinstance(found, Prospective):
            raise InvalidRequest(f"only a prospective memory can be {wanted}; this one is {found.type}", path="id")
        if found.status not in OPEN and found.status is not wanted:
            raise Conflict(f"this intention is {found.status} already")
        return found

    async def _waiting(self, scope: Scope, question: DueQuestion) -> list[Prospective]:
        found: list[Prospective] = []
        where, cursor = _unfired(question, self._parts.clock()), None
        while len(found) < MAX_WAITING:
            page = await self._parts.store.page(scope, Listing((MemoryType.PROSPECTIVE,), where, _PAGE, cursor))
            found += [one for one in page.memories if isinstance(one, Prospective)]
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def _alike(self, waiting: Sequence[Prospective], context: str | None) -> set[str]:
        """The ids of those whose condition `context` is like. Conditions are asked for as queries, which are kept."""
        awaited = [one for one in waiting if one.trigger_type is TriggerType.CONTEXT] if context else []
        if not awaited or context is None:
            return set()
        here = (await self._parts.embedder.embed_query(context)).dense
        conditions = [(await self._parts.embedder.embed_query(condition_of(one))).dense for one in awaited]
        likeness = np.vstack(conditions) @ here
        return {one.id for one, alike in zip(awaited, likeness, strict=True) if alike >= ALIKE}


def _unfired(question: DueQuestion, now: datetime) -> Filter:
    """Open, not fired, current, and of a kind that this question may make due."""
    kinds: list[Filter] = [Compare("due_at", Op.LTE, question.at)]
    asked = {TriggerType.EVENT: question.event, TriggerType.CONTEXT: question.context}
    kinds += [Compare("trigger_type", Op.EQ, str(kind)) for kind, given in asked.items() if given]
    current = [AnyOf((Absent(field), Compare(field, Op.GT, now))) for field in ("valid_to", "expires_at")]
    unended = Compare("status", Op.ANY, tuple(sorted(map(str, OPEN))))
    return all_of(unended, Absent("fired_at"), AnyOf(tuple(kinds)), *current)


def is_due(intention: Prospective, question: DueQuestion) -> bool:
    """Whether its time has come, or its event happens."""
    if intention.due_at is not None and intention.due_at <= question.at:
        return True
    if intention.trigger_type is not TriggerType.EVENT or question.event is None:
        return False
    return _folded(condition_of(intention)) == _folded(question.event)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def has_fired(intention: Prospective) -> bool:
    """Whether it was delivered already, or is over."""
    return intention.fired_at is not None or intention.status not in OPEN


def may_see(memory: Memory, session_id: str | None) -> bool:
    """Whether `session_id` may see it; None asks for the namespace as a whole."""
    return session_id is None or memory.visibility is Visibility.NAMESPACE or memory.session_id == session_id


def condition_of(intention: Prospective) -> str:
    """The words of what it waits for; its content where it has none."""
    return intention.trigger_condition or intention.content
