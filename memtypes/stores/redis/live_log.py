"""The append-only file of the embedded live server, which keeps every command until the file is written anew."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import scope_prefix

FILES = "appendonlydir"
"""Where the server keeps them, in its directory."""

WAIT_S = 30.0
_POLL_S = 0.02


class LiveLog(Erasable):
    """What the files say of a namespace or a memory. directory: the server's. Erase what is live first."""

    def __init__(self, live: LiveClient, directory: Path) -> None:
        self._live = live
        self._files = directory / FILES
        self._turn = asyncio.Lock()

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """How many places in the files spoke of it and are gone. Raises Unavailable."""
        before = await self.remaining(scope, memory_id)
        async with self._turn:
            await self._at_rest()
            await self._live.run(lambda redis: redis.bgrewriteaof(), idempotent=True)
            await self._at_rest()
        return before - await self.remaining(scope, memory_id)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many places in the files speak of it; also of what was written since by somebody who still uses it."""
        sought = (memory_id or scope_prefix(scope)).encode()
        return await asyncio.to_thread(_count, self._files, sought)

    async def _at_rest(self) -> None:
        """Return when no rewriting is under way. Raises Unavailable when that takes too long."""
        deadline = time.monotonic() + WAIT_S
        while await self._live.run(_rewriting, idempotent=True):
            if time.monotonic() > deadline:
                raise Unavailable("the live store's file is being written anew; try again", retry_after_s=5)
            await asyncio.sleep(_POLL_S)


async def _rewriting(redis: Redis) -> bool:
    told: dict[str, Any] = await redis.info("persistence")
    return bool(told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])


def _count(directory: Path, sought: bytes) -> int:
    """How often `sought` stands in the files of `directory`; one that is deleted meanwhile has none."""
    found = 0
    for path in directory.glob("*.*"):
        try:
            found += path.read_bytes().count(sought)
        except FileNotFoundError:
            continue
    return found
