"""Receipts on Redis: each tenant has a hash chain of receipts, to which several processes append.

A script compares and replaces the head of the chain, so no two receipts have the same predecessor.
To seal a receipt is to hash it together with the head of the chain, as this process has cached it.
If another process has appended to the chain since, the receipt is sealed again.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from operator import methodcaller

from cachetools import LRUCache

from memtypes.model.errors import Unavailable
from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.receipts import (
    ChainHead,
    ReceiptStore,
    SealedReceipt,
    UnsealedReceipt,
    seal_all,
)
from memtypes.stores.redis.connection.availability import RECEIPT
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.connection.topology import Connection
from memtypes.stores.redis.keys import tenant_key
from memtypes.stores.redis.scripts import Argument, Script

MAX_TRIES = 50
"""Maximum attempts to append receipts. An attempt fails if another process appended to the chain
meanwhile.
"""

CACHED_HEADS = 1_024
"""Number of tenants for which this process caches the head of the chain."""

_APPEND = Script.load("receipt_append")


class RedisReceipts(ReceiptStore):
    """Implements `ReceiptStore` on Redis: stores receipts, the records that explain retrievals, for
    `days` days.
    """

    def __init__(self, live: LiveClient, days: int, clock: Clock) -> None:
        self._live = live
        self._ttl_s = days * 86_400
        self._clock = clock
        self._heads: LRUCache[str, ChainHead] = LRUCache(CACHED_HEADS)
        self._appending = asyncio.Lock()  # other processes are excluded by the script

    async def append(self, tenant: str, receipts: Sequence[UnsealedReceipt]) -> list[SealedReceipt]:
        """Append receipts to the tenant's hash chain, store them, and return them with their
        hashes.
        """
        if not receipts:
            return []
        async with self._appending:
            head = self._heads.get(tenant, ChainHead())
            for _ in range(MAX_TRIES):
                sealed = seal_all(receipts, head)
                head = self._heads[tenant] = await self._try_append(tenant, receipts, sealed, head)
                if head == sealed[-1].head:
                    return sealed
        raise Unavailable("other processes append to the chain of receipts all the time; try again")

    async def _try_append(
        self,
        tenant: str,
        receipts: Sequence[UnsealedReceipt],
        sealed: Sequence[SealedReceipt],
        expected: ChainHead,
    ) -> ChainHead:
        """Append `sealed` to the chain if its head is `expected`. Returns the chain's head, which
        is then its last.
        """
        last = sealed[-1].head
        keys = [tenant_key(tenant, "chain")]
        expected_hash = expected.sha256 if expected.id else None
        now = int(self._clock().timestamp())
        arguments: list[Argument] = [expected_hash, last.sha256, self._ttl_s, now]
        for unsealed, receipt in zip(receipts, sealed, strict=True):
            keys += [
                _receipt_key(tenant, receipt.id),
                _index_key(Scope(tenant, unsealed.namespace)),
            ]
            # Level 1 leaves a third of the bytes. It runs in a thread, so that it does not block
            # the event loop.
            arguments += [receipt.id, await asyncio.to_thread(zlib.compress, receipt.text, 1)]
        stored, *head = await self._live.script(
            _APPEND, keys, arguments, idempotent=True, workload=RECEIPT
        )
        if stored:
            return last
        return ChainHead(head[0], head[1]) if head[0] else ChainHead()

    async def get(self, tenant: str, receipt_id: str) -> bytes | None:
        """Return a receipt, the record that explains a retrieval, as JSON bytes; None if there is
        no such receipt.
        """
        get = methodcaller(
            "execute_command", "GET", _receipt_key(tenant, receipt_id), NEVER_DECODE=True
        )
        compressed: bytes | None = await self._live.run(get, idempotent=True)
        return None if compressed is None else zlib.decompress(compressed)

    async def latest(self, scope: Scope, limit: int, before: str | None = None) -> list[bytes]:
        """Return the namespace's newest receipts as JSON bytes. before: id of a receipt; return
        only older receipts.
        """
        index = _index_key(scope)

        async def read(redis: Connection) -> list[bytes | None]:
            rank: int | None = -1 if before is None else await redis.zrevrank(index, before)
            if rank is None:
                return []
            # Ids contain their time, so receipts of the same second are in order, too.
            ids: list[str] = await redis.zrevrange(index, rank + 1, rank + limit)
            keys = [_receipt_key(scope.tenant, receipt_id) for receipt_id in ids]
            return await redis.execute_command("MGET", *keys, NEVER_DECODE=True) if keys else []

        compressed = await self._live.run(read, idempotent=True)
        return await asyncio.to_thread(
            lambda: [zlib.decompress(text) for text in compressed if text is not None]
        )

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Remove the namespace's receipts and return their number. With a `memory_id`, remove
        none.
        """
        keys = await self._receipt_keys(scope, memory_id)
        if not keys:
            return 0
        delete = methodcaller("delete", *keys, _index_key(scope))
        removed: int = await self._live.run(delete, idempotent=False)
        return max(0, removed - 1)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Number of receipts that the namespace still has; 0 with a `memory_id`, as receipts are
        not erased with it.
        """
        keys = await self._receipt_keys(scope, memory_id)
        return int(await self._live.command("exists", *keys)) if keys else 0

    async def _receipt_keys(self, scope: Scope, memory_id: str | None) -> list[str]:
        if memory_id is not None:
            return []
        ids: list[str] = await self._live.command("zrange", _index_key(scope), 0, -1)
        return [_receipt_key(scope.tenant, receipt_id) for receipt_id in ids]


def _receipt_key(tenant: str, receipt_id: str) -> str:
    return tenant_key(tenant, "receipt", receipt_id)


def _index_key(scope: Scope) -> str:
    """Redis key of the sorted set of the namespace's receipt ids, ordered by expiry time."""
    return tenant_key(scope.tenant, "receipts", scope.namespace)
