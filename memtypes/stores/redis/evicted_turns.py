"""What left threads, on Redis: one list a namespace, to which the scripts add; one a thread of what was set aside."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from redis.asyncio import Redis

from memtypes.live.evicted_turns import Departure, DepartureStore, OutboxLoad
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.thread_codec import departure_of, departure_text
from memtypes.stores.redis.thread_scripts import thread_script

DEPARTURES = "thread-departures"
_ASIDE = "thread-aside"
_MOVE = thread_script("move")


class RedisDepartures(DepartureStore):
    """The departures of all namespaces on a live client."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def departures(self, scope: Scope, limit: int) -> list[Departure]:
        """What waits; see the port."""
        key = live_key(scope, DEPARTURES)
        found: list[str] = await self._live.run(lambda redis: redis.lrange(key, 0, limit - 1), repeatable=True, key=key)  # type: ignore[arg-type, return-value]
        return [departure_of(token) for token in found]

    async def settle(self, scope: Scope, departure: Departure) -> None:
        """Forget it; see the port."""
        key = live_key(scope, DEPARTURES)
        await self._live.run(lambda redis: redis.lrem(key, 1, departure.token), repeatable=True, key=key)

    async def postpone(self, scope: Scope, departure: Departure, tries: int) -> None:
        """Let it wait behind the others; see the port."""
        key = live_key(scope, DEPARTURES)
        await self._move(key, key, departure.token, departure_text(replace(departure, tries=tries)))

    async def set_aside(self, scope: Scope, departure: Departure, why: str, again_at: datetime) -> None:
        """Keep it apart; see the port."""
        keys = live_key(scope, DEPARTURES), live_key(scope, _ASIDE, departure.thread_id)
        apart = replace(departure, rounds=departure.rounds + 1, why=why, again_at=again_at)
        await self._move(*keys, departure.token, departure_text(apart))

    async def recall(self, at: datetime | None) -> int:
        """Let what was set aside wait again; see the port."""
        recalled = 0
        for key, token in await self._everywhere(f"{_ASIDE}:*", last=-1):
            departure = departure_of(token)
            if departure.due(at):
                kept = json.loads(token)
                waiting = live_key(Scope(kept["tenant"], kept["namespace"]), DEPARTURES)
                recalled += await self._move(key, waiting, token, departure_text(_untried(departure)))
        return recalled

    async def load(self, scope: Scope, thread_id: str | None = None) -> OutboxLoad:
        """How much waits and what is set aside; see the port."""
        waiting, aside = live_key(scope, DEPARTURES), live_key(scope, _ASIDE, thread_id or "")

        async def ask(redis: Redis) -> tuple[int, list[str]]:
            apart = await redis.lrange(aside, 0, -1) if thread_id else []
            return await redis.llen(waiting), [str(one) for one in apart]

        count, apart = await self._live.run(ask, repeatable=True, key=waiting)
        return OutboxLoad(count, tuple(departure_of(token) for token in apart))

    async def waiting(self) -> AsyncIterator[Scope]:
        """Where something waits; see the port."""
        for _, token in await self._everywhere(DEPARTURES, last=0):
            kept = json.loads(token)
            yield Scope(kept["tenant"], kept["namespace"])

    async def _move(self, source: str, target: str, token: str, text: str) -> bool:
        """Whether the departure was in `source`; it is in `target` then."""
        answer = await self._live.script(_MOVE, [source, target], [token, text], repeatable=False)
        return bool(answer[0] == "ok")

    async def _everywhere(self, kind: str, last: int) -> list[tuple[str, str]]:
        """The first departures, up to `last`, of each list of this kind in any namespace, each with its key."""
        found: list[tuple[str, str]] = []
        for key in await self._live.keys_like(f"rm:*:{kind}"):
            tokens: Any = await self._live.run(partial(_range, key=key, last=last), repeatable=True, key=key)
            found += [(key, str(token)) for token in tokens]
        return found


async def _range(redis: Redis, key: str, last: int) -> Any:
    return await redis.lrange(key, 0, last)


def _untried(departure: Departure) -> Departure:
    """The departure as it waits again."""
    return replace(departure, tries=0, why="", again_at=None)
