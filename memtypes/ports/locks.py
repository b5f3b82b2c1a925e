"""Locks between processes: one holder at a time, for a time, with a number that the writes it guards can check.

A lock with a time limit can't keep a holder from writing late: one that was stopped for longer than the limit goes on
as if nothing had happened. So each holder has a fence, higher than that of every holder before it, and a guarded write
is refused once a higher one has been seen.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio

from memtypes.model.errors import LockLost, Unavailable
from memtypes.model.scope import Scope

RENEWALS = 3
"""How often a lock is renewed within its time limit: two renewals may fail before it is lost."""


@dataclass(frozen=True, slots=True)
class LockRequest:
    """Which lock. scope: whose, or None for one of the whole service.

    ttl_s: it is free again after that, if nobody renews or releases it. wait_s: how long to wait for it; 0 asks once.
    optional: what it guards is done without it where the place is away, which is found out as soon as a retrieval does.
    """

    name: str
    scope: Scope | None = None
    ttl_s: float = 30.0
    wait_s: float = 10.0
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """A lock that is held. token: proves the ownership. fence: higher than that of every earlier holder."""

    request: LockRequest
    token: str
    fence: int


class Locks(ABC):
    """Hands out locks; raises Unavailable when the place where they are kept is away."""

    @abstractmethod
    async def acquire(self, request: LockRequest) -> Lease:
        """The lock, once those who asked before have had it. Raises Overloaded after `wait_s`."""

    @abstractmethod
    async def renew(self, lease: Lease) -> None:
        """Begin the time limit again. Raises LockLost when `lease` is not the holder's any more."""

    @abstractmethod
    async def release(self, lease: Lease) -> bool:
        """Give the lock back; False when `lease` was not the holder's any more, and nothing was done."""

    @asynccontextmanager
    async def held(self, request: LockRequest) -> AsyncIterator[Lease]:
        """The lock for as long as the block lasts, renewed meanwhile.

        Raises LockLost at the end when it was lost on the way; guarded writes were refused from then on.
        """
        lease = await self.acquire(request)
        released = False
        renewal = asyncio.create_task(self._keep(lease))
        try:
            yield lease
        finally:
            renewal.cancel()
            with anyio.CancelScope(shield=True), suppress(Unavailable):  # away: it frees itself after its time limit
                released = await self.release(lease)
        if not released:
            raise LockLost(f"the lock {request.name!r} was lost before its work was done")

    async def _keep(self, lease: Lease) -> None:
        """Renew until it is lost; while the place is away it may still come back in time."""
        while True:
            await anyio.sleep(lease.request.ttl_s / RENEWALS)
            try:
                await self.renew(lease)
            except LockLost:
                return
            except Unavailable:
                continue
