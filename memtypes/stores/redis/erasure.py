"""What is live of a namespace: its threads, workflows, working items and backups, which all lie under one prefix."""

from __future__ import annotations

from memtypes.erasure import Erasable
from memtypes.scope import Scope
from memtypes.stores.redis.client import LiveClient

_PIECE = 500


class LiveState(Erasable):
    """Every key of a namespace."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """How many keys were removed. A single memory is not named by any key, so its erasure removes none."""
        if memory_id is not None:
            return 0
        keys = [key async for key in self._live.keys_of(scope)]
        removed = 0
        for start in range(0, len(keys), _PIECE):
            piece = keys[start : start + _PIECE]
            removed += await self._live.run(lambda redis, piece=piece: redis.unlink(*piece), repeatable=True)  # type: ignore[misc]
        return removed

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many keys there are."""
        if memory_id is not None:
            return 0
        return len([key async for key in self._live.keys_of(scope)])
