"""Working memory: the items of a session, which every prompt of the session shows until they are
cleared or expire.

An item of a to-do lives until the to-do ends, or until it was not used for `todo_life`. Any other
item expires after five minutes without use, unless it sets another time to live. While a session is
stopped, its to-do items are not shown. `ingest.working.todos` says what begins and ends to-dos.

An item is stored twice: in the live store, which the next prompts read, and as an embedded copy in
the memory store. The copy is written first, with the item's expiry, so a crash in between leaves a
copy that expires. Later changes are made in the live store, which marks the item as unsynced in the
same transaction. The mark stays until the copy is updated, so after a crash the next sweep repairs
the copy. A session is synced under its lock, and the updates carry the lock's fencing number, so a
late sync cannot overwrite what a later sync wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cachetools import LRUCache
from pydantic import Field

from ingest.screening.redaction.redactor import RedactedValue
from ingest.writing.outcome import WriteOutcome, WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.live.workflows import OnEnd, WorkflowId
from memtypes.model.errors import Conflict, InvalidRequest, RemembrancerError, Unavailable
from memtypes.model.filters import Absent, AnyOf, Compare, Filter, Not, Op, all_of, ends_after
from memtypes.model.memory import Model, Text, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.model.working import ContextType, LiveDraft, Working, WorkingScope
from memtypes.ports.locks import LockRequest, Locks
from memtypes.ports.memory_store import Listing, MemoryStore
from memtypes.ports.workflows import WorkflowStore
from memtypes.ports.working import ItemSelection, LiveItem, LiveItemStore

TTL_S = 300
"""Default time to live, in seconds without use, of an item that belongs to no to-do."""
MAX_TTL_S = 7 * 24 * 3600

TODO_LIFE = timedelta(hours=24)
"""Time without use after which a to-do's item expires, in case neither the to-do nor the session is
ever ended.
"""

MAX_CLEARED = 500
"""Maximum number of cleared items in a list of items: the newest ones."""

MAX_ENDED = 10_000
"""Maximum ended to-dos that are remembered, so that lists that still have them start no search for
their items.
"""

LOCK_S = 5.0
"""TTL in seconds of the lock on a session's items: less than callers wait for it, so a killed
process fails nobody.
"""

_DRAFTED = ("context_type", "scope", "priority", "expires_at", "agent_id", "workflow_id")
"""Fields that an existing item takes over from a new draft with the same content, which renews
it.
"""

_COPIED = {*_DRAFTED, "live", "accessed_at", "cleared_at"} - {"agent_id"}
"""Fields that the copy in the memory store takes over from the live item. `agent_id` never
differs.
"""

_SWEEP_NAMESPACES = 100
_SWEEP_SESSIONS = 100
"""Maximum sessions of a namespace (and above, namespaces) that one sweep covers; the next sweep
continues.
"""

_ALL_SESSIONS = 100_000
_PAGE = 500
_FAR_FUTURE = timedelta(days=3_650)

_log = logging.getLogger(__name__)


class NewItem(Model):
    """A working-memory item to create: a text that is shown to the agent with every prompt of its
    session.
    """

    content: Text
    todo_id: Name | None = None
    workflow_id: WorkflowId | None = Field(
        default=None,
        description=(
            "The workflow that it belongs to, whose `on_end` says what happens to the item "
            "when it ends."
        ),
    )
    context_type: ContextType = ContextType.TASK_CONTEXT
    scope: WorkingScope = WorkingScope.TASK
    priority: Whole = Field(default=3, ge=1, le=5)
    ttl_s: Whole | None = Field(
        default=None,
        ge=1,
        le=MAX_TTL_S,
        description=(
            "Seconds that it lives without use: 300, or with a todo_id until the to-do or "
            "its session ends."
        ),
    )

    def draft(self, scope: Scope, now: datetime, ttl: timedelta) -> LiveDraft:
        """Make the draft of the item's copy in the memory store, which expires `ttl` after `now`,
        in whole ms.
        """
        expires_at = now + ttl
        return LiveDraft(
            type=MemoryType.WORKING,
            session_id=scope.session_id,
            agent_id=scope.agent_id,
            expires_at=expires_at.replace(microsecond=expires_at.microsecond // 1_000 * 1_000),
            **self.model_dump(include=NewItem.model_fields.keys() - {"ttl_s"}),
        )


@dataclass(frozen=True, slots=True)
class WorkingMemory:
    """Creates, lists, clears and pauses the working-memory items of a session, and updates their
    stored copies.

    Every scope must name the session. items: the live store (Redis). store: the memory store, which
    has a copy of each item. ended: the to-dos that this process ended last and need not end again.
    """

    items: LiveItemStore
    ingestor: Ingestor
    store: MemoryStore
    clock: Clock
    workflows: WorkflowStore
    locks: Locks
    todo_life: timedelta = TODO_LIFE
    ended: LRUCache[tuple[Scope, str], None] = field(default_factory=lambda: LRUCache(MAX_ENDED))

    async def sweep(self) -> int:
        """Update the copies of changed items in the memory store; return how many.

        A call covers a limited number of sessions; the next call goes on. Raises Overloaded,
        LockLost and Unavailable.
        """
        now = self.clock()
        synced = 0
        for namespace in await self.items.due_namespaces(now, _SWEEP_NAMESPACES):
            for session in await self.items.due_sessions(namespace.scope, now, _SWEEP_SESSIONS):
                synced += await self.sync_session(replace(namespace.scope, session_id=session))
            await self.items.reschedule(namespace)
        return synced

    async def sync_session(self, scope: Scope) -> int:
        """Update the stored copies of a session's changed or expired items; return the number of
        items.

        Expired and cleared items are then deleted from the live store. Raises Overloaded, LockLost
        and Unavailable.
        """
        scope = scope.unbound
        async with self.locks.held(
            LockRequest(f"working {scope.session_id}", scope, ttl_s=LOCK_S)
        ) as lease:
            now = self.clock()
            items = [
                item for item in await self.items.items(scope) if item.unsynced or item.is_over(now)
            ]
            changes_by_removed: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
            for item in items:
                fields = item.memory.model_dump(mode="json", include=_COPIED)
                removed = tuple(name for name, value in fields.items() if value is None)
                present = {name: value for name, value in fields.items() if value is not None}
                changes_by_removed.setdefault(removed, {})[item.memory.id] = present
            for removed, changes in changes_by_removed.items():
                await self.store.patch(scope, changes, removed=removed, fence=lease.fence)
            await self.items.mark_synced(scope, items, now)
        return len(items)

    async def create(self, scope: Scope, new: NewItem) -> RedactedValue[Working]:
        """Create an item. If the session has an item with the same content, renew its time to live
        instead.

        Raises InvalidRequest if the text is rejected, NotFound if there is no such workflow,
        Conflict if it has ended.
        """
        now = self.clock()
        ttl = self._ttl(new)
        if new.workflow_id is not None:
            await self.workflows.join(scope, new.workflow_id, session=scope.session_id)
        draft = new.draft(scope, now, ttl)
        outcome = await self.ingestor.write_one(scope, draft)
        created = await self._put(scope, LiveItem(_item_of(outcome, draft, now), ttl), outcome)
        if new.workflow_id is None:
            return created
        try:
            await self.workflows.join(scope, new.workflow_id, session=scope.session_id)
        except Conflict:  # the workflow has ended meanwhile
            if (await self.workflows.load(scope, new.workflow_id)).on_end is OnEnd.DELETE:
                await self.end_workflow(scope, new.workflow_id, delete=True)
            await self._clear_live(scope, [ItemSelection(id=created.value.id)])
            raise
        return created

    async def put_todos(
        self, scope: Scope, todos: Sequence[NewItem]
    ) -> list[RedactedValue[Working]]:
        """Create the items that stand for to-dos; each replaces the item that the session has for
        the same to-do.

        Raises InvalidRequest if a text is refused, and Unavailable if an item could not be stored.
        Items that were written before the error stay.
        """
        now = self.clock()
        drafts = [new.draft(scope, now, self._ttl(new)) for new in todos]
        outcomes = await self.ingestor.write(scope, drafts)
        return [
            await self._put(
                scope,
                LiveItem(_item_of(outcome, draft, now), self._ttl(new), is_todo=True),
                outcome,
            )
            for new, draft, outcome in zip(todos, drafts, outcomes, strict=True)
        ]

    def _ttl(self, new: NewItem) -> timedelta:
        if new.ttl_s is not None:
            return timedelta(seconds=new.ttl_s)
        return timedelta(seconds=TTL_S) if new.todo_id is None else self.todo_life

    async def _put(
        self, scope: Scope, item: LiveItem, outcome: WriteOutcome
    ) -> RedactedValue[Working]:
        await self.items.put(scope, item)
        if outcome.status is WriteStatus.MERGED:
            await self._try_sync(scope)
        return RedactedValue(item.memory, outcome.redactions)

    async def live_items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """The session's items that are neither cleared nor expired, oldest first; paused items are
        included.

        optional: whether the caller can go on without the items; the call then fails at once if the
        live store is slow.
        """
        now = self.clock()
        return [
            item
            for item in await self.items.items(scope, optional=optional)
            if not item.is_over(now)
        ]

    async def list_items(
        self, scope: Scope, todo_id: str | None, *, include_cleared: bool
    ) -> list[Working]:
        """The session's items that are shown with its prompts (not paused, cleared or expired),
        oldest first.

        todo_id: list only the items of this to-do. include_cleared: add the newest `MAX_CLEARED`
        cleared items.
        """
        now = self.clock()
        items = await self.items.items(scope)
        memories = {item.memory.id: item.memory for item in items if item.is_shown(now)}
        if include_cleared:
            unswept = {
                item.memory.id: item.memory for item in items if item.memory.cleared_at is not None
            }
            stored = await self.copies(scope, Not(Absent("cleared_at")), MAX_CLEARED)
            memories = {memory.id: memory for memory in stored} | unswept | memories
        selected = (memory for memory in memories.values() if todo_id in (None, memory.todo_id))
        return sorted(selected, key=lambda memory: (memory.created_at, memory.seq, memory.id))

    async def clear(self, scope: Scope, selection: ItemSelection) -> int:
        """Clear the selected items, in the live store and the memory store; return how many.

        A cleared item is not shown any more; its copy in the memory store is kept, marked as
        cleared.
        """
        if selection.todo_id is not None:
            return await self.end_todos(scope, [selection.todo_id])
        cleared = await self._clear_live(scope, [selection])
        return cleared + await self._clear_stored(scope, None, selection.id)

    async def end_todos(self, scope: Scope, todo_ids: Sequence[str]) -> int:
        """Clear the items of these to-dos, as `clear` does; return how many."""
        live = {item.memory.todo_id for item in await self.live_items(scope)}
        cleared = await self._clear_live(
            scope, [ItemSelection(todo_id) for todo_id in todo_ids if todo_id in live]
        )
        cleared += await self._clear_stored(scope, Compare("todo_id", Op.ANY, tuple(todo_ids)))
        self.ended.update(dict.fromkeys((scope, todo_id) for todo_id in todo_ids))
        return cleared

    async def end_workflow(self, scope: Scope, workflow_id: str, *, delete: bool) -> int:
        """Clear the session's items that belong to an ended workflow, so that they are not shown;
        return how many.

        With `delete`, also delete the copies of these items, and of those cleared before, from the
        memory store.
        """
        live = [
            item.memory.id
            for item in await self.live_items(scope)
            if item.memory.workflow_id == workflow_id
        ]
        if not delete:
            return await self._clear_live(scope, [ItemSelection(id=item_id) for item_id in live])
        for item_id in live:
            await self.forget(scope, item_id)
        session = Compare("session_id", Op.EQ, scope.session_id)
        where = all_of(session, Compare("workflow_id", Op.EQ, workflow_id))
        return await self.ingestor.editor.remove_where(scope, (MemoryType.WORKING,), where)

    async def stop_session(self, scope: Scope) -> None:
        """Pause the items that show the session's to-dos: they are not shown until the session's
        next prompt.

        Paused items still expire. Nothing is cleared, because some agents report a stop after each
        answer, although the session goes on. If the live store is unavailable, nothing is paused;
        this is logged, not raised.
        """
        try:
            await self.items.set_paused(scope, self.clock(), paused=True)
        except Unavailable as error:
            _log.warning("items of a stopped session stay until they expire: %s", error)

    async def forget(self, scope: Scope, memory_id: str | None = None) -> None:
        """Remove items from the live store, from which prompts show them, before their memories are
        deleted.

        Covers the scope's session, or all sessions if the scope names none. memory_id: remove only
        this item.
        """
        now = self.clock()
        if scope.session_id is not None:
            sessions = [scope.session_id]
        else:
            sessions = await self.items.due_sessions(scope, now + _FAR_FUTURE, _ALL_SESSIONS)
        for session in sessions:
            session_scope = replace(scope, session_id=session)
            await self.items.clear(session_scope, ItemSelection(id=memory_id), now)
            await self.sync_session(session_scope)

    async def _clear_live(self, scope: Scope, selections: Sequence[ItemSelection]) -> int:
        now = self.clock()
        cleared = sum(
            [len(await self.items.clear(scope, selection, now)) for selection in selections]
        )
        if cleared:
            await self._try_sync(scope)
        return cleared

    async def _clear_stored(
        self, scope: Scope, where: Filter | None, memory_id: str | None = None
    ) -> int:
        """Clear the session's items that only the memory store has; with `where` or an id, also
        those of no session.
        """
        now = self.clock()
        session: Filter = Compare("session_id", Op.EQ, scope.session_id)
        if where is not None or memory_id is not None:
            session = AnyOf((session, Absent("session_id")))
        current = (
            Absent("cleared_at"),
            ends_after("expires_at", now),
            Not(Compare("live", Op.EQ, True)),
        )
        listing = Listing((MemoryType.WORKING,), all_of(session, where, *current), _PAGE)
        ids = [
            memory.id
            async for memory in self.store.list_all(scope, listing)
            if memory_id in (None, memory.id)
        ]
        change = {"cleared_at": rfc3339(now), "updated_at": rfc3339(now)}
        if ids:
            await self.store.patch(scope, dict.fromkeys(ids, change))
        return len(ids)

    async def copies(self, scope: Scope, where: Filter, limit: int) -> list[Working]:
        """The copies in the memory store of the session's items that match `where`, newest first,
        at most `limit`.
        """
        session = Compare("session_id", Op.EQ, scope.session_id)
        page = await self.store.page(
            scope, Listing((MemoryType.WORKING,), all_of(session, where), limit)
        )
        return [memory for memory in page.memories if isinstance(memory, Working)]

    async def _try_sync(self, scope: Scope) -> None:
        try:
            await self.sync_session(scope)
        except RemembrancerError as error:
            _log.warning("copies of working memory are updated with the next sweep: %s", error)


def _item_of(outcome: WriteOutcome, draft: LiveDraft, now: datetime) -> Working:
    """Make the item for the live store from the outcome of writing its copy to the memory store.

    If the draft was merged into an existing item, this keeps its id and gets the draft's fields.
    Raises InvalidRequest if the text was rejected, and Unavailable if the item was not stored.
    """
    if outcome.status is WriteStatus.FAILED:
        raise Unavailable(f"the item was not stored: {outcome.reason}")
    if outcome.status is WriteStatus.REJECTED or not isinstance(outcome.memory, Working):
        raise InvalidRequest(f"not stored: {outcome.reason}")
    fields = {name: getattr(draft, name) for name in _DRAFTED}
    fields |= {"updated_at": now, "accessed_at": None, "cleared_at": None, "live": True, "fence": 0}
    return outcome.memory.model_copy(update=fields)
