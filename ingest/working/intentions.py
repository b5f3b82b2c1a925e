"""Finds intentions (memories of things to do) that are due, marks them as fired, and completes or
cancels them.

An intention is due at a time, on an event, or when the conversation turns to something (its
context). To fire it means to mark it as reported to a caller. A lock between processes ensures that
each intention is fired or ended by only one caller.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Literal

from cachetools import LRUCache

from ingest.writing.changes import existing_memory
from ingest.writing.pipeline import Ingestor
from ingest.writing.writer import ScopeLocks
from memtypes.model.errors import Conflict, InvalidRequest, LockLost, Unavailable
from memtypes.model.filters import Absent, AnyOf, Compare, Filter, Op, all_of, in_view, open_tasks
from memtypes.model.memory import PAST, Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.prospective import CLOSED, Prospective, Status, TriggerType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.encoders import Embedder
from memtypes.ports.locks import LockRequest, Locks
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.search.vectors import DenseVector

MIN_CONTEXT_SIMILARITY = 0.4
"""Minimum cosine similarity between the caller's context and an intention's condition for the
intention to be due.

Of twelve labelled pairs, related ones had 0.48 or more, unrelated ones 0.07 or less.
"""

MAX_OPEN = 1_000
"""Maximum open intentions of a namespace that are checked for being due: the newest."""

LOCK_S = 8.0
"""TTL in seconds of the lock between processes: less than callers wait for it, so a killed process
fails nobody.
"""

_PAGE = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DueRequest:
    """A query for intentions (things to do) that are due: at the time `at`, on `event`, or because
    of the `context`.

    event: name of something that happened. context: what the conversation is about, compared with
    the conditions of intentions. session_id: the caller's session; if None, intentions that only
    one session may see are left out.
    """

    at: datetime
    event: str | None = None
    context: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Intentions:
    """Finds due intentions (things to do), marks them as fired, that is, as reported to a caller,
    and ends them.

    locks: one lock per namespace, which the tasks of this process share. process_locks: locks
    between processes.
    """

    store: MemoryStore
    embedder: Embedder
    ingestor: Ingestor
    locks: ScopeLocks
    clock: Clock
    process_locks: Locks
    _vectors: LRUCache[str, DenseVector] = field(
        default_factory=lambda: LRUCache(4 * MAX_OPEN), init=False
    )

    async def due(self, scope: Scope, request: DueRequest) -> list[Prospective]:
        """The intentions that match `request` and have not fired yet, the longest overdue first.
        Changes nothing.
        """
        triggers = {TriggerType.EVENT: request.event, TriggerType.CONTEXT: request.context}
        reasons: list[Filter] = [Compare("due_at", Op.LTE, request.at)]
        reasons += [
            Compare("trigger_type", Op.EQ, str(trigger))
            for trigger, value in triggers.items()
            if value
        ]
        now = self.clock()
        may_be_due = all_of(
            open_tasks(now), Absent("fired_at"), AnyOf(tuple(reasons)), in_view(now)
        )
        listing = Listing((MemoryType.PROSPECTIVE,), may_be_due, _PAGE)
        own_session = () if request.session_id is None else (request.session_id,)
        visible = [
            memory
            async for memory in self.store.list_all(scope, listing, most=MAX_OPEN)
            if isinstance(memory, Prospective)
            and (memory.visibility is Visibility.NAMESPACE or memory.session_id in own_session)
        ]
        due = await self._matching(visible, request)
        return sorted(
            due,
            key=lambda memory: (memory.due_at or memory.created_at, -memory.priority, memory.id),
        )

    async def fire(
        self, scope: Scope, request: DueRequest, ids: Sequence[str] | None = None
    ) -> list[Prospective]:
        """Mark the intentions that match `request` as fired and return them; no other caller gets
        them.

        ids: fire only the intentions among these.
        """
        if ids is None:
            ids = [memory.id for memory in await self.due(scope, request)]
        else:
            ids = await self.due_among(scope, ids, request)
        if not ids:
            return []
        async with self._process_lock(scope), self.locks.lock(scope):
            # Meanwhile another caller may have fired or changed some of them.
            now = self.clock()
            tasks = await self._get(scope, ids)
            waiting = [task for task in tasks if _is_waiting(task, now)]
            due = [
                task.id
                for task in waiting
                if is_due(task, request) or task.trigger_type is TriggerType.CONTEXT
            ]
            if due:
                at = rfc3339(now)
                change = {"status": str(Status.ACTIVE), "fired_at": at, "updated_at": at}
                await self.store.patch(scope, dict.fromkeys(due, change))
            return await self._get(scope, due)

    async def due_among(self, scope: Scope, ids: Sequence[str], request: DueRequest) -> list[str]:
        """Return those `ids` whose intentions match `request` and have not fired yet. Changes
        nothing.
        """
        now = self.clock()
        tasks = await self._get(scope, ids) if ids else []
        waiting = [task for task in tasks if _is_waiting(task, now)]
        return [memory.id for memory in await self._matching(waiting, request)]

    async def end(
        self, scope: Scope, memory_id: str, status: Literal[Status.COMPLETED, Status.CANCELLED]
    ) -> Memory:
        """Set an intention's status to completed or cancelled; return the memory.

        Raises NotFound, InvalidRequest if it is no intention, and Conflict if it has ended with
        another status.
        """
        check = partial(_changeable, status=status)
        async with self._process_lock(scope):
            intention = check(await existing_memory(self.store, scope, memory_id))
            if intention.status is status:
                return intention
            return await self.ingestor.editor.revise(scope, memory_id, {"status": status}, check)

    async def reopen(self, scope: Scope, memory_id: str) -> Memory:
        """Set an intention that has ended or lapsed to pending; return it. Its history names what
        had ended it. An open one stays as it is.

        Raises NotFound, InvalidRequest if it is no intention, and Conflict if another memory took
        its place.
        """
        async with self._process_lock(scope):
            now = self.clock()
            memory = (await existing_memory(self.store, scope, memory_id)).at(now)
            if not isinstance(memory, Prospective):
                raise _not_an_intention(memory, Status.PENDING)
            if memory.state in PAST:
                raise Conflict(
                    f"this intention is {memory.state}; restore it, or change memory "
                    f"{memory.superseded_by}, which took its place"
                )
            if memory.open_at(now):
                return memory
            changes = {"status": Status.PENDING}
            return await self.ingestor.editor.revise(scope, memory_id, changes)

    async def snooze(self, scope: Scope, memory_id: str, until: datetime) -> Memory:
        """Open an intention again, due at `until`. Raises InvalidRequest if this is past, and
        NotFound or Conflict.
        """
        if until <= self.clock():
            raise InvalidRequest(
                "must lie in the future; give a later time", path="until", got=rfc3339(until)
            )
        due = {"due_at": until, "trigger_type": TriggerType.TIME}
        changes = {**due, "status": Status.PENDING, "fired_at": None}
        check = partial(_changeable, status=Status.PENDING)
        async with self._process_lock(scope):
            return await self.ingestor.editor.revise(scope, memory_id, changes, check)

    async def _get(self, scope: Scope, ids: Sequence[str]) -> list[Prospective]:
        stored = await self.store.get(scope, ids)
        memories = (stored.get(memory_id) for memory_id in ids)
        return [memory for memory in memories if isinstance(memory, Prospective)]

    @asynccontextmanager
    async def _process_lock(self, scope: Scope) -> AsyncIterator[None]:
        """Keep other processes from firing or ending intentions. If the lock store fails, go on
        without the lock.
        """
        request = LockRequest("due", scope, ttl_s=LOCK_S, optional=True)
        async with AsyncExitStack() as stack:
            stack.enter_context(suppress(LockLost))  # counted; an error would hide fired intentions
            try:
                await stack.enter_async_context(self.process_locks.held(request))
            except Unavailable as error:
                _log.warning(
                    "without a lock between processes, intentions may fire twice: %s", error
                )
            yield

    async def _matching(
        self, memories: Sequence[Prospective], request: DueRequest
    ) -> list[Prospective]:
        """The memories that are due by time or event, or whose condition is similar to the
        request's context.
        """
        due = {memory.id for memory in memories if is_due(memory, request)}
        waiting = {
            memory.id: _condition(memory)
            for memory in memories
            if memory.trigger_type is TriggerType.CONTEXT
        }
        if waiting and request.context:
            vector = (await self.embedder.embed_query(request.context)).dense
            conditions = dict.fromkeys(waiting.values())
            vectors = {text: self._vectors[text] for text in conditions if text in self._vectors}
            if new := [text for text in conditions if text not in vectors]:
                # A text without context has the same embedding as a document and as a query.
                embeddings = await self.embedder.embed_documents(new)
                vectors |= {
                    text: embedding.dense for text, embedding in zip(new, embeddings, strict=True)
                }
            self._vectors.update(vectors)
            similar = {
                text for text in conditions if vectors[text] @ vector >= MIN_CONTEXT_SIMILARITY
            }
            due |= {memory_id for memory_id, text in waiting.items() if text in similar}
        return [memory for memory in memories if memory.id in due]


def _changeable(memory: Memory, status: Status) -> Prospective:
    if not isinstance(memory, Prospective):
        raise _not_an_intention(memory, status)
    if memory.status in CLOSED and memory.status is not status:
        raise Conflict(
            f"this intention is {memory.status} already, and cannot become {status}; write "
            "a new one"
        )
    return memory


def _not_an_intention(memory: Memory, status: Status) -> InvalidRequest:
    return InvalidRequest(
        f"is {memory.type}; only a prospective memory can be {status}: give its id", path="id"
    )


def _is_waiting(intention: Prospective, now: datetime) -> bool:
    return intention.fired_at is None and intention.open_at(now)


def is_due(intention: Prospective, request: DueRequest) -> bool:
    """Whether `intention` is due by its time or by the request's event.

    Event names are compared without case and extra blanks. Intentions that wait for a context are
    not covered.
    """
    if intention.due_at is not None and intention.due_at <= request.at:
        return True
    if intention.trigger_type is not TriggerType.EVENT or request.event is None:
        return False
    return _folded(_condition(intention)) == _folded(request.event)


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def _condition(intention: Prospective) -> str:
    return intention.trigger_condition or intention.content
