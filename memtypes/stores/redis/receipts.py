"""Receipts in Redis: a chain a tenant that many processes append to, each receipt with a time to live.

The newest link of a chain is compared and replaced in one script, so no two receipts name the same one before them.
Receipts are sealed outside of it, after the newest link that is known here; where another process was quicker, they are
sealed again after that one's. Several are one script, so one wait for the disk.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

from redis.asyncio import Redis

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.receipts import Link, ReceiptStore, Sealed, Unsealed, chained
from memtypes.stores.redis.connection.availability import RECEIPT
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import tenant_key
from memtypes.stores.redis.scripts import Script

TRIES = 50
"""Seals of the same receipts; each lost try means that another process's were kept."""

HEADS = 1_024
"""Chains whose newest link is remembered here."""

_APPEND = Script("""
local head = redis.call('HMGET', KEYS[1], 'id', 'sha256')
if (head[2] or '') == ARGV[2] then return {1} end
if (head[2] or '') ~= ARGV[1] then return {0, head[1] or '', head[2] or ''} end
local ttl, now = ARGV[3], ARGV[4]
for place = 5, #ARGV, 2 do
  local kept, index = KEYS[place - 3], KEYS[place - 2]
  redis.call('SET', kept, ARGV[place + 1], 'EX', ttl)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, now + ttl, ARGV[place])
  redis.call('EXPIRE', index, ttl)
end
redis.call('HSET', KEYS[1], 'id', ARGV[#ARGV - 1], 'sha256', ARGV[2])
redis.call('EXPIRE', KEYS[1], ttl)
return {1}
""")


class RedisReceipts(ReceiptStore):
    """Receipts of all tenants on one server."""

    def __init__(self, live: LiveClient, days: int, clock: Clock) -> None:
        self._live = live
        self._ttl_s = days * 86_400
        self._clock = clock
        self._heads: OrderedDict[str, Link] = OrderedDict()
        self._turn = asyncio.Lock()

    async def append(self, tenant: str, receipts: Sequence[Unsealed]) -> list[Sealed]:
        """`receipts` sealed after the newest of their tenant, and kept."""
        if not receipts:
            return []
        async with self._turn:  # here they wait for each other; other processes are met in the script
            link = self._heads.get(tenant, Link())
            for _ in range(TRIES):
                sealed = chained(receipts, link)
                newest = await self._offer(tenant, list(zip(receipts, sealed, strict=True)), link)
                self._remember(tenant, newest)
                if newest == sealed[-1].link:
                    return sealed
                link = newest
        raise Unavailable("the chain of receipts is too busy")

    async def _offer(self, tenant: str, offered: Sequence[tuple[Unsealed, Sealed]], after: Link) -> Link:
        """The newest link after these were offered: that of the last of them when they were taken."""
        last = offered[-1][1].link
        keys = [tenant_key(tenant, "chain")]
        args: list[str | bytes | int] = [after.sha256 if after.id else "", last.sha256, self._ttl_s]
        args.append(int(self._clock().timestamp()))
        for own, sealed in offered:
            keys += [_receipt(tenant, sealed.id), _index(tenant, own.namespace)]
            args += [sealed.id, await asyncio.to_thread(_packed, sealed.text)]  # it lets others run meanwhile
        taken, *head = await self._live.script(_APPEND, keys, args, idempotent=True, workload=RECEIPT)
        if taken:
            return last
        return Link(head[0], head[1]) if head[0] else Link()

    def _remember(self, tenant: str, link: Link) -> None:
        self._heads[tenant] = link
        self._heads.move_to_end(tenant)
        if len(self._heads) > HEADS:
            self._heads.popitem(last=False)

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """The text of a receipt, or None."""
        packed = await self._live.run(partial(_got, key=_receipt(tenant, receipt_id)), idempotent=True)
        return None if packed is None else _unpacked(packed)

    async def erase(self, scope: Scope) -> int:
        """How many receipts of the namespace there were."""
        ids = await self._ids(scope)
        if not ids:
            return 0
        keys = [*(_receipt(scope.tenant, one) for one in ids), _index(scope.tenant, scope.namespace)]
        removed = await self._live.run(lambda redis: redis.delete(*keys), idempotent=False)
        return max(0, int(removed) - 1)

    async def count(self, scope: Scope) -> int:
        """How many receipts of the namespace are kept."""
        keys = [_receipt(scope.tenant, one) for one in await self._ids(scope)]
        return int(await self._live.run(lambda redis: redis.exists(*keys), idempotent=True)) if keys else 0

    async def _ids(self, scope: Scope) -> list[str]:
        index = _index(scope.tenant, scope.namespace)
        found = await self._live.run(lambda redis: redis.zrange(index, 0, -1), idempotent=True)
        return [str(one) for one in found]


def _receipt(tenant: str, receipt_id: str) -> str:
    return tenant_key(tenant, "receipt", receipt_id)


def _index(tenant: str, namespace: str) -> str:
    return tenant_key(tenant, "receipts", namespace)


async def _got(redis: Redis, key: str) -> bytes | None:
    """The bytes at `key` as they are: what is packed is no text."""
    return await redis.execute_command("GET", key, NEVER_DECODE=True)  # type: ignore[no-untyped-call, no-any-return]


def _packed(text: bytes) -> bytes:
    """A third of the bytes: what repeats in a receipt are names."""
    return zlib.compress(text, 1)


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompress(packed)
