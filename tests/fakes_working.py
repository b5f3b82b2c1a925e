"""Live working memory in a dictionary, for tests that need no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.working import Clearing, Due, LiveItem, LiveItems


class FakeItems(LiveItems):
    """Items by session. away: whether every call fails."""

    def __init__(self) -> None:
        self.kept: dict[Scope, dict[str, LiveItem]] = {}
        self.away = False

    def _of(self, scope: Scope) -> dict[str, LiveItem]:
        if self.away:
            raise Unavailable("the live store is away")
        return self.kept.setdefault(replace(scope, agent_id=None), {})

    def _change(self, scope: Scope, entry: LiveItem, **fields: datetime) -> None:
        changed = replace(entry, memory=entry.memory.model_copy(update=fields), behind=True)
        self._of(scope)[entry.memory.id] = changed

    async def put(self, scope: Scope, entry: LiveItem) -> None:
        """Keep it."""
        self._of(scope)[entry.memory.id] = entry

    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:  # noqa: ARG002 - the port
        """All of the session."""
        return sorted(self._of(scope).values(), key=lambda one: (one.memory.created_at, one.memory.id))

    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Slide."""
        for one in [one for one in self._of(scope).values() if one.memory.id in ids and not one.over_at(at)]:
            self._change(scope, one, accessed_at=at, expires_at=at + one.ttl)

    async def clear(self, scope: Scope, which: Clearing, at: datetime) -> list[str]:
        """Clear."""
        alive = [one for one in self._of(scope).values() if not one.over_at(at)]
        meant = [one for one in alive if _means(which, one)]
        for one in meant:
            self._change(scope, one, cleared_at=at)
        return [one.memory.id for one in meant]

    async def due(self, _at: datetime, _limit: int) -> list[Due]:
        """Nothing is noted: tests sweep by session."""
        return []

    async def sessions_due(self, scope: Scope, _at: datetime, limit: int) -> list[str]:
        """Every session of the namespace."""
        own = [one for one in self.kept if (one.tenant, one.namespace) == (scope.tenant, scope.namespace)]
        return [one.session_id for one in own if one.session_id][:limit]

    async def settle(self, scope: Scope, entries: Sequence[LiveItem], at: datetime) -> None:
        """Take the marks off."""
        kept = self._of(scope)
        for one in [one for one in entries if kept.get(one.memory.id) == one]:
            kept[one.memory.id] = replace(one, behind=False)
            if one.over_at(at):
                del kept[one.memory.id]

    async def rest(self, due: Due) -> None:
        """Nothing is noted."""


def _means(which: Clearing, entry: LiveItem) -> bool:
    return which.todo_id in (None, entry.memory.todo_id) and which.id in (None, entry.memory.id)
