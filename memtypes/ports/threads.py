"""Ports of the stores of threads and of evicted turns. The docstrings are the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Maximum number of threads in a chain of parents, the youngest included."""

MAX_PATHS = 200
"""Maximum number of files in a `ThreadTail`, and of images."""


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread to create. resource, key: its name, in two parts. lru: whether turns are evicted by last use.

    workflow_id: the workflow that it belongs to. flushes: whether its turns are queued as evicted when it expires.
    """

    thread_id: str
    ttl_s: int
    created_at: datetime
    parent_id: str | None = None
    resource: str | None = None
    key: str | None = None
    agent_id: str | None = None
    initial_context: str | None = None
    lru: bool = False
    workflow_id: str | None = None
    flushes: bool = False


@dataclass(frozen=True, slots=True)
class Thread:
    """State of a thread, without its turns. tokens: in turns and summary. ttl_left_s: seconds until it expires.

    used_at: time of the last append or replacement, else of its creation. ancestors: ids of its parent, the parent's
    parent and so on, oldest first, including expired ones.
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
    workflow_id: str | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The idempotency key of an append, remembered for ANSWER_TTL. digest: hash of the request's body."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """Which threads to list, last used first: those with all the given values. key_prefix: the beginning of the key.

    cursor: `next_cursor` of the page before; None for the first page.
    """

    limit: int
    cursor: str | None = None
    key_prefix: str = ""
    resource: str | None = None
    agent_id: str | None = None
    parent_id: str | None = None
    workflow_id: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadPage:
    """A page of threads. next_cursor: None on the last one."""

    threads: tuple[Thread, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class AppendTurn:
    """A turn to append. rank: see `eviction_rank`. expected: the version that must be current; None for any.

    request: its idempotency key; None if the append will not be repeated.
    """

    thread_id: str
    turn: Turn
    rank: str | None
    limits: ThreadLimits
    expected: int | None = None
    request: RequestKey | None = None


@dataclass(frozen=True, slots=True)
class TurnAppended:
    """Result of appending a turn. tokens, turns: in the thread afterwards. evicted: number of turns evicted.

    at: time of the turn. repeated: whether an earlier append with the same key had stored the turn already. flushed:
    number of turns that were removed right after that earlier append; `version` is then that after their removal.
    """

    index: int
    version: int
    tokens: int
    turns: int
    evicted: int
    at: datetime
    repeated: bool = False
    flushed: int = 0


@dataclass(frozen=True, slots=True)
class ThreadContent:
    """A thread with its turns, oldest first. used: a number for each turn index; the higher, the later its last use."""

    thread: Thread
    turns: tuple[Turn, ...]
    used: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PathMention:
    """Newest mention of a file or an image in a thread. turn: index of the turn, which may have been flushed since."""

    path: str
    turn: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ThreadTail:
    """What a context needs of a thread: its newest turns and system turns, oldest first; its files and images.

    files, images: those mentioned last, by turns that are or were in the thread; newest mention first, at most
    MAX_PATHS of each. file_count, image_count: how many the thread mentions, counting the last 1,000 only.
    """

    thread: Thread
    turns: tuple[Turn, ...]
    files: tuple[PathMention, ...] = ()
    images: tuple[PathMention, ...] = ()
    file_count: int = 0
    image_count: int = 0

    @property
    def whole(self) -> bool:
        """Whether these are all turns of the thread."""
        return len(self.turns) == self.thread.turns


@dataclass(frozen=True, slots=True)
class Removal:
    """Turns to remove from a thread in a flush. summary: the thread's new summary; None leaves the old one."""

    thread_id: str
    indices: tuple[int, ...]
    at: datetime
    summary: str | None = None
    summary_tokens: int = 0


class ThreadStore(ABC):
    """Stores threads. Each change is atomic; an unknown thread raises NotFound.

    Turns that are evicted or flushed are added to the `EvictedTurnStore` in the same transaction.
    """

    @abstractmethod
    async def create(self, scope: Scope, new: NewThread) -> str:
        """Create a thread unless one with its resource and key exists; return the id of the new or existing one.

        Raises NotFound for an unknown parent, InvalidRequest for a chain that would be a cycle or too deep, Conflict
        if the existing thread has another parent or belongs to another workflow.
        """

    @abstractmethod
    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append a turn, evict others to stay within the limits, and refresh the TTL of the whole chain.

        If evicting all turns that may be evicted does not make enough room, the summary is removed too. A repeated
        request changes nothing and gets the result of the first. Raises VersionConflict, InvalidRequest if the turn
        cannot fit, and Conflict for a repeated key with another digest.
        """

    @abstractmethod
    async def get(self, scope: Scope, thread_id: str) -> Thread:
        """Return the thread without its turns."""

    @abstractmethod
    async def page_of_threads(self, scope: Scope, query: ThreadQuery) -> ThreadPage:
        """Return a page of threads, ordered by the time of creation, last append or replacement, latest first.

        Listing does not change that time. A thread that is used between the reading of two pages may be on both. Raises
        InvalidRequest for a malformed cursor.
        """

    @abstractmethod
    async def find(self, scope: Scope, resource: str | None, key: str) -> str | None:
        """Return the id of the thread with this resource and key; None if there is none. It does not count as use."""

    @abstractmethod
    async def read(self, scope: Scope, thread_id: str) -> ThreadContent:
        """Return the thread with all its turns, oldest first."""

    @abstractmethod
    async def tail(self, scope: Scope, thread_id: str, tokens: int) -> ThreadTail:
        """Return the newest turns and system turns, until they exceed `tokens`, and the files and images mentioned.

        The turn that exceeds them is included. The cost does not grow with the thread. Reading does not count as use.
        """

    @abstractmethod
    async def page(self, scope: Scope, thread_id: str, offset: int, limit: int) -> ThreadContent:
        """Return the thread with at most `limit` turns, beginning at position `offset`, and mark them as used."""

    @abstractmethod
    async def use(self, scope: Scope, thread_id: str, indices: Sequence[int]) -> None:
        """Mark the turns with these indices as used now."""

    @abstractmethod
    async def remove(self, scope: Scope, removal: Removal) -> int:
        """Remove turns from the thread; return its new version, or 0, without a change, if one of them is missing."""

    @abstractmethod
    async def replace(
        self, scope: Scope, thread_id: str, turns: Sequence[tuple[Turn, str | None]], expected: int | None = None
    ) -> int:
        """Replace all turns by `turns`, each with its eviction rank; return the new version. Raises VersionConflict."""

    @abstractmethod
    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Remove all turns and return their number. With a `backup_id`, the turns are stored under it for a day."""

    @abstractmethod
    async def backup(self, scope: Scope, backup_id: str) -> tuple[Turn, ...]:
        """Return the turns that `clear` stored under `backup_id`."""

    @abstractmethod
    async def delete(self, scope: Scope, thread_id: str, *, flush: bool = False) -> None:
        """Delete the thread. flush: add its turns to the `EvictedTurnStore` first."""

    @abstractmethod
    async def queue_expired(self) -> int:
        """Add the turns of expired threads of all scopes to the `EvictedTurnStore`; return the number of threads.

        Threads that were created without `flushes` are left out.
        """


@dataclass(frozen=True, slots=True)
class EvictedTurns:
    """A batch: turns that were evicted or flushed together and wait to be stored as memories. token: the batch's key.

    tries: failed attempts since it was queued. rounds: how often it was set aside (taken out of the queue). reason: why
    it is set aside, else empty. retry_at: when it is queued again.
    """

    thread_id: str
    turns: tuple[Turn, ...]
    token: str
    tries: int = 0
    rounds: int = 0
    reason: str = ""
    retry_at: datetime | None = None

    def due(self, at: datetime | None) -> bool:
        """Whether a batch that is set aside may be queued again at `at`; always if `at` is None."""
        return at is None or self.retry_at is None or self.retry_at <= at


@dataclass(frozen=True, slots=True)
class EvictedBacklog:
    """Batches not stored yet. waiting: number of queued batches. set_aside: the batches set aside of one thread."""

    waiting: int
    set_aside: tuple[EvictedTurns, ...] = ()

    @property
    def retry_at(self) -> datetime | None:
        """Earliest time at which a batch that is set aside is queued again; None if none is set aside."""
        return min((batch.retry_at for batch in self.set_aside if batch.retry_at is not None), default=None)


class EvictedTurnStore(ABC):
    """Queue of turns to store as memories. A batch stays until it is acknowledged, even if its thread is deleted."""

    @abstractmethod
    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """Return at most `limit` batches from the front of the queue, oldest first."""

    @abstractmethod
    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """Remove a batch that has been stored as memories."""

    @abstractmethod
    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """Move a batch to the end of the queue, with its new number of tries."""

    @abstractmethod
    async def set_aside(self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime) -> None:
        """Take a batch out of the queue until `retry_at`, when `requeue` puts it back; counts one more round."""

    @abstractmethod
    async def requeue(self, at: datetime | None) -> int:
        """Put batches that are set aside and due at `at` back in the queue, in all scopes, with 0 tries.

        at: None for all such batches. Returns how many were put back.
        """

    @abstractmethod
    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """Number of batches queued in the namespace, and the batches of this thread that are set aside."""

    @abstractmethod
    async def discard(self, scope: Scope, thread_id: str | None) -> None:
        """Remove the batches of a thread, or of all threads of the namespace, queued and set aside."""

    @abstractmethod
    def scopes(self) -> AsyncIterator[Scope]:
        """Yield every scope that has queued batches."""
