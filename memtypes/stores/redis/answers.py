"""Answers that are given again, in Redis: a hash of records a tenant, and their times in a sorted set.

A record is `NAMESPACE/DIGEST/ANSWER`, the namespace percent-encoded. The field "", which is no key, counts bytes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.answers import KEPT_FOR, AnswerStore, Given
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import tenant_key
from memtypes.stores.redis.scripts import Script

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of a tenant's records; an answer to a batch of a thousand has about 100 KiB."""

_KEPT_MS = int(KEPT_FOR.total_seconds() * 1_000)

_DROP = """
local answers, times = KEYS[1], KEYS[2]
local function drop(key)
  redis.call('HINCRBY', answers, '', -redis.call('HSTRLEN', answers, key))
  redis.call('HDEL', answers, key)
  redis.call('ZREM', times, key)
end
"""

_GET = Script("""
local at = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not at or tonumber(at) <= tonumber(ARGV[2]) then return false end
return redis.call('HGET', KEYS[1], ARGV[1])
""")

_KEEP = Script(
    _DROP
    + """
local key, record, now, kept_ms, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', times, '-inf', now - kept_ms)) do drop(old) end
local before = redis.call('HGET', answers, key)
if before then return before end
redis.call('HSET', answers, key, record)
redis.call('HINCRBY', answers, '', #record)
redis.call('ZADD', times, now, key)
while tonumber(redis.call('HGET', answers, '')) > most do
  local oldest = redis.call('ZRANGE', times, 0, 0)[1]
  if oldest == key then break end
  drop(oldest)
end
redis.call('PEXPIRE', answers, kept_ms)
redis.call('PEXPIRE', times, kept_ms)
return record
"""
)

_OF_NAMESPACE = Script(
    _DROP
    + """
local found = 0
for _, key in ipairs(redis.call('ZRANGE', times, 0, -1)) do
  if string.sub(redis.call('HGET', answers, key) or '', 1, #ARGV[1]) == ARGV[1] then
    found = found + 1
    if ARGV[2] == 'drop' then drop(key) end
  end
end
return found
"""
)


class RedisAnswers(AnswerStore):
    """One hash and one sorted set a tenant, in one slot of a cluster."""

    def __init__(self, live: LiveClient, clock: Clock, max_bytes: int = MAX_BYTES) -> None:
        self._live = live
        self._clock = clock
        self._max_bytes = max_bytes

    async def get(self, scope: Scope, key: str) -> Given | None:
        """What was answered; see the port."""
        found = await self._live.script(_GET, _keys(scope), [key, self._now() - _KEPT_MS], idempotent=True)
        return _given(found) if found else None

    async def keep(self, scope: Scope, key: str, given: Given) -> Given:
        """What is kept; see the port. A second try finds what the first kept."""
        record = f"{_namespace(scope)}{given.digest}/{given.answer}"
        arguments: list[str | int | float] = [key, record, self._now(), _KEPT_MS, self._max_bytes]
        return _given(await self._live.script(_KEEP, _keys(scope), arguments, idempotent=True))

    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - answers are not kept by memory
        """How many answers about the namespace were dropped."""
        return await self._of_namespace(scope, "drop")

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - answers are not kept by memory
        """How many there are."""
        return await self._of_namespace(scope, "count")

    async def _of_namespace(self, scope: Scope, what: str) -> int:
        return int(await self._live.script(_OF_NAMESPACE, _keys(scope), [_namespace(scope), what], idempotent=True))

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1_000)


def _keys(scope: Scope) -> tuple[str, str]:
    return tenant_key(scope.tenant, "answers"), tenant_key(scope.tenant, "answer-times")


def _namespace(scope: Scope) -> str:
    return quote(scope.namespace, safe="") + "/"


def _given(record: Any) -> Given:
    _, digest, answer = str(record).split("/", 2)
    return Given(digest, answer)
