"""Working memory: the items of a session, which every prompt of the session shows until they are
cleared or expire.

An item of a to-do lives until the to-do ends, or until it was not used for `todo_life`. Any other
item expires after five minutes without use, unless it sets another time to live. All items end with
their session. `ingest.working.todos` says what begins and ends to-dos.

While an item lives, it is in the live store (Redis) alone, neither embedded nor found by searches.
Once it has been cleared or has expired, prompts do not show it, and the next sweep moves it to the
memory store, which keeps it for audit: it is written there under the same id, then removed from the
live store. A move that was interrupted in between is repeated by a later sweep and leaves one
memory. An ended item says when and why it ended. Moves and removals of a session's items take its
lock, so a removed item cannot be written by a move that had read it before.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cachetools import LRUCache
from pydantic import Field

from ingest.screening.redaction.redactor import RedactedValue
from ingest.writing.outcome import WriteStatus
from ingest.writing.pipeline import Ingestor
from memtypes.live.workflows import OnEnd, WorkflowId
from memtypes.model.errors import Conflict, Unavailable
from memtypes.model.filters import Absent, AnyOf, Compare, Filter, Not, Op, all_of, ends_after
from memtypes.model.memory import StrictModel, Text, Whole
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.model.working import (
    ClearReason,
    ContextType,
    ItemDraft,
    TodoStatus,
    Working,
    WorkingScope,
)
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

_KEPT = ("created_at", "valid_from", "seq")
"""Fields that a live item keeps when it is created again, which renews it."""

_SWEEP_NAMESPACES = 100
_SWEEP_SESSIONS = 100
"""Maximum sessions of a namespace (and above, namespaces) that one sweep covers; the next sweep
continues.
"""

_ALL_SESSIONS = 100_000
_PAGE = 500
_FAR_FUTURE = timedelta(days=3_650)

_log = logging.getLogger(__name__)


class NewItem(StrictModel):
    """A working-memory item to create: a text that is shown to the agent with every prompt of its
    session.
    """

    content: Text
    todo_id: Name | None = None
    todo_status: TodoStatus | None = None
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

    def draft(self, scope: Scope, now: datetime, ttl: timedelta) -> ItemDraft:
        """Make the draft of the item, which expires `ttl` after `now`, in whole ms."""
        expires_at = now + ttl
        return ItemDraft(
            type=MemoryType.WORKING,
            session_id=scope.session_id,
            agent_id=scope.agent_id,
            expires_at=expires_at.replace(microsecond=expires_at.microsecond // 1_000 * 1_000),
            **self.model_dump(include=NewItem.model_fields.keys() - {"ttl_s"}),
        )


@dataclass(frozen=True, slots=True)
class WorkingMemory:
    """Creates, lists and clears the working-memory items of a session, and moves ended ones to the
    memory store.

    Every scope must name the session, unless noted. items: the live store (Redis). store: the
    memory store. ended: the to-dos that this process ended last and need not end again.
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
        """Move ended items to the memory store; return how many.

        A call covers a limited number of sessions; the next call goes on. Raises Overloaded,
        LockLost and Unavailable.
        """
        now = self.clock()
        moved = 0
        for namespace in await self.items.due_namespaces(now, _SWEEP_NAMESPACES):
            for session in await self.items.due_sessions(namespace.scope, now, _SWEEP_SESSIONS):
                moved += await self.move_ended(replace(namespace.scope, session_id=session))
            await self.items.reschedule(namespace)
        return moved

    async def move_ended(self, scope: Scope) -> int:
        """Move a session's cleared and expired items to the memory store; return how many.

        Those that could not be stored stay in the live store, for the next sweep. Raises
        Overloaded, LockLost and Unavailable.
        """
        scope = scope.unbound
        async with self._locked(scope):
            now = self.clock()
            ended = [item for item in await self.items.items(scope) if item.is_over(now)]
            outcomes = await self.ingestor.restorer.restore(
                scope, [item.memory.at(now) for item in ended]
            )
            moved: list[LiveItem] = []
            for item, outcome in zip(ended, outcomes, strict=True):
                if outcome.status is WriteStatus.FAILED:
                    _log.warning("an ended working item is stored later: %s", outcome.reason)
                    continue
                if outcome.status is WriteStatus.REJECTED:  # by rules that are newer than the item
                    _log.warning("an ended working item is not kept: %s", outcome.reason)
                moved.append(item)
            # An item that was created again meanwhile is live: it stays, and moves when it ends.
            await self.items.remove_unchanged(scope, moved)
        return len(moved)

    async def create(self, scope: Scope, new: NewItem) -> RedactedValue[Working]:
        """Create an item. If the session has an item with the same content, renew its time to live
        instead.

        Raises InvalidRequest if the text is rejected, NotFound if there is no such workflow,
        Conflict if it has ended.
        """
        if new.workflow_id is not None:
            await self.workflows.join(scope, new.workflow_id, session=scope.session_id)
        screened = await self._screened(scope, new)
        created = await self._put(scope, new, screened)
        if new.workflow_id is None:
            return created
        try:
            await self.workflows.join(scope, new.workflow_id, session=scope.session_id)
        except Conflict:  # the workflow has ended meanwhile
            if (await self.workflows.load(scope, new.workflow_id)).on_end is OnEnd.DELETE:
                await self.end_workflow(scope, new.workflow_id, delete=True)
            selection = ItemSelection(id=created.value.id)
            await self._clear_live(scope, [selection], ClearReason.WORKFLOW_ENDED)
            raise
        return created

    async def put_todos(
        self, scope: Scope, todos: Sequence[NewItem]
    ) -> list[RedactedValue[Working]]:
        """Create the items that stand for to-dos; each replaces the item that the session has for
        the same to-do.

        Raises InvalidRequest if a text is refused; then no item is created.
        """
        screened = [await self._screened(scope, new) for new in todos]
        return [
            await self._put(scope, new, item, is_todo=True)
            for new, item in zip(todos, screened, strict=True)
        ]

    async def _screened(self, scope: Scope, new: NewItem) -> RedactedValue[Working]:
        """The memory of a new item, screened like a memory that is stored, with the numbers of
        secrets removed.
        """
        screened = await self.ingestor.make(scope, new.draft(scope, self.clock(), self._ttl(new)))
        assert isinstance(screened.value, Working)  # noqa: S101 - the draft is one
        return RedactedValue(screened.value, screened.counts)

    async def _put(
        self,
        scope: Scope,
        new: NewItem,
        screened: RedactedValue[Working],
        *,
        is_todo: bool = False,
    ) -> RedactedValue[Working]:
        memory = screened.value
        # An item with the same content is renewed: it keeps its age and its place among the others.
        for item in await self.live_items(scope):
            if item.memory.id == memory.id:
                memory = memory.model_copy(
                    update={name: getattr(item.memory, name) for name in _KEPT}
                )
        await self.items.put(scope, LiveItem(memory, self._ttl(new), is_todo=is_todo))
        return RedactedValue(memory, screened.counts)

    def _ttl(self, new: NewItem) -> timedelta:
        if new.ttl_s is not None:
            return timedelta(seconds=new.ttl_s)
        return timedelta(seconds=TTL_S) if new.todo_id is None else self.todo_life

    async def live_items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """The session's items that are neither cleared nor expired, oldest first.

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
        """The session's items that are shown with its prompts (neither cleared nor expired), oldest
        first.

        todo_id: list only the items of this to-do. include_cleared: add the newest `MAX_CLEARED`
        cleared items, and those that expired.
        """
        now = self.clock()
        items = await self.items.items(scope)
        memories = [item.memory for item in items if not item.is_over(now)]
        if include_cleared:
            memories += [item.memory.at(now) for item in items if item.is_over(now)]
            live_ids = {item.memory.id for item in items}
            is_over = AnyOf((Not(Absent("cleared_at")), Compare("expires_at", Op.LTE, now)))
            cleared = await self.stored(scope, is_over, MAX_CLEARED)
            # A cleared item that was created again has its new state in the live store.
            memories += [memory.at(now) for memory in cleared if memory.id not in live_ids]
        selected = (memory for memory in memories if todo_id in (None, memory.todo_id))
        return sorted(selected, key=lambda memory: (memory.created_at, memory.seq, memory.id))

    async def find(self, scope: Scope, memory_id: str) -> Working | None:
        """The item with this id in the live store, in any session of the namespace; None if there
        is none.

        An item that has ended but is not moved yet is found, too.
        """
        item = await self.items.find(scope, memory_id)
        return None if item is None else item.memory.at(self.clock())

    async def in_namespace(self, scope: Scope, limit: int) -> list[Working]:
        """Items that prompts show, of any session of the namespace, at most `limit`."""
        now = self.clock()
        memories: list[Working] = []
        async for item in self._everywhere(scope):
            if len(memories) == limit:
                break
            if not item.is_over(now):
                memories.append(item.memory)
        return memories

    async def count(self, scope: Scope, memory_id: str | None) -> int:
        """Number of items of the namespace in the live store, in any state, or of those with this
        id (1 or 0).
        """
        if memory_id is not None:
            return int(await self.find(scope, memory_id) is not None)
        return sum([1 async for _ in self._everywhere(scope)])

    async def clear(self, scope: Scope, selection: ItemSelection) -> int:
        """Clear the selected items, in the live store and the memory store; return how many.

        A cleared item is not shown any more, and the memory store keeps it, marked as cleared.
        """
        if selection.todo_id is not None:
            return await self.end_todos(scope, {selection.todo_id: ClearReason.CLEARED})
        cleared = await self._clear_live(scope, [selection], ClearReason.CLEARED)
        return cleared + await self._clear_stored(scope, None, ClearReason.CLEARED, selection.id)

    async def end_todos(self, scope: Scope, reasons: Mapping[str, ClearReason]) -> int:
        """Clear the items of these to-dos, as `clear` does; return how many.

        reasons: why each to-do is over, by its id.
        """
        live = {item.memory.todo_id for item in await self.live_items(scope)}
        cleared = 0
        for reason in dict.fromkeys(reasons.values()):
            todo_ids = [todo_id for todo_id, other in reasons.items() if other is reason]
            selections = [ItemSelection(todo_id) for todo_id in todo_ids if todo_id in live]
            cleared += await self._clear_live(scope, selections, reason)
            of_todos = Compare("todo_id", Op.ANY, tuple(todo_ids))
            cleared += await self._clear_stored(scope, of_todos, reason)
        self.ended.update(dict.fromkeys((scope, todo_id) for todo_id in reasons))
        return cleared

    async def end_workflow(self, scope: Scope, workflow_id: str, *, delete: bool) -> int:
        """Clear the session's items that belong to an ended workflow, so that they are not shown;
        return how many.

        With `delete`, delete these items, and those that ended before, from both stores.
        """
        if not delete:
            live = [
                ItemSelection(id=item.memory.id)
                for item in await self.live_items(scope)
                if item.memory.workflow_id == workflow_id
            ]
            return await self._clear_live(scope, live, ClearReason.WORKFLOW_ENDED)
        removed = await self._remove(scope, lambda memory: memory.workflow_id == workflow_id)
        session = Compare("session_id", Op.EQ, scope.session_id)
        where = all_of(session, Compare("workflow_id", Op.EQ, workflow_id))
        return removed + await self.ingestor.editor.remove_where(
            scope, (MemoryType.WORKING,), where
        )

    async def end_session(self, scope: Scope) -> None:
        """Clear all items of a session that has ended, live and stored ones.

        If the live store is unavailable, its items stay until they expire; this is logged, not
        raised.
        """
        try:
            await self._clear_live(scope, [ItemSelection()], ClearReason.SESSION_ENDED)
        except Unavailable as error:
            _log.warning("items of an ended session stay until they expire: %s", error)
        await self._clear_stored(scope, None, ClearReason.SESSION_ENDED)

    async def resume_session(self, scope: Scope) -> None:
        """Show the to-dos again that were open when the session ended; other items stay ended."""
        now = self.clock()
        items = await self.items.items(scope)
        by_session = Compare("cleared_reason", Op.EQ, str(ClearReason.SESSION_ENDED))
        stored = await self.stored(scope, by_session, MAX_CLEARED)
        # An item that was created again has its new state in the live store
        memories = {memory.id: memory for memory in stored}
        memories |= {item.memory.id: item.memory for item in items}
        renewed = {
            "cleared_at": None,
            "cleared_reason": None,
            "updated_at": now,
            "expires_at": now + self.todo_life,
        }
        for memory in memories.values():
            by_end = memory.cleared_reason is ClearReason.SESSION_ENDED
            if by_end and memory.todo_status is not None:
                again = memory.model_copy(update=renewed)
                await self.items.put(scope, LiveItem(again, self.todo_life, is_todo=True))

    async def forget(self, scope: Scope, memory_id: str | None = None) -> int:
        """Remove items from the live store without moving them to the memory store; return how
        many.

        Call this before their memories are deleted: a move that has begun is waited for, and none
        begins later. Covers the scope's session, or all sessions if the scope names none.
        memory_id: remove only this item.
        """
        if memory_id is not None:
            memory = await self.find(scope, memory_id)
            sessions = [] if memory is None else [memory.session_id]
        elif scope.session_id is not None:
            sessions = [scope.session_id]
        else:
            sessions = list(await self._sessions(scope))
        return sum(
            [
                await self._remove(
                    replace(scope, session_id=session),
                    lambda memory: memory_id in (None, memory.id),
                )
                for session in sessions
            ]
        )

    async def _remove(self, scope: Scope, selects: Callable[[Working], bool]) -> int:
        async with self._locked(scope):
            items = await self.items.items(scope)
            ids = [item.memory.id for item in items if selects(item.memory)]
            return await self.items.remove(scope, ids)

    async def _sessions(self, scope: Scope) -> list[str]:
        """The sessions of the namespace that have items."""
        return await self.items.due_sessions(scope, self.clock() + _FAR_FUTURE, _ALL_SESSIONS)

    async def _everywhere(self, scope: Scope) -> AsyncIterator[LiveItem]:
        for session in await self._sessions(scope):
            for item in await self.items.items(replace(scope, session_id=session)):
                yield item

    @asynccontextmanager
    async def _locked(self, scope: Scope) -> AsyncIterator[None]:
        request = LockRequest(f"working {scope.session_id}", scope, ttl_s=LOCK_S)
        async with self.locks.held(request):
            yield

    async def _clear_live(
        self, scope: Scope, selections: Sequence[ItemSelection], reason: ClearReason
    ) -> int:
        now = self.clock()
        cleared = [await self.items.clear(scope, each, now, reason) for each in selections]
        return sum(len(ids) for ids in cleared)

    async def _clear_stored(
        self,
        scope: Scope,
        where: Filter | None,
        reason: ClearReason,
        memory_id: str | None = None,
    ) -> int:
        """Clear the session's items that only the memory store has; with `where` or an id, also
        those of no session.

        Such items were written as memories of the type `working`.
        """
        now = self.clock()
        session: Filter = Compare("session_id", Op.EQ, scope.session_id)
        if where is not None or memory_id is not None:
            session = AnyOf((session, Absent("session_id")))
        current = (Absent("cleared_at"), ends_after("expires_at", now))
        listing = Listing((MemoryType.WORKING,), all_of(session, where, *current), _PAGE)
        ids = [
            memory.id
            async for memory in self.store.list_all(scope, listing)
            if memory_id in (None, memory.id)
        ]
        at = rfc3339(now)
        change = {"cleared_at": at, "cleared_reason": str(reason), "updated_at": at}
        if ids:
            await self.store.patch(scope, dict.fromkeys(ids, change))
        return len(ids)

    async def stored(self, scope: Scope, where: Filter, limit: int) -> list[Working]:
        """The session's items in the memory store that match `where`, newest first, at most
        `limit`.
        """
        session = Compare("session_id", Op.EQ, scope.session_id)
        page = await self.store.page(
            scope, Listing((MemoryType.WORKING,), all_of(session, where), limit)
        )
        return [memory for memory in page.memories if isinstance(memory, Working)]
