"""Working memory: items that are created by hand or for a to-do, and cleared by hand or when the to-do is done.

An item is stored twice: in the live store, which the next prompts read, and as an embedded copy in the memory store.
The copy is written first, with the item's expiry, so a crash in between leaves a copy that expires. Later changes are
made in the live store and reach the copy by `WorkingMemorySync`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from ingest.screening.redaction.redactor import RedactedValue
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.model.errors import InvalidRequest, RemembrancerError
from memtypes.model.filters import Absent, Compare, Filter, Not, Op, all_of
from memtypes.model.memory import Model, Text, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.model.working import ContextType, LiveDraft, Working, WorkingScope
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.ports.working import ItemSelection, LiveItem, LiveItemStore

TTL_S = 300
"""Default seconds without use after which an item expires."""
MAX_TTL_S = 7 * 24 * 3600

COMPLEX_STEPS = 5
"""A to-do that took more steps than this is also stored as a procedure."""

MAX_CLEARED = 500
"""Maximum number of cleared items in a list: the newest."""

_SWEEP_NAMESPACES = 100
_SWEEP_SESSIONS = 100
"""Namespaces, and sessions of each, in one sweep; the next sweep continues."""

_ALL_SESSIONS = 100_000
_FAR_FUTURE = timedelta(days=3_650)

_log = logging.getLogger(__name__)


class NewItem(Model):
    """A working-memory item to create."""

    content: Text
    todo_id: Name | None = None
    context_type: ContextType = ContextType.TASK_CONTEXT
    scope: WorkingScope = WorkingScope.TASK
    priority: Whole = Field(default=3, ge=1, le=5)
    ttl_s: Whole = Field(default=TTL_S, ge=1, le=MAX_TTL_S, description="Seconds that it lives without use.")


@dataclass(frozen=True, slots=True)
class CompletedTodo:
    """What completing a to-do did. cleared: number of items. redactions: secrets removed from its steps, by kind."""

    cleared: int
    procedural_id: str | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkingMemorySync:
    """Writes changes of live items to their copies in the memory store, and deletes cleared and expired live items.

    The live store marks an item as unsynced in the transaction that changes it; the mark stays until the copy is
    updated, so a crash in between is repaired by the next sweep. Sweeps run under a lock, and their updates carry its
    fencing number, so a sweep that was paused cannot overwrite what a later one wrote.
    """

    items: LiveItemStore
    store: MemoryStore
    clock: Clock

    async def sweep(self, fence: int) -> int:
        """Sync the items that are due in all namespaces; return their number. Raises LockLost and Unavailable."""
        now = self.clock()
        done = 0
        for due in await self.items.due_namespaces(now, _SWEEP_NAMESPACES):
            for session in await self.items.due_sessions(due.scope, now, _SWEEP_SESSIONS):
                done += await self.sync_session(replace(due.scope, session_id=session), fence)
            await self.items.reschedule(due)
        return done

    async def sync_session(self, scope: Scope, fence: int | None = None) -> int:
        """Copy changed live items of a session to the memory store, delete ended ones; return the number of both."""
        now = self.clock()
        items = [item for item in await self.items.items(scope) if item.unsynced or item.is_over(now)]
        cleared = [item for item in items if item.memory.cleared_at is not None]
        current = [item for item in items if item.memory.cleared_at is None]
        await self._patch(scope, cleared, fence, ())
        await self._patch(scope, current, fence, ("cleared_at",))
        await self.items.mark_synced(scope, items, now)
        return len(items)

    async def _patch(self, scope: Scope, items: Sequence[LiveItem], fence: int | None, removed: Sequence[str]) -> None:
        if items:
            changes = {item.memory.id: _copied_fields(item.memory) for item in items}
            await self.store.patch(scope, changes, removed=removed, fence=fence)


@dataclass(frozen=True, slots=True)
class WorkingMemory:
    """Creates, lists and clears live items. Scopes must name a session."""

    items: LiveItemStore
    ingestor: Ingestor
    store: MemoryStore
    clock: Clock

    @property
    def sync(self) -> WorkingMemorySync:
        """Writes changes of live items to their copies in the memory store."""
        return WorkingMemorySync(self.items, self.store, self.clock)

    async def create(self, scope: Scope, new: NewItem) -> RedactedValue[Working]:
        """Create a live item, or renew the session's item with the same content. Raises InvalidRequest."""
        now, ttl = self.clock(), timedelta(seconds=new.ttl_s)
        draft = LiveDraft(
            type=MemoryType.WORKING,
            content=new.content,
            session_id=scope.session_id,
            agent_id=scope.agent_id,
            expires_at=_whole_ms(now + ttl),
            todo_id=new.todo_id,
            context_type=new.context_type,
            scope=new.scope,
            priority=new.priority,
        )
        outcome = await self.ingestor.write_one(scope, draft)
        if outcome.status is WriteStatus.REJECTED or not isinstance(outcome.memory, Working):
            raise InvalidRequest(f"not stored: {outcome.reason}", path="content")
        # A merged item takes over the fields of the new one.
        names = ("context_type", "scope", "priority", "expires_at", "agent_id")
        fields = {name: getattr(draft, name) for name in names}
        fields |= {"updated_at": now, "accessed_at": None, "cleared_at": None, "live": True, "fence": 0}
        item = outcome.memory.model_copy(update=fields)
        await self.items.put(scope, LiveItem(item, ttl))
        if outcome.status is WriteStatus.MERGED:
            await self._try_sync(scope)
        return RedactedValue(item, outcome.redactions)

    async def list_items(self, scope: Scope, todo_id: str | None, *, include_cleared: bool) -> list[Working]:
        """The session's live items, oldest first; of one to-do if `todo_id` is given; with cleared ones on request."""
        now = self.clock()
        items = await self.items.items(scope)
        memories = {item.memory.id: item.memory for item in items if not item.is_over(now)}
        if include_cleared:
            unswept = {item.memory.id: item.memory for item in items if item.memory.cleared_at is not None}
            stored = await self._copies(scope, Not(Absent("cleared_at")), MAX_CLEARED)
            memories = {memory.id: memory for memory in stored} | unswept | memories
        selected = (memory for memory in memories.values() if todo_id in (None, memory.todo_id))
        return sorted(selected, key=lambda memory: (memory.created_at, memory.id))

    async def clear(self, scope: Scope, selection: ItemSelection) -> int:
        """Clear the selected live items; return their number. Their copies are kept, marked as cleared."""
        cleared = await self.items.clear(scope, selection, self.clock())
        if cleared:
            await self._try_sync(scope)
        return len(cleared)

    async def forget(self, scope: Scope, memory_id: str | None = None) -> None:
        """Remove live items before their memories are deleted: one, those of a session, or those of the namespace."""
        now = self.clock()
        sessions = await self.items.due_sessions(scope, now + _FAR_FUTURE, _ALL_SESSIONS)
        for session in [scope.session_id] if scope.session_id else sessions:
            session_scope = replace(scope, session_id=session)
            await self.items.clear(session_scope, ItemSelection(id=memory_id), now)
            await self.sync.sync_session(session_scope)

    async def complete(self, scope: Scope, todo_id: str, steps: Sequence[str]) -> CompletedTodo:
        """Clear the items of a to-do; store a procedure if it took many steps.

        The procedure is written first, so that a call that is repeated after a failure adds nothing.
        """
        written = await self._write_procedure(scope, todo_id, steps) if len(steps) > COMPLEX_STEPS else None
        cleared = await self.clear(scope, ItemSelection(todo_id=todo_id))
        return CompletedTodo(cleared) if written is None else CompletedTodo(cleared, written.id, written.redactions)

    async def _write_procedure(self, scope: Scope, todo_id: str, steps: Sequence[str]) -> WriteOutcome:
        live = await self.list_items(scope, todo_id, include_cleared=False)
        items = live or await self._copies(scope, Compare("todo_id", Op.EQ, todo_id), 1)
        draft = ProceduralDraft(
            type=MemoryType.PROCEDURAL,
            content=items[0].content if items else todo_id,
            session_id=scope.session_id,
            agent_id=scope.agent_id,
            steps=list(steps),
        )
        return await self.ingestor.write_one(scope, draft)

    async def _copies(self, scope: Scope, where: Filter, limit: int) -> list[Working]:
        session = Compare("session_id", Op.EQ, scope.session_id)
        page = await self.store.page(scope, Listing((MemoryType.WORKING,), all_of(session, where), limit))
        return [memory for memory in page.memories if isinstance(memory, Working)]

    async def _try_sync(self, scope: Scope) -> None:
        """Copy the session's changed items to the memory store; if that fails, the next sweep does it."""
        try:
            await self.sync.sync_session(scope)
        except RemembrancerError as error:
            _log.warning("copies of working memory are updated with the next sweep: %s", error)


def _copied_fields(memory: Working) -> dict[str, Any]:
    """Payload fields that the copy in the memory store takes over from the live item."""
    times = {name: getattr(memory, name) for name in ("accessed_at", "expires_at", "cleared_at")}
    return {"live": True} | {name: rfc3339(at) for name, at in times.items() if at is not None}


def _whole_ms(instant: datetime) -> datetime:
    """`instant` in whole milliseconds, as the live store keeps it."""
    return instant.replace(microsecond=instant.microsecond // 1_000 * 1_000)
