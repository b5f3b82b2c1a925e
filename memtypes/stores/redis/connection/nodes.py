"""What differs where live state lies on the nodes of a cluster: which of them has a key, and asking that one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import SlotNotCoveredError
from redis.exceptions import TimeoutError as RedisTimeoutError

NODE_S = 0.5
"""Seconds that one node of several is given to tell its keys."""

_log = logging.getLogger(__name__)


async def known(redis: Redis) -> None:
    """Return when the nodes of a cluster are known, at once where there is one server.

    Who gives up waiting does not end the asking for the others: the client would hang up on every node.
    """
    if isinstance(redis, RedisCluster):
        asking = asyncio.ensure_future(redis.initialize())
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to be told
        await asyncio.shield(asking)


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
    node = redis.get_node_from_key(prefix)
    cursors, keys = await redis.scan(cursor, target_nodes=node, **where)
    return cursors[node.name], keys


async def keys_like(redis: Redis, pattern: str) -> list[str]:
    """Every key that fits; in a cluster without those of nodes that are away, which is logged."""
    if not isinstance(redis, RedisCluster):
        return [str(key) async for key in redis.scan_iter(match=pattern, count=1_000)]
    found: list[str] = []
    for node in redis.get_primaries():
        try:
            async with asyncio.timeout(NODE_S):
                found += [str(key) async for key in redis.scan_iter(match=pattern, count=1_000, target_nodes=node)]
        except (RedisConnectionError, RedisTimeoutError, TimeoutError) as error:
            _log.warning("the node %s is left out: %s", node.name, str(error) or "no answer")
    return found
