"""What left threads, on Redis: one list a namespace, to which the scripts add; one a thread of what was set aside."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from redis.asyncio import Redis

from memtypes.model.scope import Scope
from memtypes.ports.threads import EvictedBacklog, EvictedTurns, EvictedTurnStore
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.scripts import Script
from memtypes.stores.redis.thread_codec import evicted_of, evicted_text

EVICTED = "thread-evicted"
_ASIDE = "thread-aside"
_MOVE = Script.load("thread_move")


class RedisEvictedTurns(EvictedTurnStore):
    """Evicted turns of all namespaces, over a live client."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def pending(self, scope: Scope, limit: int) -> list[EvictedTurns]:
        """What waits; see the port."""
        key = live_key(scope, EVICTED)
        found: list[str] = await self._live.run(lambda redis: redis.lrange(key, 0, limit - 1), idempotent=True, key=key)  # type: ignore[arg-type, return-value]
        return [evicted_of(token) for token in found]

    async def acknowledge(self, scope: Scope, batch: EvictedTurns) -> None:
        """Forget it; see the port."""
        key = live_key(scope, EVICTED)
        await self._live.run(lambda redis: redis.lrem(key, 1, batch.token), idempotent=True, key=key)

    async def postpone(self, scope: Scope, batch: EvictedTurns, tries: int) -> None:
        """Let it wait behind the others; see the port."""
        key = live_key(scope, EVICTED)
        await self._move(key, key, batch.token, evicted_text(replace(batch, tries=tries)))

    async def set_aside(self, scope: Scope, batch: EvictedTurns, reason: str, retry_at: datetime) -> None:
        """Keep it apart; see the port."""
        keys = live_key(scope, EVICTED), live_key(scope, _ASIDE, batch.thread_id)
        apart = replace(batch, rounds=batch.rounds + 1, reason=reason, retry_at=retry_at)
        await self._move(*keys, batch.token, evicted_text(apart))

    async def requeue(self, at: datetime | None) -> int:
        """Let what was set aside wait again; see the port."""
        requeued = 0
        for key, token in await self._everywhere(f"{_ASIDE}:*", last=-1):
            batch = evicted_of(token)
            if batch.due(at):
                kept = json.loads(token)
                waiting = live_key(Scope(kept["tenant"], kept["namespace"]), EVICTED)
                requeued += await self._move(key, waiting, token, evicted_text(_untried(batch)))
        return requeued

    async def backlog(self, scope: Scope, thread_id: str | None = None) -> EvictedBacklog:
        """How much waits and what is set aside; see the port."""
        waiting, aside = live_key(scope, EVICTED), live_key(scope, _ASIDE, thread_id or "")

        async def ask(redis: Redis) -> tuple[int, list[str]]:
            apart = await redis.lrange(aside, 0, -1) if thread_id else []
            return await redis.llen(waiting), [str(one) for one in apart]

        count, apart = await self._live.run(ask, idempotent=True, key=waiting)
        return EvictedBacklog(count, tuple(evicted_of(token) for token in apart))

    async def scopes(self) -> AsyncIterator[Scope]:
        """Where something waits; see the port."""
        for _, token in await self._everywhere(EVICTED, last=0):
            kept = json.loads(token)
            yield Scope(kept["tenant"], kept["namespace"])

    async def _move(self, source: str, target: str, token: str, text: str) -> bool:
        """Move a batch to the list `target`; False if it is not in `source`."""
        answer = await self._live.script(_MOVE, [source, target], [token, text], idempotent=False)
        return bool(answer[0] == "ok")

    async def _everywhere(self, kind: str, last: int) -> list[tuple[str, str]]:
        """The first batches, up to `last`, of each list of this kind in any namespace, with its key."""
        found: list[tuple[str, str]] = []
        for key in await self._live.keys_matching(f"rm:*:{kind}"):
            tokens: Any = await self._live.run(partial(_range, key=key, last=last), idempotent=True, key=key)
            found += [(key, str(token)) for token in tokens]
        return found


async def _range(redis: Redis, key: str, last: int) -> Any:
    return await redis.lrange(key, 0, last)


def _untried(batch: EvictedTurns) -> EvictedTurns:
    """`batch` as it is queued again."""
    return replace(batch, tries=0, reason="", retry_at=None)
