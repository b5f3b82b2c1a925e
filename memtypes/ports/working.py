"""Live working memory: items that every following prompt of a session contains, and the port of their store.

A live item is a working memory kept in the live store (Redis), with its current `accessed_at`, `expires_at` and
`cleared_at`. A copy in the memory store, which is embedded, is updated later; see `ingest.working.working_memory`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memtypes.model.scope import Scope
from memtypes.model.working import Working


@dataclass(frozen=True, slots=True)
class LiveItem:
    """A working memory in the live store (Redis), which is copied to the memory store.

    ttl: time to live after the last use. unsynced: whether the copy in the memory store differs from the item. is_todo:
    whether it is a to-do itself and not a note on a to-do. paused: whether its session has stopped. revision: opaque;
    every change of the item changes it.
    """

    memory: Working
    ttl: timedelta
    unsynced: bool = True
    is_todo: bool = False
    paused: bool = False
    revision: str = ""

    def is_over(self, at: datetime) -> bool:
        """Whether the item is cleared or expired at `at`. created_at plays no role, as a clock may be set back."""
        memory = self.memory
        return memory.cleared_at is not None or (memory.expires_at is not None and memory.expires_at <= at)

    def is_shown(self, at: datetime) -> bool:
        """Whether prompts of the session show the item at `at`: it is neither over nor paused."""
        return not self.paused and not self.is_over(at)


@dataclass(frozen=True, slots=True)
class ItemSelection:
    """Selects items of a session: those of a to-do, the item with an id, or all."""

    todo_id: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DueNamespace:
    """A namespace with working items to copy to the memory store, or expired ones to delete. due_at: when; opaque."""

    scope: Scope
    due_at: str


class LiveItemStore(ABC):
    """Stores live working items by session. Scopes must name a session; with `agents`, only their items are reached.

    Raises Unavailable when the store can't be reached.
    """

    @abstractmethod
    async def put(self, scope: Scope, item: LiveItem) -> None:
        """Store `item`, replacing one with the same id, and end a pause of the session.

        If it is a to-do, the session's earlier item of the same to-do is cleared.
        """

    @abstractmethod
    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """Every item of the session, oldest first, including cleared and expired ones that are not deleted yet.

        optional: the caller can do without the items, so it does not wait for a slow store.
        """

    @abstractmethod
    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Restart the time to live of the items with these ids, except those cleared or expired at `at`."""

    @abstractmethod
    async def clear(self, scope: Scope, selection: ItemSelection, at: datetime) -> list[str]:
        """Mark the selected items as cleared, except those cleared or expired at `at`; return their ids."""

    @abstractmethod
    async def set_paused(self, scope: Scope, at: datetime, *, paused: bool) -> int:
        """Pause the session's items that belong to a to-do, or end the pause of all items; return how many changed."""

    @abstractmethod
    async def due_namespaces(self, at: datetime, limit: int) -> list[DueNamespace]:
        """Namespaces with items to copy to the memory store, or expired items to delete, at `at`; longest due first."""

    @abstractmethod
    async def due_sessions(self, scope: Scope, at: datetime, limit: int) -> list[str]:
        """Sessions with items to copy to the memory store, or expired items to delete, at `at`; longest due first."""

    @abstractmethod
    async def mark_synced(self, scope: Scope, items: Sequence[LiveItem], at: datetime) -> None:
        """Mark `items` as copied to the memory store unless they changed meanwhile; delete cleared and expired ones."""

    @abstractmethod
    async def reschedule(self, due: DueNamespace) -> None:
        """Set when the namespace is due next, at its first due session, unless another call has set it since."""
