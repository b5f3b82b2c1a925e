"""Protection from a slow or unreachable Redis server: deadlines, circuit breakers, health probes,
concurrency limits.

Each workload (kind of call) has a bulkhead: its own deadline, circuit breaker and concurrency
limit. So a read that times out early does not count as a failure of commands, which may take
longer. All bulkheads of a node share one health probe. A call's deadline starts when the call gets
a slot.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.backoff import FullJitterBackoff

from memtypes.circuit_breaker import MIN_CALLS, OPEN_S, BreakerState, CircuitBreaker
from memtypes.model.errors import Unavailable

T = TypeVar("T")

MAX_QUEUE_S = 5.0
"""Maximum seconds that a call waits for a slot."""

PROBE_INTERVAL_S = 0.02
"""Seconds between the first MIN_CALLS pings of a health probe. Later pings are OPEN_S seconds
apart.
"""

SILENCE_S = 0.04
"""A call without an answer after this many seconds checks whether the server is reachable."""

PING_S = 0.04
"""Seconds that a server has to answer a ping, so that callers learn within 100 ms that it is
unreachable.
"""

TRIES = 3
"""Maximum attempts of an idempotent call. It is tried again if the connection breaks."""

JITTER = FullJitterBackoff(cap=0.02, base=0.004)
"""Random pauses between attempts of a call, so that callers do not all call a recovered server at
once.
"""

GRACE_ROUNDS = 10
"""Iterations of the event loop after a call's deadline, in which an answer that has already arrived
is read.
"""

CANCEL_S = 0.05
"""Seconds to wait for a cancelled call to end: its client may be closing a connection to a dead
server.
"""

# Factor for durations that are compared with differences of clock readings, which are inexact
_TOLERANCE = 0.999


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of call with its own limits. optional: True if callers need no answer, so a call may
    be refused early.
    """

    name: str
    timeout_s: float
    max_concurrent: int
    optional: bool = False


COMMAND = Workload("command", 2.0, 48)
READ = Workload("read", 0.1, 16, optional=True)
"""Reads for a retrieval, which continues without them if they fail."""

RECEIPT = Workload("receipt", 1.0, 16, optional=True)
"""Writes of receipts, which are made after the answer was sent."""

MAX_CONNECTIONS = COMMAND.max_concurrent + READ.max_concurrent + RECEIPT.max_concurrent


class ServerAwayError(Exception):
    """A call was cancelled before its deadline, because the server is not running or does not
    answer a ping.
    """


async def with_deadline(
    call: Coroutine[Any, Any, T],
    timeout_s: float,
    is_away: Callable[[], Awaitable[bool]] | None = None,
) -> T:
    """Await `call`, and return its result. Raises TimeoutError, or ServerAwayError if `is_away`
    after SILENCE_S.
    """
    task = asyncio.ensure_future(call)
    # Retrieves the exception even if the caller is cancelled first; otherwise asyncio would log it.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        if is_away is not None and timeout_s > SILENCE_S:
            timeout_s -= SILENCE_S
            if not await _is_done(task, SILENCE_S) and await is_away() and not task.done():
                raise ServerAwayError
        if not await _is_done(task, timeout_s):
            raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_S)
    return task.result()


async def _is_done(task: asyncio.Future[Any], within_s: float) -> bool:
    """Wait up to `within_s` seconds and GRACE_ROUNDS iterations of the event loop. Returns whether
    `task` is done.
    """
    await asyncio.wait({task}, timeout=within_s)
    for _ in range(GRACE_ROUNDS):
        if not task.done():
            await asyncio.sleep(0)
    return task.done()


class HealthProbe:
    """Pings a silent server in the background until it answers, so that requests need not wait for
    it.
    """

    def __init__(self, ping: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._ping = ping
        self._clock = clock
        self._probing: asyncio.Task[None] | None = None
        self._silent_since = 0.0
        self._last_success = -math.inf

    @property
    def healthy(self) -> bool:
        """False while the server is pinged, because a call got no answer."""
        return self._probing is None or self._probing.done()

    def record_success(self) -> None:
        """Record that a call was answered."""
        self._last_success = self._clock()

    def silent_for(self, seconds: float) -> bool:
        """True if the server is being pinged and has not answered for at least `seconds`."""
        return not self.healthy and self._clock() - self._silent_since >= seconds * _TOLERANCE

    def suspect(self, timeout_s: float) -> None:
        """Start to ping the server in the background, unless it answered a call in the last
        `timeout_s` seconds.
        """
        if self.healthy and self._clock() - self._last_success >= timeout_s * _TOLERANCE:
            self._silent_since = self._clock() - timeout_s
            self._probing = asyncio.create_task(
                self._ping_until_answered(), name="health probe of the live store"
            )

    async def aclose(self) -> None:
        """Stop pinging."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait({self._probing})

    async def _ping_until_answered(self) -> None:
        for failures in itertools.count(1):
            try:
                await self._ping()
            except Unavailable:
                await asyncio.sleep(PROBE_INTERVAL_S if failures < MIN_CALLS else OPEN_S)
            else:
                return


class Bulkhead:
    """Limits the calls of one workload to one Redis node, and refuses them while `probe` finds it
    down.
    """

    def __init__(self, workload: Workload, clock: Callable[[], float], probe: HealthProbe) -> None:
        self._workload = workload
        self._breaker = CircuitBreaker(clock)
        self._probe = probe
        self._slots = asyncio.Semaphore(workload.max_concurrent)

    @property
    def state(self) -> BreakerState:
        """The state of the circuit breaker for this kind of call and this Redis node."""
        return self._breaker.state

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Context manager that holds a slot for a call. Raises Unavailable if the server is down or
        no slot is free.
        """
        self._refuse_if_suspected()
        try:
            async with asyncio.timeout(MAX_QUEUE_S):
                await self._slots.acquire()
        except TimeoutError:
            raise Unavailable(
                f"too many {self._workload.name} calls are waiting for the live store"
            ) from None
        try:
            self._refuse_if_suspected()
            if not self._breaker.allow():
                raise _away_error()
            try:
                yield
            except Unavailable:
                self._breaker.record(success=False)
                if self._workload.optional or self._breaker.tripped:
                    self._probe.suspect(self._workload.timeout_s)
                raise
            self._breaker.record(success=True)
            self._probe.record_success()
        finally:
            self._slots.release()

    def _refuse_if_suspected(self) -> None:
        skippable = self._workload.optional and self._probe.silent_for(self._workload.timeout_s)
        if skippable or (self._breaker.tripped and not self._probe.healthy):
            raise _away_error()


def _away_error() -> Unavailable:
    return Unavailable("the live store is away", retry_after_s=round(OPEN_S))
