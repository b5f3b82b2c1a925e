"""Stores of threads and of evicted turns. The docstrings are the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Threads in a chain, the youngest included."""


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread to create. resource, key: together its name. lru: whether it evicts the least recently used turn."""

    thread_id: str
    ttl_s: int
    created_at: datetime
    parent_id: str | None = None
    resource: str | None = None
    key: str | None = None
    agent_id: str | None = None
    initial_context: str | None = None
    lru: bool = False


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread without its turns. tokens: of its turns and its summary. ttl_left_s: seconds until it expires.

    ancestors: their ids, oldest first, whether they are there or not.
    """

    id: str
    version: int
    tokens: int
    turns: int
    ttl_s: int
    created_at: datetime
    parent_id: str | None = None
    resource: str | None = None
    key: str | None = None
    agent_id: str | None = None
    initial_context: str | None = None
    summary: str = ""
    summary_tokens: int = 0
    last_flush_at: str | None = None
    ttl_left_s: int = 0
    ancestors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppendTurn:
    """A turn to append. rank: see `eviction_rank`. expected: the version that must be current; None for any."""

    thread_id: str
    turn: Turn
    rank: str | None
    limits: ThreadLimits
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class TurnAppended:
    """The result of an append. tokens, turns: of the thread afterwards. evicted: number of turns evicted for it."""

    index: int
    version: int
    tokens: int
    turns: int
    evicted: int


@dataclass(frozen=True, slots=True)
class ThreadContent:
    """A thread with its turns, oldest first. used: when each index was last used; higher is later."""

    thread: Thread
    turns: tuple[Turn, ...]
    used: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Removal:
    """Turns to flush. summary: replaces the previous one; None leaves it."""

    thread_id: str
    indices: tuple[int, ...]
    at: datetime
    summary: str | None = None
    summary_tokens: int = 0


class ThreadStore(ABC):
    """Stores threads. Each change is atomic; an unknown thread raises NotFound.

    Evicted and flushed turns are queued in the `EvictedTurnStore` in the same transaction.
    """

    @abstractmethod
    async def create(self, scope: Scope, new: NewThread) -> str:
        """The id of the new thread, or of the existing one with its resource and key.

        Raises NotFound for an unknown parent, InvalidRequest for a chain that would be a cycle or too deep, Conflict
        if the existing thread has another parent.
        """

    @abstractmethod
    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append a turn, evict others to stay within the limits, and refresh the TTL of the whole chain.

        Raises VersionConflict, and InvalidRequest if the turn cannot fit.
        """

    @abstractmethod
    async def get(self, scope: Scope, thread_id: str) -> Thread:
        """The thread."""

    @abstractmethod
    async def read(self, scope: Scope, thread_id: str) -> ThreadContent:
        """The thread with all its turns."""

    @abstractmethod
    async def page(self, scope: Scope, thread_id: str, offset: int, limit: int) -> ThreadContent:
        """The thread with some of its turns, which are marked as used."""

    @abstractmethod
    async def use(self, scope: Scope, thread_id: str, indices: Sequence[int]) -> None:
        """Mark turns as used now."""

    @abstractmethod
    async def remove(self, scope: Scope, removal: Removal) -> bool:
        """Remove turns from the thread; False, and no change, if one of them is not there."""

    @abstractmethod
    async def replace(
        self, scope: Scope, thread_id: str, turns: Sequence[tuple[Turn, str | None]], expected: int | None = None
    ) -> int:
        """Replace all turns by these, each with its rank; the new version. Raises VersionConflict."""

    @abstractmethod
    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Remove all turns and return their number. With a `backup_id` they are kept for a day."""

    @abstractmethod
    async def backup(self, scope: Scope, backup_id: str) -> tuple[Turn, ...]:
        """The turns of a backup."""

    @abstractmethod
    async def delete(self, scope: Scope, thread_id: str) -> None:
        """Delete the thread."""


@dataclass(frozen=True, slots=True)
class EvictedTurns:
    """Turns that were evicted or flushed together and wait to be stored as memories. token: its key in the store.

    tries: rejections since it was queued. rounds: how often it was set aside. reason: why it is set aside, else empty.
    retry_at: when it is retried.
    """

    thread_id: str
    turns: tuple[Turn, ...]
    token: str
    tries: int = 0
    rounds: int = 0
    reason: str = ""
    retry_at: datetime | None = None

    def due(self, at: datetime | None) -> bool:
        """Whether a batch that is set aside is retried at `at`; always if `at` is None."""
        return at is None or self.retry_at is None or self.retry_at <= at


@dataclass(frozen=True, slots=True)
class EvictedBacklog:
    """Unsaved batches. waiting: number queued in the namespace. set_aside: those of one thread, oldest first."""

    waiting: int
    set_aside: tuple[EvictedTurns, ...] = ()

    @property
    def retry_at(self) -> datetime | None:
        """When the first batch that is set aside is retried."""
        return min((batch.retry_at for batch in self.set_aside if batch.retry_at is not None), default=None)


class EvictedTurnStore(ABC):
    """Queue of evicted turns. A batch stays until it is acknowledged, even if its thread is deleted."""

    @abstractmethod
    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """The first batches of the queue, oldest first."""

    @abstractmethod
    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """Remove a batch that has been stored as memories."""

    @abstractmethod
    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """Move a batch to the end of the queue, with its new number of tries."""

    @abstractmethod
    async def set_aside(self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime) -> None:
        """Take a batch out of the queue for one more round, until it is requeued."""

    @abstractmethod
    async def requeue(self, at: datetime | None) -> int:
        """Queue every batch, of any scope, that is set aside and due at `at` (None: all of them), with no tries.

        Returns their number.
        """

    @abstractmethod
    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """Number of batches queued in the namespace, and the batches of this thread that are set aside."""

    @abstractmethod
    def scopes(self) -> AsyncIterator[Scope]:
        """Every scope with queued batches."""
