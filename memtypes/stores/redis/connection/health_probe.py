"""Whether the live store answers, found out beside the requests: none of them has to pay for asking a dead server.

From the first failure of work that an answer can do without, such work is refused until a ping is answered: at once
where it would not have waited longer than what failed, else when the server has been silent for so long. The pings are
the calls of a breaker: ten in a row that fail open it, and from then on one is sent each OPEN_S.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from memtypes.model.errors import Unavailable
from memtypes.stores.redis.connection.breaker import OPEN_S, Breaker

BETWEEN_S = 0.02
"""Seconds between two pings while the breaker is closed: a server that refuses connections fails at once."""

_NEARLY = 0.999
"""A difference of times is not exact."""


class Pulse:
    """One for a client. ping: returns when the server answers, or raises Unavailable soon."""

    def __init__(self, ping: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._ping = ping
        self._clock = clock
        self._looking: asyncio.Task[None] | None = None
        self._since = 0.0
        self._heard_at = -math.inf

    @property
    def sure(self) -> bool:
        """Whether nothing speaks against the server; False from a doubt until a ping is answered."""
        return self._looking is None or self._looking.done()

    def heard(self) -> None:
        """Note that a call was answered now."""
        self._heard_at = self._clock()

    def silent(self, seconds: float) -> bool:
        """Whether the server is in doubt and has not answered for so long."""
        return not self.sure and self._clock() - self._since >= seconds * _NEARLY

    def doubt(self, seconds: float) -> None:
        """Begin to look, unless somebody does already; returns at once.

        seconds: for which a call had no answer. Where others had one meanwhile there is nothing to doubt.
        """
        if self.sure and self._clock() - self._heard_at >= seconds * _NEARLY:
            self._since = self._clock() - seconds
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
