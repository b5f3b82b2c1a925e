"""Live working items (notes on the current task that every prompt of a session shows), and the port of their store.

A live item is a working memory in the live store (Redis), with its current `accessed_at`, `expires_at` and
`cleared_at`. Its copy in the memory store, which searches can find, is updated later (`ingest.working.working_memory`).
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
    """A working memory (a note on the current task) in the live store (Redis), which is copied to the memory store.

    ttl: time to live after the last use. unsynced: whether the copy in the memory store differs from the item. is_todo:
    whether it is a to-do itself and not a note on a to-do. paused: whether prompts leave it out because its session has
    stopped. revision: opaque text that differs after every change of the item.
    """

    memory: Working
    ttl: timedelta
    unsynced: bool = True
    is_todo: bool = False
    paused: bool = False
    revision: str = ""

    def is_over(self, at: datetime) -> bool:
        """Whether the item is cleared or expired at `at`. `created_at` is not checked: a clock may be set back."""
        memory = self.memory
        return memory.cleared_at is not None or (memory.expires_at is not None and memory.expires_at <= at)

    def is_shown(self, at: datetime) -> bool:
        """Whether prompts of the session show the item at `at`: it is not cleared, not expired and not paused."""
        return not self.paused and not self.is_over(at)


@dataclass(frozen=True, slots=True)
class ItemSelection:
    """Selects working items of a session: those of the to-do `todo_id`, the item `id`, or all if both are None."""

    todo_id: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class DueNamespace:
    """A namespace with working items to copy to the memory store, or to delete as cleared or expired.

    due_at: the time at which this work became due, as opaque text that `reschedule` needs.
    """

    scope: Scope
    due_at: str


class LiveItemStore(ABC):
    """Stores live working items (notes on the current task) by session. Scopes must name a session, unless noted.

    If `scope.agents` is not empty, a call reaches only these agents' items. Every method raises Unavailable when the
    store can't be reached.
    """

    @abstractmethod
    async def put(self, scope: Scope, item: LiveItem) -> None:
        """Store `item`, replacing a stored item with the same id, and show the session's paused items in prompts again.

        If `item` is a to-do, the session's earlier item for the to-do with this `todo_id` is marked as cleared.
        """

    @abstractmethod
    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """Return every item of the session, oldest first, also cleared and expired items that are not deleted yet.

        optional: whether the caller can go on without the items; the call then fails fast if the store is slow.
        """

    @abstractmethod
    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Restart the time to live of the working items with these ids, except those cleared or expired at `at`."""

    @abstractmethod
    async def clear(self, scope: Scope, selection: ItemSelection, at: datetime) -> list[str]:
        """Mark the selected items as cleared, so that prompts omit them. Returns the ids of the items marked.

        Items that were already cleared, or have expired at `at`, are left as they are.
        """

    @abstractmethod
    async def set_paused(self, scope: Scope, at: datetime, *, paused: bool) -> int:
        """Pause or resume working items of the session; return how many changed. Prompts leave paused items out.

        paused: True pauses the to-dos and the notes on them, but no other notes; False resumes every paused item. Items
        that are cleared, or expired at `at`, do not change.
        """

    @abstractmethod
    async def due_namespaces(self, at: datetime, limit: int) -> list[DueNamespace]:
        """Return at most `limit` namespaces with working items to copy to the memory store, or to delete as ended.

        An item has ended if it is cleared or expired. Only namespaces are returned for which this work is due at the
        time `at`; the longest overdue is first.
        """

    @abstractmethod
    async def due_sessions(self, scope: Scope, at: datetime, limit: int) -> list[str]:
        """Return ids of sessions with working items to copy to the memory store, or to delete as cleared or expired.

        At most `limit` sessions of the namespace are returned, only those for which this work is due at the time `at`;
        the longest overdue is first. The scope need not name a session.
        """

    @abstractmethod
    async def mark_synced(self, scope: Scope, items: Sequence[LiveItem], at: datetime) -> None:
        """Record that `items` were copied to the memory store, and delete those of them cleared or expired at `at`.

        An item that has changed since the caller read it is left as it is, so that it is copied again.
        """

    @abstractmethod
    async def reschedule(self, due: DueNamespace) -> None:
        """Set when a namespace's working items must next be copied or deleted: the earliest such time of its sessions.

        If no session has such a time, the namespace gets none. due: the namespace as `due_namespaces` returned it; if
        its time was changed since, nothing is changed.
        """
