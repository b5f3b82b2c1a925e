"""A store of threads in memory, which passes the contract suite
`tests/contracts/test_thread_store.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from memtypes.live.turns import Turn
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.threads import (
    MAX_CHAIN,
    MAX_PATHS,
    AppendTurn,
    EvictedBacklog,
    EvictedTurns,
    EvictedTurnStore,
    NewThread,
    PathMention,
    Removal,
    Thread,
    ThreadContent,
    ThreadPage,
    ThreadQuery,
    ThreadStore,
    ThreadTail,
    TurnAppended,
)


@dataclass(slots=True)
class _StoredThread:
    thread: Thread
    turns: list[Turn] = field(default_factory=list)
    ranks: dict[int, str | None] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    clock: int = 0
    next_index: int = 0
    used_at: int = 0
    files: dict[str, PathMention] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    images: dict[str, PathMention] = field(default_factory=dict)
    requests: dict[str, tuple[str, TurnAppended]] = field(default_factory=dict)

    def use(self, indices: Sequence[int]) -> None:
        """Mark the turns with these indices as just used."""
        for index in indices:
            self.clock += 1
            self.used[index] = self.clock

    def number(self, turn: Turn, rank: str | None) -> Turn:
        """Return `turn` with the thread's next index, and record its files, images and eviction
        rank.
        """
        numbered = replace(turn, index=self.next_index)
        self.files |= {path: PathMention(path, self.next_index, turn.at) for path in turn.files}
        self.images |= {path: PathMention(path, self.next_index, turn.at) for path in turn.images}
        self.ranks[self.next_index] = rank
        self.use([self.next_index])
        self.next_index += 1
        return numbered

    def position(self, turn: Turn) -> int:
        """Position of a turn in the eviction order; the turn with the lowest position is evicted
        first.
        """
        rank = self.ranks[turn.index]
        return int(rank) + turn.index if rank else self.used[turn.index]


class FakeThreads(ThreadStore, EvictedTurnStore):
    """Threads and batches of evicted turns in dictionaries. Nothing expires."""

    def __init__(self) -> None:
        self._threads: dict[tuple[str, str, str], _StoredThread] = {}
        self._backups: dict[tuple[str, str, str], tuple[Turn, ...]] = {}
        self._evicted: dict[tuple[str, str], list[EvictedTurns]] = {}
        self._set_aside: dict[tuple[str, str, str], list[EvictedTurns]] = {}
        self._tokens = itertools.count()
        self._uses = itertools.count(1)

    def _get(self, scope: Scope, thread_id: str) -> _StoredThread:
        stored = self._threads.get((scope.tenant, scope.namespace, thread_id))
        if stored is None:
            raise NotFound(f"there is no thread {thread_id!r}")
        return stored

    async def create(self, scope: Scope, new: NewThread) -> str:
        """Create a thread and return its id; if a thread with this resource and key exists, return
        its id instead.
        """
        for key, stored in self._threads.items():
            same = (stored.thread.resource, stored.thread.key) == (new.resource, new.key)
            if key[:2] == (scope.tenant, scope.namespace) and new.key is not None and same:
                if new.parent_id not in (None, stored.thread.parent_id):
                    raise Conflict("it has another parent")
                if new.workflow_id not in (None, stored.thread.workflow_id):
                    raise Conflict("it belongs to another workflow")
                return stored.thread.id
        ancestors: tuple[str, ...] = ()
        if new.parent_id is not None:
            ancestors = (*self._get(scope, new.parent_id).thread.ancestors, new.parent_id)
        if len(ancestors) >= MAX_CHAIN:
            raise InvalidRequest("the chain is too deep", path="parent_id")
        names = ("parent_id", "resource", "key", "agent_id", "initial_context", "workflow_id")
        fields = {name: getattr(new, name) for name in names}
        thread = Thread(
            new.thread_id,
            0,
            0,
            0,
            new.ttl_s,
            new.created_at,
            **fields,
            ttl_left_s=new.ttl_s,
            ancestors=ancestors,
        )
        self._threads[scope.tenant, scope.namespace, new.thread_id] = _StoredThread(
            thread, used_at=next(self._uses)
        )
        return new.thread_id

    async def find(self, scope: Scope, resource: str | None, key: str) -> str | None:
        """Return the id of the thread with this resource and key; None if there is none."""
        stored = (
            each.thread
            for place, each in self._threads.items()
            if place[:2] == (scope.tenant, scope.namespace)
        )
        return next(
            (thread.id for thread in stored if (thread.resource, thread.key) == (resource, key)),
            None,
        )

    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append a turn to a thread, and evict turns if the thread then exceeds its limits."""
        stored = self._get(scope, append.thread_id)
        request = append.request
        if request is not None and request.key in stored.requests:
            digest, appended = stored.requests[request.key]
            if digest != request.digest:
                raise Conflict("this Idempotency-Key came with another body")
            return replace(appended, repeated=True)
        self._check(stored, append.expected)
        _check_pinned(stored, append)
        turns = [*stored.turns, append.turn]
        evicted, summary_tokens = _make_room(stored, append, turns)
        if not summary_tokens:
            stored.thread = replace(stored.thread, summary="", summary_tokens=0)
        turns[-1] = stored.number(append.turn, append.rank)
        stored.contents |= append.contents
        stored.used_at = next(self._uses)
        self.evict(scope, append.thread_id, evicted)
        self._set(stored, turns)
        thread = stored.thread
        appended = TurnAppended(
            stored.next_index - 1,
            thread.version,
            thread.tokens,
            len(turns),
            len(evicted),
            append.turn.at,
        )
        if request is not None:
            stored.requests[request.key] = (request.digest, appended)
        return appended

    async def get(self, scope: Scope, thread_id: str) -> Thread:
        """Return the state of a thread, without its turns."""
        return self._get(scope, thread_id).thread

    async def page_of_threads(self, scope: Scope, query: ThreadQuery) -> ThreadPage:
        """Return a page of the namespace's threads, the last used first."""
        where = [
            stored
            for key, stored in self._threads.items()
            if key[:2] == (scope.tenant, scope.namespace)
        ]
        newest = sorted(where, key=lambda stored: -stored.used_at)
        before = math.inf if query.cursor is None else int(query.cursor)
        matching = [
            stored
            for stored in newest
            if stored.used_at < before and _matches(query, stored.thread)
        ]
        page = matching[: query.limit]
        cursor = str(page[-1].used_at) if len(page) < len(matching) else None
        return ThreadPage(tuple(stored.thread for stored in page), cursor)

    async def read(self, scope: Scope, thread_id: str) -> ThreadContent:
        """Return a thread with all its turns."""
        stored = self._get(scope, thread_id)
        return ThreadContent(stored.thread, tuple(stored.turns), dict(stored.used))

    async def tail(self, scope: Scope, thread_id: str, tokens: int) -> ThreadTail:
        """Return a thread's newest turns and newest system turns, and the files and images that it
        mentions.

        tokens: turns are collected, newest first, until they have more tokens than this.
        """
        stored = self._get(scope, thread_id)
        system = [turn for turn in stored.turns if turn.role == "system"]
        chosen = {turn.index for turns in (stored.turns, system) for turn in _newest(turns, tokens)}
        turns = tuple(turn for turn in stored.turns if turn.index in chosen)
        files = tuple(
            replace(mention, content=stored.contents.get(mention.path))
            for mention in _mentions(stored.files)
        )
        images = _mentions(stored.images)
        return ThreadTail(
            stored.thread, turns, files, images, len(stored.files), len(stored.images)
        )

    async def page(self, scope: Scope, thread_id: str, offset: int, limit: int) -> ThreadContent:
        """Return at most `limit` turns of a thread from position `offset` on, and mark them as
        used.
        """
        stored = self._get(scope, thread_id)
        shown = tuple(stored.turns[offset : offset + limit])
        stored.use([turn.index for turn in shown])
        return ThreadContent(stored.thread, shown, dict(stored.used))

    async def use(self, scope: Scope, thread_id: str, indices: Sequence[int]) -> None:
        """Mark the turns of a thread with these indices as used."""
        stored = self._get(scope, thread_id)
        stored.use([turn.index for turn in stored.turns if turn.index in indices])

    async def remove(self, scope: Scope, removal: Removal) -> int:
        """Remove turns from a thread, queue them as one batch, and return the thread's new version.

        Return 0 and change nothing if one of the turns is missing.
        """
        stored = self._get(scope, removal.thread_id)
        evicted = [turn for turn in stored.turns if turn.index in removal.indices]
        if len(evicted) < len(removal.indices):
            return 0
        self.evict(scope, removal.thread_id, evicted)
        stored.thread = replace(stored.thread, last_flush_at=rfc3339(removal.at))
        if removal.summary is not None:
            stored.thread = replace(
                stored.thread, summary=removal.summary, summary_tokens=removal.summary_tokens
            )
        for key, (digest, appended) in stored.requests.items():
            if appended.version == stored.thread.version:
                after = replace(appended, version=appended.version + 1, flushed=len(evicted))
                stored.requests[key] = (digest, after)
        self._set(stored, [turn for turn in stored.turns if turn not in evicted])
        return stored.thread.version

    async def replace(
        self,
        scope: Scope,
        thread_id: str,
        turns: Sequence[tuple[Turn, str | None]],
        expected: int | None = None,
        contents: Mapping[str, str] | None = None,
    ) -> int:
        """Replace all turns of a thread, remove its summary, and return its new version."""
        stored = self._get(scope, thread_id)
        self._check(stored, expected)
        stored.files = {}
        stored.images = {}
        stored.contents = dict(contents or {})
        stored.used_at = next(self._uses)
        numbered = [stored.number(turn, rank) for turn, rank in turns]
        stored.thread = replace(stored.thread, summary="", summary_tokens=0, flushed=0)
        self._set(stored, numbered)
        return stored.thread.version

    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """Remove all turns of a thread and its summary; return the number of turns.

        With a `backup_id`, store the turns under it.
        """
        stored = self._get(scope, thread_id)
        count = len(stored.turns)
        if backup_id is not None:
            self._backups[scope.tenant, scope.namespace, backup_id] = tuple(stored.turns)
        await self.replace(scope, thread_id, ())
        return count

    async def backup(self, scope: Scope, backup_id: str) -> tuple[Turn, ...]:
        """Return the turns that `clear` stored under this id. Raise NotFound if there are none."""
        found = self._backups.get((scope.tenant, scope.namespace, backup_id))
        if found is None:
            raise NotFound(f"there is no backup {backup_id!r}")
        return found

    async def delete(self, scope: Scope, thread_id: str, *, flush: bool = False) -> None:
        """Delete a thread. With `flush`, queue its turns to become memories."""
        turns = self._get(scope, thread_id).turns
        self.evict(scope, thread_id, turns if flush else [])
        del self._threads[scope.tenant, scope.namespace, thread_id]

    async def queue_expired(self) -> int:
        """Return 0, because no thread expires."""
        return 0

    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """Return at most `limit` batches from the front of the namespace's queue."""
        return self._evicted.get((scope.tenant, scope.namespace), [])[:limit]

    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """Remove a batch from the queue, because its turns are stored as memories."""
        self._evicted[scope.tenant, scope.namespace].remove(batch)

    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """Move a batch to the end of the queue and set its number of failed attempts."""
        queue = self._evicted[scope.tenant, scope.namespace]
        queue.remove(batch)
        queue.append(replace(batch, tries=tries))

    async def set_aside(
        self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime
    ) -> None:
        """Take a failing batch out of the queue until `requeue` puts it back."""
        self._evicted[scope.tenant, scope.namespace].remove(batch)
        batches = self._set_aside.setdefault((scope.tenant, scope.namespace, batch.thread_id), [])
        batches.append(replace(batch, rounds=batch.rounds + 1, reason=reason, retry_at=retry_at))

    async def requeue(self, at: datetime | None) -> int:
        """Put back the batches that were set aside and whose `retry_at` is not after `at`; return
        their number.

        If `at` is None, all batches that were set aside are put back.
        """
        recalled = [
            (key, one) for key, queue in self._set_aside.items() for one in queue if one.due(at)
        ]
        for key, one in recalled:
            self._set_aside[key].remove(one)
            self._evicted.setdefault(key[:2], []).append(
                replace(one, tries=0, reason="", retry_at=None)
            )
        return len(recalled)

    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """Return the number of queued batches in the namespace, and the batches of the thread that
        are set aside.
        """
        batches = self._set_aside.get((scope.tenant, scope.namespace, thread_id or ""), ())
        return EvictedBacklog(
            len(self._evicted.get((scope.tenant, scope.namespace), ())), tuple(batches)
        )

    async def discard(self, scope: Scope, thread_id: str | None) -> None:
        """Remove all batches of a thread; if `thread_id` is None, all batches of the namespace."""
        for key, queue in [*self._evicted.items(), *self._set_aside.items()]:
            if key[:2] == (scope.tenant, scope.namespace):
                queue[:] = [batch for batch in queue if thread_id not in (None, batch.thread_id)]

    async def scopes(self) -> AsyncIterator[Scope]:
        """Yield every tenant and namespace that has queued batches."""
        for (tenant, namespace), queue in list(self._evicted.items()):
            if queue:
                yield Scope(tenant, namespace)

    def _check(self, stored: _StoredThread, expected: int | None) -> None:
        if expected not in (None, stored.thread.version):
            raise VersionConflict(
                "another version is current", current_version=stored.thread.version
            )

    def _set(self, stored: _StoredThread, turns: list[Turn]) -> None:
        stored.turns = turns
        tokens = _tokens(turns) + stored.thread.summary_tokens
        stored.thread = replace(
            stored.thread, version=stored.thread.version + 1, tokens=tokens, turns=len(turns)
        )

    def evict(self, scope: Scope, thread_id: str, turns: Sequence[Turn]) -> None:
        """Queue the turns as one batch, to become memories. Without turns, queue nothing."""
        if turns:
            queue = self._evicted.setdefault((scope.tenant, scope.namespace), [])
            queue.append(EvictedTurns(thread_id, tuple(turns), str(next(self._tokens))))
            stored = self._threads.get((scope.tenant, scope.namespace, thread_id))
            if stored is not None:
                flushed = stored.thread.flushed + len(turns)
                stored.thread = replace(stored.thread, flushed=flushed)


def _check_pinned(stored: _StoredThread, append: AppendTurn) -> None:
    """Raise InvalidRequest if the turn is pinned and the pinned turns would exceed their limits."""
    if append.rank is not None:
        return
    most = append.limits.most_pinned
    pinned = [turn for turn in stored.turns if stored.ranks[turn.index] is None]
    tokens = _tokens([*pinned, append.turn])
    if len(pinned) >= most.turns or (most.tokens is not None and tokens > most.tokens):
        raise InvalidRequest("too much would be pinned", path="pinned")


def _make_room(
    stored: _StoredThread, append: AppendTurn, turns: list[Turn]
) -> tuple[list[Turn], int]:
    """Remove from `turns` what must be evicted. Returns these turns, and the summary's tokens that
    stay.
    """
    limits = append.limits
    newest_system = next((turn for turn in reversed(turns) if turn.role == "system"), None)

    def position(turn: Turn) -> tuple[bool, int]:
        return append.spares_system and turn is newest_system, stored.position(turn)

    free = [turn for turn in stored.turns if stored.ranks[turn.index] is not None]
    free.sort(key=position)
    evicted: list[Turn] = []
    summary_tokens = stored.thread.summary_tokens
    while len(turns) > limits.count or (
        limits.tokens is not None and _tokens(turns) + summary_tokens > limits.tokens
    ):
        if free:
            evicted.append(free.pop(0))
            turns.remove(evicted[-1])
        elif summary_tokens:
            summary_tokens = 0
        else:
            raise InvalidRequest("the turn does not fit", path="content")
    return evicted, summary_tokens


def _newest(turns: Sequence[Turn], tokens: int) -> Iterator[Turn]:
    """The newest of `turns`, newest first, until their total exceeds `tokens` tokens.

    The last one is the turn with which the total exceeds it.
    """
    for turn in reversed(turns):
        yield turn
        tokens -= turn.tokens
        if tokens < 0:
            return


def _mentions(mentions: dict[str, PathMention]) -> tuple[PathMention, ...]:
    newest = sorted(mentions.values(), key=lambda mention: (mention.at, mention.turn), reverse=True)
    return tuple(newest[:MAX_PATHS])


def _tokens(turns: Sequence[Turn]) -> int:
    return sum(turn.tokens for turn in turns)


def _matches(query: ThreadQuery, thread: Thread) -> bool:
    names = ("resource", "agent_id", "parent_id", "workflow_id")
    values = [(getattr(query, name), getattr(thread, name)) for name in names]
    return (thread.key or "").startswith(query.key_prefix) and all(
        wanted is None or wanted == value for wanted, value in values
    )
