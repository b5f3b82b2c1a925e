"""What a URL of live state names, as a client of it.

It names a server (`redis://`, `rediss://`, `unix://`), a set of sentinels (`redis+sentinel://host:port,host:port/name`)
or a cluster (`redis+cluster://host:port`).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from memtypes.model.errors import InvalidRequest
from memtypes.stores.redis.connection.concurrency import COMMAND, CONNECTIONS

SOCKET_S = COMMAND.limit_s + 0.5
"""The client's own limits come after those of the work: what is slow must not look like a connection that broke."""


def connect(url: str) -> Any:
    """A client for `url`; nothing is sent yet. Raises InvalidRequest for a URL that can't be used."""
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_connect_timeout": SOCKET_S,
        "socket_timeout": SOCKET_S,
        "retry": Retry(NoBackoff(), 0),  # what may be repeated is repeated above, once
    }
    try:
        return _connected(url, options)
    except ValueError as error:
        raise InvalidRequest(f"REMEMBRANCER_REDIS_URL can't be used: {error}", path="redis_url") from error


def _connected(url: str, options: dict[str, Any]) -> Any:
    parts = urlsplit(url)
    if parts.scheme == "redis+sentinel":
        pairs = (one.partition(":") for one in parts.netloc.split(","))
        hosts = [(host, int(port or 26_379)) for host, _, port in pairs]
        sentinels = Sentinel(hosts, sentinel_kwargs=options, **options)  # type: ignore[no-untyped-call]
        return sentinels.master_for(parts.path.strip("/") or "mymaster")
    if parts.scheme == "redis+cluster":
        return RedisCluster(
            host=parts.hostname or "localhost", port=parts.port or 6_379, require_full_coverage=False, **options
        )
    return Redis.from_pool(ConnectionPool.from_url(url, max_connections=CONNECTIONS, **options))


async def hang_up(redis: Any) -> None:
    """Close every connection of a client that `connect` gave, those to its sentinels too."""
    await redis.aclose()
    if isinstance(redis, RedisCluster):  # which closes nothing while it doubts what it knows of its nodes
        await redis.nodes_manager.aclose()
        await redis.nodes_manager.aclose("startup_nodes")
    pool = getattr(redis, "connection_pool", None)  # a cluster has one a node
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()
