"""Locks in Redis or Valkey: a token with a time limit, a queue of those who wait, and a fence that only grows.

What a lock guards in Redis is written by a script of which FENCED is the beginning; what it guards in the memory store
is patched with `fence`.
"""

from __future__ import annotations

import logging
import random
import secrets
import time

import anyio

from memtypes.model.errors import LockLost, Overloaded, RemembrancerError
from memtypes.ports.locks import Lease, LockRequest, Locks
from memtypes.stores.redis.connection.client import LiveClient, Script
from memtypes.stores.redis.connection.concurrency import COMMAND, READ, Work
from memtypes.stores.redis.keys import live_key, service_key

_log = logging.getLogger(__name__)

POLL_S = 0.02
"""The mean pause of one that waits; drawn anew each time, so that contenders do not march in step."""

GONE_MS = 2_000
"""One that waits and has not asked for so long is gone, and loses its place."""

FENCE_MS = 7 * 24 * 3600 * 1000
"""How long a fence is remembered. A later one begins with the server's clock, which is past it by then."""

# KEYS: lock, fence, queue (token by arrival), seen (token by when it last asked). ARGV: token, ttl, gone, fence's life.
# The fence follows the clock where that is ahead: it grows even if the server lost what it knew.
_ACQUIRE = Script("""
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - ARGV[3])) do
  redis.call('ZREM', KEYS[3], gone)
  redis.call('ZREM', KEYS[4], gone)
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if redis.call('EXISTS', KEYS[1]) == 1 or (first and first ~= ARGV[1]) then
  local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', KEYS[3], 'NX', (last or 0) + 1, ARGV[1])
  redis.call('ZADD', KEYS[4], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[3], ARGV[3] * 10)
  redis.call('PEXPIRE', KEYS[4], ARGV[3] * 10)
  return -1
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now)
redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX', ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return fence
""")

_RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

_RELEASE = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")

_LEAVE = Script("""
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('ZREM', KEYS[2], ARGV[1])
""")

FENCED = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'FENCED' end
"""
"""How a guarded script begins. KEYS[1]: `fence_key`; ARGV[1]: the lease's fence. Answer 'FENCED': nothing was done."""


def fence_key(request: LockRequest) -> str:
    """Where the fence of the last holder is; in the slot of the lock's scope."""
    return _key(request, "fence")


class RedisLocks(Locks):
    """Locks on one server, sentinel set or cluster."""

    def __init__(self, live: LiveClient) -> None:
        self._live = live

    async def acquire(self, request: LockRequest) -> Lease:
        """The lock, in the order of asking."""
        token = secrets.token_hex(16)
        deadline = time.monotonic() + request.wait_s
        fence = -1
        try:
            while (fence := await self._asked(request, token)) < 0 and time.monotonic() < deadline:  # noqa: ASYNC110 - a server can't set an event here
                await anyio.sleep(POLL_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        finally:
            if fence < 0:
                with anyio.CancelScope(shield=True):
                    await self._left(request, token)
        if fence < 0:
            raise Overloaded(f"the lock {request.name!r} is held by another; waited {request.wait_s:g} s")
        return Lease(request, token, fence)

    async def renew(self, lease: Lease) -> None:
        """Begin the time limit again."""
        args = (lease.token, _ms(lease.request.ttl_s))
        if not await self._live.script(_RENEW, [_key(lease.request, "lock")], args, repeatable=True):
            raise LockLost(f"the lock {lease.request.name!r} was lost")

    async def release(self, lease: Lease) -> bool:
        """Give the lock back, if it is still this holder's."""
        keys, work = [_key(lease.request, "lock")], _work(lease.request)
        return bool(await self._live.script(_RELEASE, keys, (lease.token,), repeatable=False, work=work))

    async def _asked(self, request: LockRequest, token: str) -> int:
        keys = [_key(request, part) for part in ("lock", "fence", "queue", "seen")]
        args = (token, _ms(request.ttl_s), GONE_MS, FENCE_MS)
        return int(await self._live.script(_ACQUIRE, keys, args, repeatable=False, work=_work(request)))

    async def _left(self, request: LockRequest, token: str) -> None:
        """Give up the place in the queue, and a lock that was given when nobody listened any more."""
        keys = [_key(request, part) for part in ("queue", "seen")]
        try:
            await self._live.script(_LEAVE, keys, (token,), repeatable=True, work=_work(request))
            await self._live.script(_RELEASE, [_key(request, "lock")], (token,), repeatable=True, work=_work(request))
        except RemembrancerError as error:
            _log.debug("a place in the queue of a lock is left to time out: %s", error)


def _work(request: LockRequest) -> Work:
    return READ if request.optional else COMMAND


def _key(request: LockRequest, part: str) -> str:
    if request.scope is None:
        return service_key(f"lock-{part}", request.name)
    return live_key(request.scope, f"lock-{part}", request.name)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
