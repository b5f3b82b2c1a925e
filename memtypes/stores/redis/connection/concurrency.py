"""Kinds of work on the live store: each has its own time limit, its own breaker, and so many calls at once.

A retrieval that can't wait gives up early, and what it finds too slow says nothing of commands that may take longer. A
call's time begins when its turn has come: with many callers this process, not the server, is what they wait for, and
that must not be taken for a server that is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from memtypes.model.errors import Unavailable
from memtypes.stores.redis.connection.breaker import OPEN_S, Breaker
from memtypes.stores.redis.connection.health_probe import Pulse

PATIENCE_S = 5.0
"""Seconds that a call waits for its turn at most."""


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work. limit_s: what a call may take, once its turn has come. at_once: calls that are under way.

    optional: an answer can do without it, so it is refused while it is in doubt whether the server answers.
    """

    name: str
    limit_s: float
    at_once: int
    optional: bool = False


COMMAND = Work("command", 2.0, 48)
"""What has to happen."""

READ = Work("read", 0.1, 16, optional=True)
"""What a retrieval can do without."""

RECEIPT = Work("receipt", 1.0, 16, optional=True)
"""What is written behind the answers; one waits for it where nobody knows whether the server is there."""

CONNECTIONS = COMMAND.at_once + READ.at_once + RECEIPT.at_once


class Lane:
    """The calls of one kind of work."""

    def __init__(self, work: Work, clock: Callable[[], float], pulse: Pulse) -> None:
        self._work = work
        self._breaker = Breaker(clock)
        self._pulse = pulse
        self._turns = asyncio.Semaphore(work.at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One call's turn; how it ends is remembered.

        Raises Unavailable while the server is in doubt or too many of this kind have failed, and where the turn does
        not come.
        """
        self._check_pulse()
        await self._queued()
        try:
            self._check_pulse()
            if not self._breaker.allow():
                raise _away()
            try:
                yield
            except Unavailable:
                self._failed()
                raise
            self._breaker.note(worked=True)
            self._pulse.heard()
        finally:
            self._turns.release()

    def _check_pulse(self) -> None:
        """Refuse what need not be tried: a ping, and no caller, finds out that the server is back."""
        needless = self._work.optional and self._pulse.silent(self._work.limit_s)
        if needless or (self._breaker.tripped and not self._pulse.sure):
            raise _away()

    def _failed(self) -> None:
        self._breaker.note(worked=False)
        if self._work.optional or self._breaker.tripped:
            self._pulse.doubt(self._work.limit_s)

    async def _queued(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(f"too many calls of the kind {self._work.name} wait for the live store") from None


def _away() -> Unavailable:
    return Unavailable("the live store is away", retry_after_s=round(OPEN_S))
