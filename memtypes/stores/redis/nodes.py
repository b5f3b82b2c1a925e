"""What differs where live state lies on the nodes of a cluster: which of them has a key, and asking that one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import SlotNotCoveredError


def node_of(redis: Redis, key: str | None) -> str:
    """The name of the node that has `key`; empty where there is one server alone, or that is not known yet."""
    if key is None or not isinstance(redis, RedisCluster):
        return ""
    try:
        node = redis.get_node_from_key(key)
    except SlotNotCoveredError:
        return ""
    return "" if node is None else str(node.name)


def pinged(redis: Redis, key: str | None) -> Awaitable[Any]:
    """Asks whether the node that has `key` is there; without one, any server."""
    return redis.ping() if key is None or not isinstance(redis, RedisCluster) else redis.exists(key)


async def scanned(redis: Redis, cursor: int, prefix: str) -> tuple[int, Any]:
    """The next cursor, and some keys that begin with `prefix`; in a cluster of the node that has all of them."""
    where: dict[str, Any] = {"match": f"{prefix}*", "count": 1_000}
    if not isinstance(redis, RedisCluster):
        return await redis.scan(cursor, **where)
    await redis.initialize()
    node = redis.get_node_from_key(prefix)
    cursors, keys = await redis.scan(cursor, target_nodes=node, **where)
    return cursors[node.name], keys
