"""Locks in Redis or Valkey: a token with a TTL, a queue of waiters, and a fencing number that
grows.
"""

from __future__ import annotations

import logging
import random
import secrets
import time

import anyio

from memtypes.model.errors import LockLost, Overloaded, RemembrancerError
from memtypes.ports.locks import Lease, LockRequest, Locks
from memtypes.stores.redis.connection.availability import COMMAND, READ, Workload
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key, service_key
from memtypes.stores.redis.scripts import Script

_log = logging.getLogger(__name__)

POLL_S = 0.02
"""Mean seconds between two attempts to acquire a lock. The pause is random, so that waiters do not
poll in step.
"""

WAITER_TTL_MS = 2_000
"""A waiter that has not tried to acquire the lock for this long is removed from the queue."""

FENCE_TTL_MS = 7 * 24 * 3600 * 1000
"""TTL of a fencing number. After it, the next number is the time in milliseconds, which is higher
by then.
"""

_ACQUIRE, _RENEW, _RELEASE, _LEAVE = (
    Script.load(f"lock_{name}") for name in ("acquire", "renew", "release", "leave")
)


class RedisLocks(Locks):
    """Implements `Locks` on a Redis server, a Sentinel set or a cluster."""

    def __init__(self, live: LiveClient) -> None:
        super().__init__()
        self._live = live

    async def acquire(self, request: LockRequest) -> Lease:
        """Acquire the lock. Waiters get it in the order in which they asked; see `Locks`."""
        token = secrets.token_hex(16)
        deadline = time.monotonic() + request.wait_s
        fence = -1
        try:
            while True:  # the server has no event to wait for
                fence = await self._try(request, token)
                if fence >= 0 or time.monotonic() >= deadline:
                    break
                await anyio.sleep(POLL_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        finally:
            if fence < 0:
                with anyio.CancelScope(shield=True):
                    await self._leave(request, token)
        if fence < 0:
            raise Overloaded(
                f"the lock {request.name!r} is held by another; waited {request.wait_s:g} s"
            )
        return Lease(request, token, fence)

    async def renew(self, lease: Lease) -> None:
        """Restart the TTL of a held lock. Raises LockLost if the lock is no longer held; see
        `Locks`.
        """
        keys = [_key(lease.request, "lock")]
        args = (lease.token, _milliseconds(lease.request.ttl_s))
        if not await self._live.script(_RENEW, keys, args, idempotent=True):
            raise LockLost(f"the lock {lease.request.name!r} was lost; acquire it again")

    async def release(self, lease: Lease) -> bool:
        """Release a held lock. Returns False if it was lost before; see `Locks`."""
        keys = [_key(lease.request, "lock")]
        workload = _workload(lease.request)
        return bool(
            await self._live.script(
                _RELEASE, keys, [lease.token], idempotent=False, workload=workload
            )
        )

    async def _try(self, request: LockRequest, token: str) -> int:
        """Try to acquire the lock. Returns its fencing number, or -1 if it is held or another
        waiter comes first.
        """
        keys = [_key(request, kind) for kind in ("lock", "fence", "queue", "seen")]
        args = (token, _milliseconds(request.ttl_s), WAITER_TTL_MS, FENCE_TTL_MS)
        return int(
            await self._live.script(
                _ACQUIRE, keys, args, idempotent=False, workload=_workload(request)
            )
        )

    async def _leave(self, request: LockRequest, token: str) -> None:
        """Leave the queue of waiters. Also releases the lock, in case Redis granted it but the
        answer was lost.
        """
        keys = [_key(request, kind) for kind in ("lock", "queue", "seen")]
        try:
            await self._live.script(
                _LEAVE, keys, [token], idempotent=True, workload=_workload(request)
            )
        except RemembrancerError as error:
            _log.debug(
                "could not leave the queue of lock %s; the entry will expire: %s",
                request.name,
                error,
            )


def _workload(request: LockRequest) -> Workload:
    return READ if request.optional else COMMAND


def _key(request: LockRequest, kind: str) -> str:
    if request.scope is None:
        return service_key(f"lock-{kind}", request.name)
    return live_key(request.scope, f"lock-{kind}", request.name)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
