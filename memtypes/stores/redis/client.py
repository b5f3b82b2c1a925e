"""Calls to Redis or Valkey: bounded in time, refused while the server is known to be away, translated once.

Without a URL (see `urls`) the embedded server is used, and started again when it died.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from memtypes.errors import Unavailable
from memtypes.scope import Scope
from memtypes.stores.redis.keys import scope_prefix
from memtypes.stores.redis.lanes import COMMAND, Lane, Work
from memtypes.stores.redis.server import EmbeddedServer
from memtypes.stores.redis.urls import connect, hang_up

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Which server. url: None for the embedded one. directory: of the embedded one's files."""

    directory: Path
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, named by its hash so that its text is sent once."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class _LostError(Exception):
    """The connection went: whether the call was carried out is unknown."""


class LiveClient:
    """One pool of connections. Use it in the event loop that opened it."""

    def __init__(self, redis: Redis, server: EmbeddedServer | None, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._server = server
        self._clock = clock
        self._lanes: dict[Work, Lane] = {}
        self._returning: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, settings: LiveSettings, clock: Callable[[], float] = time.monotonic) -> LiveClient:
        """A client of the embedded server, which is running then, or of the configured one, which may be away.

        Raises InvalidRequest, SetupRequired, StoreInUse or Unavailable.
        """
        if settings.url is not None:
            return cls(connect(settings.url), None, clock)
        server = EmbeddedServer.at(settings.directory)
        await server.ensure()
        return cls(connect(f"unix://{server.socket}"), server, clock)

    async def run(self, call: Callable[[Redis], Awaitable[T]], *, repeatable: bool, work: Work = COMMAND) -> T:
        """What `call` gives; one that is repeatable is tried once more on a new connection.

        Raises Unavailable when the server is away, too slow, or was found away a moment ago by work of this kind.
        """
        lane = self._lanes.get(work) or self._lanes.setdefault(work, Lane(work, self._clock))
        async with lane.turn():
            return await self._tried(call, work.limit_s, tries=2 if repeatable else 1)

    async def script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | int | float],
        *,
        repeatable: bool,
        work: Work = COMMAND,
    ) -> Any:
        """What the script gives. keys: all of one namespace."""

        async def call(redis: Redis) -> Any:
            try:
                return await redis.evalsha(script.sha, len(keys), *keys, *args)
            except NoScriptError:  # nothing was done yet
                return await redis.eval(script.text, len(keys), *keys, *args)

        return await self.run(call, repeatable=repeatable, work=work)

    async def keys_of(self, scope: Scope) -> AsyncIterator[str]:
        """Every key of a namespace."""
        cursor = 0
        while True:
            cursor, keys = await self.run(partial(_scanned, cursor=cursor, prefix=scope_prefix(scope)), repeatable=True)
            for key in keys:
                yield key
            if cursor == 0:
                return

    async def ping(self) -> None:
        """Return when the server answers. Raises Unavailable."""
        await self.run(lambda redis: redis.ping(), repeatable=True)

    async def aclose(self) -> None:
        """Hang up, and end the embedded server if it is ours."""
        await hang_up(self._redis)
        if self._returning is not None:
            await asyncio.wait({self._returning})
        if self._server is not None:
            await self._server.stop()

    async def _tried(self, call: Callable[[Redis], Awaitable[T]], timeout_s: float, tries: int) -> T:
        for left in reversed(range(tries)):
            try:
                async with asyncio.timeout(timeout_s):
                    with _translated():
                        return await call(self._redis)
            except TimeoutError as error:
                raise Unavailable(f"the live store did not answer within {timeout_s:g} s") from error
            except _LostError as error:
                await self._back_again(timeout_s)
                if not left:
                    raise Unavailable(f"the live store went away: {error}") from error
        raise AssertionError("a call is tried at least once")

    async def _back_again(self, timeout_s: float) -> None:
        """Return when the server is back. All callers wait for one attempt, none of them longer than it wanted to."""
        if self._returning is None or self._returning.done():
            self._returning = asyncio.create_task(self._bring_back())
        done, _ = await asyncio.wait({self._returning}, timeout=timeout_s)
        if not done:
            raise Unavailable("the live store is being started again")
        self._returning.result()

    async def _bring_back(self) -> None:
        """Let go of broken connections; start the embedded server again where it died."""
        if not isinstance(self._redis, RedisCluster):  # which finds its nodes again by itself
            await self._redis.connection_pool.disconnect(inuse_connections=False)
        if self._server is not None:
            await self._server.ensure()


async def _scanned(redis: Redis, cursor: int, prefix: str) -> tuple[int, Any]:
    """The next cursor, and some keys that begin with `prefix`; in a cluster of the node that has all of them."""
    where: dict[str, Any] = {"match": f"{prefix}*", "count": 1_000}
    if not isinstance(redis, RedisCluster):
        return await redis.scan(cursor, **where)
    await redis.initialize()
    node = redis.get_node_from_key(prefix)
    cursors, keys = await redis.scan(cursor, target_nodes=node, **where)
    return cursors[node.name], keys


@contextmanager
def _translated() -> Iterator[None]:
    """Let the client's errors out as ours."""
    try:
        yield
    except RedisTimeoutError as error:
        raise TimeoutError from error
    except (RedisConnectionError, RedisClusterException, OSError) as error:
        raise _LostError(str(error)) from error
    except RedisError as error:
        raise Unavailable(f"the live store failed: {error}") from error
