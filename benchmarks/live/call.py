"""What the measured calls on live state have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.asyncio import Redis

from memtypes.model.scope import Scope
from memtypes.ports.tokenizer import Tokenizer
from memtypes.stores.redis.connection.client import LiveClient

SCOPE = Scope("benchmark", "live")
TURN = "The build of the second branch failed once more in the same test; I look at what changed in the lock file. "


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A kind of call. round_trips: what it sends to the server. make: the call of a client, by their numbers."""

    name: str
    round_trips: int
    make: Callable[[int, int], Awaitable[None]]


class NoTokens(Tokenizer):
    """Counts characters, for what is never counted."""

    name = "none"
    sha256 = ""

    def count(self, text: str) -> int:
        """Its characters."""
        return len(text)

    def truncate(self, text: str, limit: int) -> str:
        """Its first characters."""
        return text[:limit]


async def bytes_of(live: LiveClient, part: str) -> float:
    """Bytes of every key of the scope whose name has `part` in it."""
    keys = [key async for key in live.keys_of(SCOPE) if part in key]

    async def ask(redis: Redis) -> float:
        return float(sum([await redis.memory_usage(key, samples=0) or 0 for key in keys]))

    return await live.run(ask, idempotent=True)
