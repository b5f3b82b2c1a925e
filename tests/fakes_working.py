"""Live working memory in a dictionary, for tests without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.scope import Scope
from memtypes.model.working import ClearReason
from memtypes.ports.working import DueNamespace, ItemSelection, LiveItem, LiveItemStore


class FakeItems(LiveItemStore):
    """Live items by session. away: whether every call raises Unavailable."""

    def __init__(self) -> None:
        self.sessions: dict[Scope, dict[str, LiveItem]] = {}
        self.away = False

    def _session(self, scope: Scope) -> dict[str, LiveItem]:
        if self.away:
            raise Unavailable("the live store is away")
        if scope.session_id is None:
            raise InvalidRequest("live items belong to a session; name it", path="session_id")
        return self.sessions.setdefault(replace(scope, agent_id=None, agents=()), {})

    def _reachable(self, scope: Scope) -> list[LiveItem]:
        return [
            item for item in self._session(scope).values() if scope.reaches(item.memory.agent_id)
        ]

    def _change(self, scope: Scope, item: LiveItem, **fields: object) -> None:
        changed = replace(item, memory=item.memory.model_copy(update=fields))
        self._session(scope)[item.memory.id] = changed

    async def put(self, scope: Scope, item: LiveItem) -> None:
        """Store an item, and clear the earlier item of the same to-do."""
        todos = (other for other in self._reachable(scope) if other.is_todo and item.is_todo)
        for other in todos:
            if other.memory.todo_id == item.memory.todo_id and not other.is_over(
                item.memory.updated_at
            ):
                end = item.memory.updated_at
                self._change(scope, other, cleared_at=end, cleared_reason=ClearReason.REPLACED)
        self._session(scope)[item.memory.id] = item

    # The port
    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:  # noqa: ARG002
        """Return every item of the session that the scope may read, oldest first, also cleared and
        expired items.
        """
        return sorted(
            self._reachable(scope), key=lambda item: (item.memory.created_at, item.memory.id)
        )

    async def find(self, scope: Scope, memory_id: str) -> LiveItem | None:
        """Return the item with this id from any session of the namespace."""
        for session, items in self.sessions.items():
            is_inside = (session.tenant, session.namespace) == (scope.tenant, scope.namespace)
            item = items.get(memory_id)
            if is_inside and item is not None:
                return item if scope.reaches(item.memory.agent_id) else None
        return None

    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Restart the time to live of the items with these ids, unless they are cleared or
        expired.
        """
        for item in list(self._session(scope).values()):
            if item.memory.id in ids and not item.is_over(at):
                self._change(scope, item, accessed_at=at, expires_at=at + item.ttl)

    async def clear(
        self, scope: Scope, selection: ItemSelection, at: datetime, reason: ClearReason
    ) -> list[str]:
        """Mark the selected items as cleared and return their ids."""
        alive = [item for item in self._reachable(scope) if not item.is_over(at)]
        selected = [item for item in alive if _selects(selection, item)]
        for item in selected:
            self._change(scope, item, cleared_at=at, cleared_reason=reason)
        return [item.memory.id for item in selected]

    async def due_namespaces(self, _at: datetime, _limit: int) -> list[DueNamespace]:
        """Return an empty list, because tests move the items of a session to the memory store by
        direct calls.
        """
        return []

    async def due_sessions(self, scope: Scope, _at: datetime, limit: int) -> list[str]:
        """Return the ids of at most `limit` sessions of the namespace, whether or not they have
        work to do.
        """
        sessions = [
            key
            for key in self.sessions
            if (key.tenant, key.namespace) == (scope.tenant, scope.namespace)
        ]
        return [session.session_id for session in sessions if session.session_id][:limit]

    async def remove(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete the items with these ids, in any state; return how many."""
        stored = self._session(scope)
        return sum(stored.pop(memory_id, None) is not None for memory_id in ids)

    async def remove_unchanged(self, scope: Scope, items: Sequence[LiveItem]) -> None:
        """Delete `items`, except those that changed since the caller read them."""
        stored = self._session(scope)
        for item in items:
            if stored.get(item.memory.id) == item:
                del stored[item.memory.id]

    async def reschedule(self, due: DueNamespace) -> None:
        """Do nothing, because `due_namespaces` never returns a namespace."""


def _selects(selection: ItemSelection, item: LiveItem) -> bool:
    return selection.todo_id in (None, item.memory.todo_id) and selection.id in (
        None,
        item.memory.id,
    )
