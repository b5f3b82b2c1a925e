"""Port of locks between processes, each with a TTL and a fencing number.

A process that was paused for longer than the TTL may write after it has lost the lock. So every
holder gets a fence, a number higher than that of every earlier holder, by which a store can refuse
a write after a write with a higher fence.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio

from memtypes.model.errors import LockLost, Overloaded, Unavailable
from memtypes.model.scope import Scope

RENEWALS = 3
"""How often a held lock is renewed within one TTL. Two renewals may fail before the lock is
lost.
"""


@dataclass(frozen=True, slots=True)
class LockRequest:
    """A request to acquire a lock. scope: of the data that the lock protects; None for a lock of
    the whole service.

    ttl_s: seconds after which the lock is free unless it is renewed. wait_s: maximum seconds to
    wait for the lock; 0 to try once. optional: whether the caller can go on without the lock, so
    that a slow store is not waited for.
    """

    name: str
    scope: Scope | None = None
    ttl_s: float = 30.0
    wait_s: float = 10.0
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """A lock that is held. token: random text that proves ownership. fence: a number that grows
    with every holder.
    """

    request: LockRequest
    token: str
    fence: int


@dataclass(slots=True)
class LockCounts:
    """Counts of locks that this process acquired, was refused, and lost (they expired in use), and
    its waiting time.
    """

    acquired: int = 0
    refused: int = 0
    lost: int = 0
    wait_seconds: float = 0.0


class Locks(ABC):
    """Locks by name. Every method raises Unavailable when the store that keeps the locks can't be
    reached.
    """

    def __init__(self) -> None:
        self.counts = LockCounts()

    @abstractmethod
    async def acquire(self, request: LockRequest) -> Lease:
        """Acquire the lock; waiting callers get it in the order of asking. Raises Overloaded after
        `request.wait_s`.
        """

    @abstractmethod
    async def renew(self, lease: Lease) -> None:
        """Restart the TTL of a held lock. Raises LockLost if the lock has expired or has another
        holder.
        """

    @abstractmethod
    async def release(self, lease: Lease) -> bool:
        """Release a held lock. Returns False, and changes nothing, if it has expired or has another
        holder.
        """

    @asynccontextmanager
    async def held(self, request: LockRequest) -> AsyncIterator[Lease]:
        """Context manager that holds and renews the lock. Raises LockLost at its end if the lock
        was lost meanwhile.
        """
        began = time.monotonic()
        released = False
        try:
            lease = await self.acquire(request)
        except Overloaded:
            self.counts.refused += 1
            raise
        finally:
            self.counts.wait_seconds += time.monotonic() - began
        self.counts.acquired += 1
        renewal = asyncio.create_task(self._renew_until_lost(lease))
        try:
            yield lease
        finally:
            renewal.cancel()
            # The lock expires by itself then
            with anyio.CancelScope(shield=True), suppress(Unavailable):
                released = await self.release(lease)
        if not released:
            self.counts.lost += 1
            raise LockLost(f"the lock {request.name!r} was lost before its work was done")

    async def _renew_until_lost(self, lease: Lease) -> None:
        while True:
            await anyio.sleep(lease.request.ttl_s / RENEWALS)
            try:
                await self.renew(lease)
            except LockLost:
                return
            except Unavailable:  # the store may be back before the lock expires
                continue
