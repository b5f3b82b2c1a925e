"""What is live of a namespace: its threads, workflows, working items and backups, which all lie under one prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from redis.asyncio import Redis

from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key

_PIECE = 500


class LiveState(Erasable):
    """Every key of a namespace."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """How many keys, or live items of this memory, were removed."""
        if memory_id is not None:
            return sum([await self._of_each(key, "hdel", memory_id) async for key in self._sessions(scope)])
        keys = [key async for key in self._live.keys_of(scope)]
        removed = 0
        for start in range(0, len(keys), _PIECE):
            call = partial(_unlinked, keys=keys[start : start + _PIECE])
            removed += await self._live.run(call, idempotent=True, key=keys[start])
        return removed

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many there are."""
        if memory_id is not None:
            return sum([await self._of_each(key, "hexists", memory_id) async for key in self._sessions(scope)])
        return len([key async for key in self._live.keys_of(scope)])

    async def _sessions(self, scope: Scope) -> AsyncIterator[str]:
        """The keys of the sessions that have live items."""
        begin = live_key(scope, "working", "")
        async for key in self._live.keys_of(scope):
            if key.startswith(begin):
                yield key

    async def _of_each(self, key: str, command: str, memory_id: str) -> int:
        """What the command says of the item of `memory_id` in a session: 1 or 0."""
        call = partial(_asked, command=command, key=key, memory_id=memory_id)
        return int(await self._live.run(call, idempotent=True, key=key))


async def _asked(redis: Redis, command: str, key: str, memory_id: str) -> Any:
    return await redis.execute_command(command, key, memory_id)  # type: ignore[no-untyped-call]


async def _unlinked(redis: Redis, keys: list[str]) -> int:
    return int(await redis.unlink(*keys))
