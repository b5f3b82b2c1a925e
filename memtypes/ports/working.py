"""Live working items: notes on the current task that every prompt of a session shows. The port of
their store.

A live item is a working memory in the live store (Redis), with its current `accessed_at`,
`expires_at` and `cleared_at`. When it has been cleared or has expired, it is moved to the memory
store (`ingest.working.working_memory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from memtypes.model.scope import Scope
from memtypes.model.working import ClearReason, Working


@dataclass(frozen=True, slots=True)
class LiveItem:
    """A working memory (a note on the current task) in the live store (Redis).

    ttl: time to live after the last use. is_todo: whether it is a to-do itself and not a note on a
    to-do. revision: opaque text that differs after every change of the item.
    """

    memory: Working
    ttl: timedelta
    is_todo: bool = False
    revision: str = ""

    def is_over(self, at: datetime) -> bool:
        """Whether the item is cleared, or expired at `at`. One created after `at` is not over:
        clocks may differ.
        """
        memory = self.memory
        return memory.cleared_at is not None or (
            memory.expires_at is not None and memory.expires_at <= at
        )


@dataclass(frozen=True, slots=True)
class ItemSelection:
    """Selects working items of a session: those of the to-do `todo_id`, the one with `id`, or all
    if both are None.
    """

    todo_id: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DueNamespace:
    """A namespace in which working items may have ended. due_at: opaque text that `reschedule`
    needs.
    """

    scope: Scope
    due_at: str


class LiveItemStore(Protocol):
    """Stores live working items (notes on the current task) by session. Scopes must name a session,
    unless noted.

    If `scope.agents` is not empty, a call reaches only these agents' items. Every method raises
    Unavailable when the store can't be reached.
    """

    async def put(self, scope: Scope, item: LiveItem) -> None:
        """Store or replace `item`. A to-do clears an earlier one with the same `todo_id`."""

    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """Return every item of the session, oldest first, with cleared and expired ones. optional:
        fail fast.
        """

    async def find(self, scope: Scope, memory_id: str) -> LiveItem | None:
        """Return the item with this id, also if it is cleared or expired. Looks in all sessions of
        the namespace.
        """

    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Restart the time to live of the working items with these ids, except those cleared or
        expired at `at`.
        """

    async def clear(
        self, scope: Scope, selection: ItemSelection, at: datetime, reason: ClearReason
    ) -> list[str]:
        """Mark the selected items as cleared, unless they are cleared or expired; return the ids of
        those marked.
        """

    async def due_namespaces(self, at: datetime, limit: int) -> list[DueNamespace]:
        """Return namespaces in which items have ended, or may have; the longest overdue first."""

    async def due_sessions(self, scope: Scope, at: datetime, limit: int) -> list[str]:
        """Return sessions of the namespace in which items have ended at `at`, or may have; the
        longest overdue first. Every session with items is due at some time.
        """

    async def remove(self, scope: Scope, ids: Sequence[str]) -> int:
        """Delete the items with these ids, in any state; return how many."""

    async def remove_unchanged(self, scope: Scope, items: Sequence[LiveItem]) -> None:
        """Delete `items`, except those that were changed since they were read, and set when the
        session is due next.
        """

    async def reschedule(self, due: DueNamespace) -> None:
        """Set when the namespace is due next (when its first session is), unless that was changed
        since `due`.
        """
