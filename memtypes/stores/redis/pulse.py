"""Whether the live store answers, found out beside the requests: none of them has to pay for asking a dead server.

From the first failure of work that an answer can do without, such work is refused until a ping is answered. The pings
are the calls of a breaker: ten in a row that fail open it, and from then on one is sent each OPEN_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from memtypes.errors import Unavailable
from memtypes.stores.redis.breaker import OPEN_S, Breaker

BETWEEN_S = 0.02
"""Seconds between two pings while the breaker is closed: a server that refuses connections fails at once."""


class Pulse:
    """One for a client. ping: returns when the server answers, or raises Unavailable soon."""

    def __init__(self, ping: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._ping = ping
        self._clock = clock
        self._looking: asyncio.Task[None] | None = None

    @property
    def sure(self) -> bool:
        """Whether nothing speaks against the server; False from a doubt until a ping is answered."""
        return self._looking is None or self._looking.done()

    def doubt(self) -> None:
        """Begin to look, unless somebody does already; returns at once."""
        if self.sure:
            self._looking = asyncio.create_task(self._look(), name="pulse of the live store")

    async def aclose(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _look(self) -> None:
        """Return when a ping was answered."""
        breaker = Breaker(self._clock)
        while True:
            try:
                await self._ping()
            except Unavailable:
                breaker.note(worked=False)
                await asyncio.sleep(OPEN_S if breaker.open else BETWEEN_S)
            else:
                return
