"""Ports of the stores of threads (conversations) and of turns evicted from threads. Docstrings are
the contract.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import Turn
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Maximum number of threads in a chain of parents, the youngest included."""

MAX_CONTENTS = 1_000_000
"""Maximum bytes of all contents of files in a thread. Beyond it, those of the files that were
mentioned longest ago are dropped.
"""

BYTES_PER_TOKEN = 16
"""Bytes of files' contents that a `ThreadTail` reads for each token of its budget, at least."""

MAX_PATHS = 200
"""Maximum number of files that a `ThreadTail` lists; the maximum number of images is the same."""


@dataclass(frozen=True, slots=True)
class NewThread:
    """A thread to create. ttl_s: time to live after the last use, in seconds. resource: name of its
    thread policy.

    key: its name, unique among the namespace's threads with the same resource; None for no name.
    lru: whether the least recently used turns are evicted first. workflow_id: the workflow that the
    thread belongs to. flushes: whether its turns are stored as memories when it expires; otherwise
    they are lost.
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
    """State of a thread, without its turns. tokens: tokens of all turns and the summary. turns:
    number of turns.

    ttl_left_s: seconds until the thread expires. used_at: time of the last change of its turns by a
    caller, else of its creation. flushed: number of turns that a flush or an eviction moved out of
    it since its turns were last replaced or cleared. ancestors: ids of its parent, the parent's
    parent and so on, oldest first, also of expired threads.
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
    flushed: int = 0


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The idempotency key of an appended turn, and the hash of the request's body, remembered for
    ANSWER_TTL.
    """

    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    """Selects a page of threads, the last used first. A thread must match every field that is
    neither None nor empty.

    limit: maximum number of threads on a page. cursor: `next_cursor` of the page before; None for
    the first page. key_prefix: the beginning of a thread's key.
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
    """A page of threads. next_cursor: the cursor to send for the next page; None on the last
    page.
    """

    threads: tuple[Thread, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class AppendTurn:
    """A turn to append to a thread. rank: see `eviction_rank`. expected: the version required; None
    for any.

    spares_system: whether the thread's newest system turn is evicted only after all others.
    contents: of files that the turn mentions, by path.
    """

    thread_id: str
    turn: Turn
    rank: str | None
    limits: ThreadLimits
    expected: int | None = None
    request: RequestKey | None = None
    spares_system: bool = False
    contents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnAppended:
    """Result of appending a turn. index: the turn's number. version, tokens, turns: of the thread
    afterwards.

    evicted: number of other turns evicted to make room. at: time of the turn. repeated: whether an
    earlier request with the same idempotency key stored the turn. If so, flushed is the number of
    turns that a flush then moved out of the thread, and version is the thread's version after it.
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
    """A thread and its turns, oldest first. used: a number by turn index, the higher the later the
    turn was used.
    """

    thread: Thread
    turns: tuple[Turn, ...]
    used: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PathMention:
    """The latest mention of a file or image by a turn, which may have left the thread. at: time of
    the turn.

    content: the newest content that was given for the file; None if none was; "" if it was not
    read, because newer ones are large enough for the reader.
    """

    path: str
    turn: int
    at: datetime
    content: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadTail:
    """The part of a thread that a context shows. turns: its newest turns and newest system turns,
    oldest first.

    files, images: mentioned by turns, also by turns that have left the thread; at most MAX_PATHS of
    each, the latest mention first. file_count, image_count: numbers of all files and images that
    were mentioned, at most 1,000 each.
    """

    thread: Thread
    turns: tuple[Turn, ...]
    files: tuple[PathMention, ...] = ()
    images: tuple[PathMention, ...] = ()
    file_count: int = 0
    image_count: int = 0

    @property
    def whole(self) -> bool:
        """Whether `turns` has all turns of the thread."""
        return len(self.turns) == self.thread.turns


@dataclass(frozen=True, slots=True)
class Removal:
    """Turns to move out of a thread, to become memories. summary: the thread's new one; None to
    keep the old one.
    """

    thread_id: str
    indices: tuple[int, ...]
    at: datetime
    summary: str | None = None
    summary_tokens: int = 0


class ThreadStore(Protocol):
    """Stores threads. Each change is atomic. A method that is given the id of an unknown thread
    raises NotFound.

    Turns that are evicted from a full thread, or removed by a flush (many turns at once), are added
    in the same transaction to the `EvictedTurnStore`, from which they become memories.
    """

    async def create(self, scope: Scope, new: NewThread) -> str:
        """Create a thread and return its id, or return the id of the existing thread with the same
        resource and key.

        Raises NotFound if its parent is unknown, InvalidRequest if it would be its own ancestor or
        the chain of parents would be longer than MAX_CHAIN, Conflict if the existing thread has
        another parent or another workflow.
        """

    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append a turn, and evict other turns if the thread then exceeds its limits.

        If evictions do not make enough room, the thread's summary is removed too. The TTL of the
        thread and its ancestors is restarted. A repeated request changes nothing and returns the
        first request's result. Raises InvalidRequest if the turn does not fit even without the
        summary, or if it is pinned and the pinned turns would exceed `limits.most_pinned`;
        VersionConflict if `append.expected` is not the current version; Conflict if the
        idempotency key was used for another request.
        """

    async def get(self, scope: Scope, thread_id: str) -> Thread:
        """Return the state of the thread, which does not include its turns."""

    async def page_of_threads(self, scope: Scope, query: ThreadQuery) -> ThreadPage:
        """Return a page of threads, the last used first; creating a thread and changing its turns
        count as use.

        Listing does not count as use. A thread that is used between the reading of two pages may be
        missing from both. Raises InvalidRequest for a malformed cursor.
        """

    async def find(self, scope: Scope, resource: str | None, key: str) -> str | None:
        """Return the id of the thread with this resource (thread policy) and key, or None. Does not
        count as use.
        """

    async def read(self, scope: Scope, thread_id: str) -> ThreadContent:
        """Return the thread with all its turns, oldest first."""

    async def tail(self, scope: Scope, thread_id: str, tokens: int) -> ThreadTail:
        """Return the newest turns and the newest system turns of the thread, and the files and
        images that it mentions.

        tokens: turns are collected, the newest first, until their total exceeds this number of
        tokens; the turn that exceeds it is included. System turns are also collected separately, up
        to the same number. The cost does not grow with the thread. Reading does not count as use of
        the turns.
        """

    async def page(self, scope: Scope, thread_id: str, offset: int, limit: int) -> ThreadContent:
        """Return the thread with `limit` turns from `offset` on, oldest first, and mark these as
        used now.
        """

    async def use(self, scope: Scope, thread_id: str, indices: Sequence[int]) -> None:
        """Mark the turns with these indices as used now, so that eviction in order of last use
        takes them later.
        """

    async def remove(self, scope: Scope, removal: Removal) -> int:
        """Move turns to the `EvictedTurnStore`; return the thread's new version, or 0 if a turn is
        missing.
        """

    async def replace(
        self,
        scope: Scope,
        thread_id: str,
        turns: Sequence[tuple[Turn, str | None]],
        expected: int | None = None,
        contents: Mapping[str, str] | None = None,
    ) -> int:
        """Replace all turns of the thread, and remove its summary; return the thread's new version.

        turns: each with its eviction rank (see `eviction_rank`). contents: of files that the turns
        mention, by path. expected: the version that the
        thread must have; None for any. Raises VersionConflict if another version is current.
        """

    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Remove all turns and the summary; return how many. backup_id: keeps them for a day (see
        `backup`).
        """

    async def backup(self, scope: Scope, backup_id: str) -> tuple[Turn, ...]:
        """Return the turns that `clear` stored under `backup_id`. Raises NotFound if there are none
        or they expired.
        """

    async def delete(self, scope: Scope, thread_id: str, *, flush: bool = False) -> None:
        """Delete the thread. flush: whether to add its turns to the `EvictedTurnStore` first, to
        become memories.
        """

    async def queue_expired(self) -> int:
        """Queue the turns of expired threads that have `flushes`, in all scopes; return the number
        of threads.
        """


@dataclass(frozen=True, slots=True)
class EvictedTurns:
    """A batch of turns that left a thread together and wait to be stored as memories.

    token: text that identifies the batch in the store. tries: failed attempts since it was queued.
    rounds: how often it was set aside, that is, taken out of the queue after failed attempts.
    reason: why it is set aside; empty while it is queued. retry_at: when a batch that is set aside
    is queued again.
    """

    thread_id: str
    turns: tuple[Turn, ...]
    token: str
    tries: int = 0
    rounds: int = 0
    reason: str = ""
    retry_at: datetime | None = None

    def due(self, at: datetime | None) -> bool:
        """Whether a batch that is set aside may be queued again at `at`; always true if `at` is
        None.
        """
        return at is None or self.retry_at is None or self.retry_at <= at


@dataclass(frozen=True, slots=True)
class EvictedBacklog:
    """Batches of turns not stored as memories yet. waiting: how many are in the queue. set_aside:
    those that failed.
    """

    waiting: int
    set_aside: tuple[EvictedTurns, ...] = ()

    @property
    def retry_at(self) -> datetime | None:
        """Earliest time at which a batch in `set_aside` is put back in the queue; None if
        `set_aside` is empty.
        """
        return min(
            (batch.retry_at for batch in self.set_aside if batch.retry_at is not None), default=None
        )


class EvictedTurnStore(Protocol):
    """Queue of evicted turns to store as memories. A batch that keeps failing is set aside for some
    time.
    """

    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """Return the first `limit` batches of the queue. They stay in it until they are
        acknowledged or moved.
        """

    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """Remove a batch that has been stored as memories."""

    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """Move a batch that could not be stored to the end of the queue. tries: its number of
        failed attempts.
        """

    async def set_aside(
        self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime
    ) -> None:
        """Keep a failed batch out of the queue until `retry_at`; its `rounds` grows by 1. reason:
        why it failed.
        """

    async def requeue(self, at: datetime | None) -> int:
        """Queue batches that were set aside again, in all scopes: those due at `at` (None: all);
        return how many.
        """

    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """Return the number of queued batches and, if `thread_id` is set, the thread's batches that
        are set aside.
        """

    async def discard(self, scope: Scope, thread_id: str | None) -> None:
        """Remove the batches of a thread (None: of all threads of the namespace), both queued and
        set aside.
        """

    def scopes(self) -> AsyncIterator[Scope]:
        """Yield every scope (tenant and namespace) that has queued batches."""
