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

from memtypes.errors import Unavailable
from memtypes.stores.redis.breaker import OPEN_S, Breaker

PATIENCE_S = 5.0
"""Seconds that a call waits for its turn at most."""


@dataclass(frozen=True, slots=True)
class Work:
    """A kind of work. limit_s: what a call may take, once its turn has come. at_once: calls that are under way."""

    name: str
    limit_s: float
    at_once: int


COMMAND = Work("command", 2.0, 48)
"""What has to happen."""

READ = Work("read", 0.1, 16)
"""What a retrieval can do without."""

RECEIPT = Work("receipt", 0.25, 16)
"""What an answer waits for its receipt at most."""

CONNECTIONS = COMMAND.at_once + READ.at_once + RECEIPT.at_once


class Lane:
    """The calls of one kind of work."""

    def __init__(self, work: Work, clock: Callable[[], float]) -> None:
        self._work = work
        self._breaker = Breaker(clock)
        self._turns = asyncio.Semaphore(work.at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One call's turn; how it ends is remembered.

        Raises Unavailable while too many of this kind have failed, and where the turn does not come.
        """
        await self._queued()
        try:
            if not self._breaker.allow():
                raise Unavailable("the live store is away", retry_after_s=round(OPEN_S))
            try:
                yield
            except Unavailable:
                self._breaker.note(worked=False)
                raise
            self._breaker.note(worked=True)
        finally:
            self._turns.release()

    async def _queued(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(f"too many calls of the kind {self._work.name} wait for the live store") from None
