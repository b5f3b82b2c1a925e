"""Locks within one process, for tests without a server, and locks whose server is unavailable."""

from __future__ import annotations

import itertools
import secrets
import time

import anyio

from memtypes.model.errors import LockLost, Overloaded, Unavailable
from memtypes.ports.locks import Lease, LockRequest, Locks

_POLL_S = 0.005


class FakeLocks(Locks):
    """Locks in a dictionary, each with its holder and expiry. Callers that wait are not queued."""

    def __init__(self) -> None:
        super().__init__()
        self._holders: dict[tuple[str, ...], tuple[str, float]] = {}
        self._fences = itertools.count(1)

    async def acquire(self, request: LockRequest) -> Lease:
        """Wait until the lock is free, acquire it and return its lease.

        Raise Overloaded after `request.wait_s` seconds.
        """
        deadline = time.monotonic() + request.wait_s
        while self._holders.get(_key(request), ("", 0.0))[1] > time.monotonic():
            if time.monotonic() >= deadline:
                raise Overloaded(f"the lock {request.name!r} is held by another")
            await anyio.sleep(_POLL_S)
        lease = Lease(request, secrets.token_hex(4), next(self._fences))
        self._hold(lease)
        return lease

    async def renew(self, lease: Lease) -> None:
        """Restart the TTL of the lock. Raise LockLost if the lease no longer holds it."""
        if not self._holds(lease):
            raise LockLost("the lock was lost")
        self._hold(lease)

    async def release(self, lease: Lease) -> bool:
        """Release the lock. Return False if the lease no longer holds it."""
        return self._holds(lease) and bool(self._holders.pop(_key(lease.request)))

    def _hold(self, lease: Lease) -> None:
        self._holders[_key(lease.request)] = (lease.token, time.monotonic() + lease.request.ttl_s)

    def _holds(self, lease: Lease) -> bool:
        token, expires = self._holders.get(_key(lease.request), ("", 0.0))
        return token == lease.token and expires > time.monotonic()


class UnavailableLocks(FakeLocks):
    """Locks whose server is unavailable."""

    async def acquire(self, request: LockRequest) -> Lease:
        """Raise Unavailable."""
        raise Unavailable(f"no lock {request.name}")


def _key(request: LockRequest) -> tuple[str, ...]:
    scope = request.scope
    return (request.name,) if scope is None else (scope.tenant, scope.namespace, request.name)
