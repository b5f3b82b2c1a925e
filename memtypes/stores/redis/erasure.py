"""Erases live state in Redis: the keys of a namespace, and what the embedded server's append-only
file has of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable
from memtypes.stores.redis.client_sessions import SHOWN
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import scope_prefix

APPEND_ONLY_DIRECTORY = "appendonlydir"
"""Name of the subdirectory of the embedded server's directory that contains its append-only
files.
"""

REWRITE_S = 30.0
_POLL_S = 0.02
_BATCH = 500


class LiveState(Erasable):
    """Erases a namespace's keys, or one memory from the working items and shown memories of all
    sessions.
    """

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Remove all Redis keys of the namespace, or only the memory. Returns how many keys or
        entries were removed.
        """
        if memory_id is not None:
            return await self._in_sessions(scope, memory_id, {"working": "hdel", SHOWN: "srem"})
        keys = await self._live.keys_of(scope)
        removed = 0
        for start in range(0, len(keys), _BATCH):
            removed += await self._live.command("unlink", *keys[start : start + _BATCH])
        return removed

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Count the Redis keys of the namespace or, if `memory_id` is given, the session keys that
        contain it.
        """
        if memory_id is not None:
            return await self._in_sessions(
                scope, memory_id, {"working": "hexists", SHOWN: "sismember"}
            )
        return len(await self._live.keys_of(scope))

    async def _in_sessions(self, scope: Scope, memory_id: str, commands: Mapping[str, str]) -> int:
        """Run the command of each kind of key on all sessions, with `memory_id`. Returns the sum of
        the replies.
        """
        count = 0
        for kind, command in commands.items():
            for key in await self._live.keys_of(scope, kind):
                count += await self._live.command(command, key, memory_id)
        return count


class LiveLog(Erasable):
    """Removes erased state from the embedded server's append-only file, by rewriting it after
    `LiveState.erase`.
    """

    def __init__(self, live: LiveClient, directory: Path) -> None:
        self._live = live
        self._files = directory / APPEND_ONLY_DIRECTORY
        self._rewriting = asyncio.Lock()

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Rewrite the append-only file. Returns by how much `remaining` fell. Raises Unavailable
        after REWRITE_S.
        """
        before = await self.remaining(scope, memory_id)
        async with self._rewriting:
            await self._wait_for_rewrite()
            await self._live.run(lambda redis: redis.bgrewriteaof(), idempotent=True)
            await self._wait_for_rewrite()
        return before - await self.remaining(scope, memory_id)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Count how often the append-only file contains the memory's id or, without one, the
        namespace's key prefix.
        """
        text = (memory_id or scope_prefix(scope)).encode()
        return await asyncio.to_thread(_count, self._files, text)

    async def _wait_for_rewrite(self) -> None:
        deadline = time.monotonic() + REWRITE_S
        while True:
            info: dict[str, int] = await self._live.run(
                lambda redis: redis.info("persistence"), idempotent=True
            )
            if not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]):
                return
            if time.monotonic() > deadline:
                raise Unavailable(
                    "the live store is rewriting its file; try again", retry_after_s=5
                )
            await asyncio.sleep(_POLL_S)


def _count(directory: Path, text: bytes) -> int:
    count = 0
    for path in directory.glob("*.*"):
        try:
            count += path.read_bytes().count(text)
        except FileNotFoundError:
            continue
    return count
