"""The bytes of what was removed, in the embedded store's files: gone once their shards are written anew."""

from __future__ import annotations

import asyncio
import time

from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable
from memtypes.stores.edge.process.client import EdgeStore

WAIT_S = 60.0
"""How long an erasure waits: some 100,000 memories are written anew in that time. The rest goes on without it."""

_POLL_S = 0.02


class EdgeFiles(Erasable):
    """The files of every type, whatever the scope: bytes have none. It empties what was removed by others before."""

    def __init__(self, store: EdgeStore, wait_s: float = WAIT_S) -> None:
        self._store = store
        self._wait_s = wait_s

    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - see the class
        """How many types were written anew."""
        asked_at = time.time_ns()
        return await self._store.rewrite_shards(asked_at) - await self._left(asked_at)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - see the class
        """How many types still hold bytes of what was removed."""
        return await self._left(time.time_ns())

    async def _left(self, removed_by: int) -> int:
        """The same of what was removed by then, once none does or the time is over."""
        deadline = time.monotonic() + self._wait_s
        while (left := await self._store.rewrite_shards(removed_by)) and time.monotonic() < deadline:  # noqa: ASYNC110 - it is another process that knows
            await asyncio.sleep(_POLL_S)
        return left
