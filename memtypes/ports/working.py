"""Live working memory: the items that the next prompts get, and the port of the place where they are.

A live item is a working memory whose times are kept where it lives: `accessed_at`, `expires_at` and `cleared_at` are
right here, and the embedded copy in the memory store follows (see `ingest.working.sync`).
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
    """An item as it lives. ttl: how long it lives without use. behind: its copy does not say so yet.

    state: names this state of the item among all that it has had.
    """

    memory: Working
    ttl: timedelta
    behind: bool = True
    state: str = ""

    def over_at(self, at: datetime) -> bool:
        """Whether prompts at `at` get it no more: cleared, or not used lately.

        When it was made does not matter: the clock may have been put back since.
        """
        memory = self.memory
        return memory.cleared_at is not None or (memory.expires_at is not None and memory.expires_at <= at)


@dataclass(frozen=True, slots=True)
class Clearing:
    """Which items of a session are done: those of a to-do, one, or all of them."""

    todo_id: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A namespace in which something is behind or over. seen: names what was noted about it when it was found."""

    scope: Scope
    seen: str


class LiveItems(ABC):
    """Where live items are. Every scope names a session; raises Unavailable when the place is away."""

    @abstractmethod
    async def put(self, scope: Scope, entry: LiveItem) -> None:
        """Keep `entry` in place of one with the same id."""

    @abstractmethod
    async def items(self, scope: Scope, *, optional: bool = False) -> list[LiveItem]:
        """Every item of the session, also those that are over and not yet swept, oldest first.

        optional: the caller can do without, and does not wait for a place that is slow.
        """

    @abstractmethod
    async def touch(self, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        """Begin the time limit of those of `ids` that live at `at` again."""

    @abstractmethod
    async def clear(self, scope: Scope, which: Clearing, at: datetime) -> list[str]:
        """Clear those that live at `at`; their ids."""

    @abstractmethod
    async def due(self, at: datetime, limit: int) -> list[Due]:
        """Namespaces in which something is to be brought into step or swept by `at`."""

    @abstractmethod
    async def sessions_due(self, scope: Scope, at: datetime, limit: int) -> list[str]:
        """Those of its sessions."""

    @abstractmethod
    async def settle(self, scope: Scope, entries: Sequence[LiveItem], at: datetime) -> None:
        """Note that the copies of `entries` are in step and forget what is over; what changed since stays behind."""

    @abstractmethod
    async def rest(self, due: Due) -> None:
        """Note when the namespace is due next, unless something was noted about it since."""
