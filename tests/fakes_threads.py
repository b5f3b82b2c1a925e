"""Threads in a dictionary, and locks that are always free: for tests that are about something else."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from memtypes.live.turns import Turn
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.model.times import rfc3339
from memtypes.ports.locks import Lease, LockRequest, Locks
from memtypes.ports.threads import (
    MAX_CHAIN,
    AppendTurn,
    EvictedBacklog,
    EvictedTurns,
    EvictedTurnStore,
    NewThread,
    Removal,
    Replacement,
    Thread,
    ThreadContent,
    ThreadStore,
    TurnAppended,
)


@dataclass(slots=True)
class _Kept:
    thread: Thread
    turns: list[Turn] = field(default_factory=list)
    ranks: dict[int, str | None] = field(default_factory=dict)
    used: dict[int, int] = field(default_factory=dict)
    clock: int = 0
    following: int = 0

    def use(self, indices: Sequence[int]) -> None:
        """These were used now."""
        for index in indices:
            self.clock += 1
            self.used[index] = self.clock

    def take(self, turn: Turn, rank: str | None) -> Turn:
        """The turn under the next index."""
        numbered = replace(turn, index=self.following)
        self.ranks[self.following] = rank
        self.use([self.following])
        self.following += 1
        return numbered

    def order(self, turn: Turn) -> int:
        """Lowest leaves first."""
        rank = self.ranks[turn.index]
        return int(rank) + turn.index if rank else self.used[turn.index]


class FakeThreads(ThreadStore, EvictedTurnStore):
    """Knows no expiry."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._backups: dict[tuple[str, str, str], tuple[Turn, ...]] = {}
        self._left: dict[tuple[str, str], list[EvictedTurns]] = {}
        self._aside: dict[tuple[str, str, str], list[EvictedTurns]] = {}
        self._tokens = itertools.count()

    def _of(self, scope: Scope, thread_id: str) -> _Kept:
        kept = self._kept.get((scope.tenant, scope.namespace, thread_id))
        if kept is None:
            raise NotFound(f"there is no thread {thread_id!r}")
        return kept

    async def create(self, scope: Scope, new: NewThread) -> str:
        """See the port."""
        for key, kept in self._kept.items():
            same = (kept.thread.resource, kept.thread.key) == (new.resource, new.key)
            if key[:2] == (scope.tenant, scope.namespace) and new.key is not None and same:
                if new.parent_id not in (None, kept.thread.parent_id):
                    raise Conflict("it has another parent")
                return kept.thread.id
        ancestors: tuple[str, ...] = ()
        if new.parent_id is not None:
            ancestors = (*self._of(scope, new.parent_id).thread.ancestors, new.parent_id)
        if len(ancestors) >= MAX_CHAIN:
            raise InvalidRequest("the chain is too deep", path="parent_id")
        names = ("parent_id", "resource", "key", "agent_id", "initial_context")
        told = {name: getattr(new, name) for name in names}
        thread = Thread(
            new.thread_id, 0, 0, 0, new.ttl_s, new.created_at, **told, ttl_left_s=new.ttl_s, ancestors=ancestors
        )
        self._kept[scope.tenant, scope.namespace, new.thread_id] = _Kept(thread)
        return new.thread_id

    async def append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """See the port."""
        kept, limits = self._of(scope, append.thread_id), append.limits
        self._check(kept, append.expected)
        turns, leaving = [*kept.turns, append.turn], []
        free = [turn for turn in kept.turns if kept.ranks[turn.index] is not None]
        while (limits.tokens is not None and _tokens(turns) + kept.thread.summary_tokens > limits.tokens) or (
            limits.messages is not None and len(turns) > limits.messages
        ):
            if not free:
                raise InvalidRequest("the turn does not fit", path="content")
            gone = min(free, key=kept.order)
            free.remove(gone)
            turns.remove(gone)
            leaving.append(gone)
        if len(turns) > limits.turns:
            raise InvalidRequest(f"this thread has at most {limits.turns} turns", path="thread_id")
        turns[-1] = kept.take(append.turn, append.rank)
        self._leave(scope, append.thread_id, leaving)
        self._set(kept, turns)
        return TurnAppended(kept.following - 1, kept.thread.version, kept.thread.tokens, len(turns), len(leaving))

    async def get(self, scope: Scope, thread_id: str) -> Thread:
        """See the port."""
        return self._of(scope, thread_id).thread

    async def read(self, scope: Scope, thread_id: str) -> ThreadContent:
        """See the port."""
        kept = self._of(scope, thread_id)
        return ThreadContent(kept.thread, tuple(kept.turns), dict(kept.used))

    async def page(self, scope: Scope, thread_id: str, offset: int, limit: int) -> ThreadContent:
        """See the port."""
        kept = self._of(scope, thread_id)
        shown = tuple(kept.turns[offset : offset + limit])
        kept.use([turn.index for turn in shown])
        return ThreadContent(kept.thread, shown, dict(kept.used))

    async def use(self, scope: Scope, thread_id: str, indices: Sequence[int]) -> None:
        """See the port."""
        kept = self._of(scope, thread_id)
        kept.use([turn.index for turn in kept.turns if turn.index in indices])

    async def remove(self, scope: Scope, removal: Removal) -> bool:
        """See the port."""
        kept = self._of(scope, removal.thread_id)
        leaving = [turn for turn in kept.turns if turn.index in removal.indices]
        if len(leaving) < len(removal.indices):
            return False
        self._leave(scope, removal.thread_id, leaving)
        kept.thread = replace(kept.thread, last_flush_at=rfc3339(removal.at))
        if removal.summary is not None:
            kept.thread = replace(kept.thread, summary=removal.summary, summary_tokens=removal.summary_tokens)
        self._set(kept, [turn for turn in kept.turns if turn not in leaving])
        return True

    async def replace(self, scope: Scope, replacement: Replacement) -> int:
        """See the port."""
        kept = self._of(scope, replacement.thread_id)
        self._check(kept, replacement.expected)
        turns = [kept.take(turn, rank) for turn, rank in replacement.turns]
        kept.thread = replace(kept.thread, summary="", summary_tokens=0)
        self._set(kept, turns)
        return kept.thread.version

    async def clear(self, scope: Scope, thread_id: str, backup_id: str | None) -> int:
        """See the port."""
        kept = self._of(scope, thread_id)
        count = len(kept.turns)
        if backup_id is not None:
            self._backups[scope.tenant, scope.namespace, backup_id] = tuple(kept.turns)
        await self.replace(scope, Replacement(thread_id, ()))
        return count

    async def backup(self, scope: Scope, backup_id: str) -> tuple[Turn, ...]:
        """See the port."""
        found = self._backups.get((scope.tenant, scope.namespace, backup_id))
        if found is None:
            raise NotFound(f"there is no backup {backup_id!r}")
        return found

    async def delete(self, scope: Scope, thread_id: str) -> None:
        """See the port."""
        self._of(scope, thread_id)
        del self._kept[scope.tenant, scope.namespace, thread_id]

    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """See the port."""
        return self._left.get((scope.tenant, scope.namespace), [])[:limit]

    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """See the port."""
        self._left[scope.tenant, scope.namespace].remove(batch)

    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """See the port."""
        left = self._left[scope.tenant, scope.namespace]
        left.remove(batch)
        left.append(replace(batch, tries=tries))

    async def set_aside(self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime) -> None:
        """See the port."""
        self._left[scope.tenant, scope.namespace].remove(batch)
        aside = self._aside.setdefault((scope.tenant, scope.namespace, batch.thread_id), [])
        aside.append(replace(batch, rounds=batch.rounds + 1, reason=reason, retry_at=retry_at))

    async def requeue(self, at: datetime | None) -> int:
        """See the port."""
        recalled = [(key, one) for key, left in self._aside.items() for one in left if one.due(at)]
        for key, one in recalled:
            self._aside[key].remove(one)
            self._left.setdefault(key[:2], []).append(replace(one, tries=0, reason="", retry_at=None))
        return len(recalled)

    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """See the port."""
        aside = self._aside.get((scope.tenant, scope.namespace, thread_id or ""), ())
        return EvictedBacklog(len(self._left.get((scope.tenant, scope.namespace), ())), tuple(aside))

    async def scopes(self) -> AsyncIterator[Scope]:
        """See the port."""
        for (tenant, namespace), left in list(self._left.items()):
            if left:
                yield Scope(tenant, namespace)

    def _check(self, kept: _Kept, expected: int | None) -> None:
        if expected not in (None, kept.thread.version):
            raise VersionConflict("another version is current", current_version=kept.thread.version)

    def _set(self, kept: _Kept, turns: list[Turn]) -> None:
        kept.turns = turns
        tokens = _tokens(turns) + kept.thread.summary_tokens
        kept.thread = replace(kept.thread, version=kept.thread.version + 1, tokens=tokens, turns=len(turns))

    def _leave(self, scope: Scope, thread_id: str, turns: list[Turn]) -> None:
        if turns:
            left = self._left.setdefault((scope.tenant, scope.namespace), [])
            left.append(EvictedTurns(thread_id, tuple(turns), str(next(self._tokens))))


def _tokens(turns: Sequence[Turn]) -> int:
    return sum(turn.tokens for turn in turns)


class FreeLocks(Locks):
    """Nobody else wants a lock."""

    async def acquire(self, request: LockRequest) -> Lease:
        """At once."""
        return Lease(request, "token", 1)

    async def renew(self, _lease: Lease) -> None:
        """Always."""

    async def release(self, _lease: Lease) -> bool:
        """Always."""
        return True
