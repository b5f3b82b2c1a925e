"""Clients of real Redis servers, and scopes that are used by one test only."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.client import LiveClient

LIVE = ("live", "live_cluster", "live_packaged")
"""Fixtures: clients of the embedded server, of a cluster and of a packaged redis-server."""


_PATIENCE_S = 5.0
"""The servers share their cores with other tests, and must not count as away because they have to
wait for one.
"""


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[LiveClient]:
    """A LiveClient connected to the Redis server or servers at `url`."""
    client = await LiveClient.open(Path("unused"), url, ping_s=_PATIENCE_S)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def running_server(directory: Path) -> AsyncIterator[LiveClient]:
    """Start an embedded Redis server in `directory`, yield its client, and stop it at the end."""
    client = await LiveClient.open(directory)
    try:
        yield client
    finally:
        await client.aclose()


async def everything(live: LiveClient, scope: Scope) -> dict[str, Any]:
    """All Redis keys of the scope, each with its value."""
    keys = sorted(await live.keys_of(scope))

    async def read(redis: Redis) -> dict[str, Any]:
        return {key: await _value(redis, key) for key in keys}

    return await live.run(read, idempotent=True)


async def _value(redis: Redis, key: str) -> Any:
    match await redis.type(key):
        case "hash":
            return await redis.hgetall(key)
        case "list":
            return await redis.lrange(key, 0, -1)
        case "set":
            return await redis.smembers(key)
        case "zset":
            return await redis.zrange(key, 0, -1, withscores=True)
        case _:
            return await redis.get(key)


def fresh_scope() -> Scope:
    """A scope with a unique namespace."""
    return Scope("acme", f"test {uuid.uuid4()}")
