"""Connects to a single server, a Sentinel set or a cluster by URL, and has the calls that differ on
a cluster.

URLs: redis://, rediss:// or unix:// for a single server, redis+sentinel://host:port,host:port/name
for Sentinel, and redis+cluster://host:port for a cluster.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import SlotNotCoveredError
from redis.exceptions import TimeoutError as RedisTimeoutError

from memtypes.model.errors import InvalidRequest
from memtypes.stores.redis.connection.availability import COMMAND, MAX_CONNECTIONS

Connection: TypeAlias = Any
"""A `Redis` or `RedisCluster` client. Their type stubs mix sync and async results, so callers
annotate the result.
"""

SOCKET_TIMEOUT_S = COMMAND.timeout_s + 0.5
"""Timeout of a socket, longer than any call's deadline: a slow answer must not look like a broken
connection.
"""

NODE_SCAN_S = 0.5
"""Maximum seconds for listing the keys of one cluster node."""

SCAN_COUNT = 1_000

_log = logging.getLogger(__name__)


def connect(url: str) -> Connection:
    """Create a client for `url`. It connects on its first call. Raises InvalidRequest for a URL
    that can't be used.
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_connect_timeout": SOCKET_TIMEOUT_S,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),  # LiveClient retries idempotent calls
    }
    try:
        parts = urlsplit(url)
        if parts.scheme == "redis+sentinel":
            pairs = (address.partition(":") for address in parts.netloc.split(","))
            hosts = [(host, int(port or 26_379)) for host, _, port in pairs]
            sentinels = Sentinel(  # type: ignore[no-untyped-call]
                hosts, sentinel_kwargs=options, **options
            )
            return sentinels.master_for(parts.path.strip("/") or "mymaster")
        if parts.scheme == "redis+cluster":
            host = parts.hostname or "localhost"
            port = parts.port or 6_379
            return RedisCluster(host=host, port=port, require_full_coverage=False, **options)
        return Redis.from_pool(
            ConnectionPool.from_url(url, max_connections=MAX_CONNECTIONS + 1, **options)
        )
    except ValueError as error:
        raise InvalidRequest(
            f"REMEMBRANCER_REDIS_URL can't be used: {error}", path="redis_url"
        ) from error


async def disconnect(redis: Connection) -> None:
    """Close every connection of a client, also its connections to Sentinels and cluster nodes."""
    await redis.aclose()
    # aclose() closes nothing while the cluster is being rediscovered
    if isinstance(redis, RedisCluster):
        await redis.nodes_manager.aclose()
        await redis.nodes_manager.aclose("startup_nodes")
    pool = getattr(redis, "connection_pool", None)  # a cluster client has a pool for each node
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


async def discover_nodes(redis: Redis) -> None:
    """Discover a cluster's nodes, unless they are known. Cancellation does not stop it: that would
    disconnect all.
    """
    if isinstance(redis, RedisCluster):
        discovery = asyncio.ensure_future(redis.initialize())
        # Every caller may be gone
        discovery.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(discovery)


def socket_of(redis: Redis) -> Path | None:
    """The path of the unix socket that a client connects to; None if it connects to a host and
    port.
    """
    pool = getattr(redis, "connection_pool", None)
    path = None if pool is None else pool.connection_kwargs.get("path")
    return None if path is None else Path(path)


def node_of(redis: Redis, key: str | None) -> str:
    """The name of the cluster node that holds `key`; "" for a single server, and if the node is
    unknown.
    """
    if key is None or not isinstance(redis, RedisCluster):
        return ""
    try:
        node = redis.get_node_from_key(key)
    except SlotNotCoveredError:
        return ""
    return "" if node is None else str(node.name)


async def ping_node(redis: Redis, key: str | None) -> None:
    """Return when the cluster node that holds `key` answers; without a key or a cluster, when the
    server answers.
    """
    await (
        redis.ping() if key is None or not isinstance(redis, RedisCluster) else redis.exists(key)
    )


async def scan_prefix(redis: Redis, cursor: int, prefix: str) -> tuple[int, list[Any]]:
    """Run one SCAN step. Returns the next cursor, and keys with `prefix`, which must all be in one
    cluster slot.
    """
    if not isinstance(redis, RedisCluster):
        return await redis.scan(cursor, match=f"{prefix}*", count=SCAN_COUNT)
    node = redis.get_node_from_key(prefix)
    cursors, keys = await redis.scan(
        cursor, match=f"{prefix}*", count=SCAN_COUNT, target_nodes=node
    )
    return cursors[node.name], keys


async def keys_matching(redis: Redis, pattern: str) -> list[str]:
    """Every key that matches `pattern`. Cluster nodes that do not answer are skipped, with a log
    entry.
    """
    if not isinstance(redis, RedisCluster):
        return [str(key) async for key in redis.scan_iter(match=pattern, count=SCAN_COUNT)]
    keys: list[str] = []
    for node in redis.get_primaries():
        try:
            async with asyncio.timeout(NODE_SCAN_S):
                keys += [
                    str(key)
                    async for key in redis.scan_iter(
                        match=pattern, count=SCAN_COUNT, target_nodes=node
                    )
                ]
        except (RedisConnectionError, RedisTimeoutError, TimeoutError) as error:
            _log.warning(
                "keys of the cluster node %s are skipped: %s", node.name, str(error) or "no answer"
            )
    return keys
