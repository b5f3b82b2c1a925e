"""Calls to Redis or Valkey: bounded in time, refused while the server is known to be away, translated once.

Without a URL (see `urls`) the embedded server is used, and started again when it died.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
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

from memtypes.model.errors import SetupRequired, StoreInUse, Unavailable
from memtypes.model.scope import Scope
from memtypes.stores.redis.connection.concurrency import COMMAND, Lane, Work
from memtypes.stores.redis.connection.deadline import answered
from memtypes.stores.redis.connection.health_probe import Pulse
from memtypes.stores.redis.connection.nodes import keys_like, known, node_of, pinged, scanned
from memtypes.stores.redis.connection.server import EmbeddedServer
from memtypes.stores.redis.connection.urls import connect, hang_up
from memtypes.stores.redis.keys import scope_prefix

T = TypeVar("T")

IN_TOUCH_S = 2.5
"""Seconds for which an answer tells that the server is there; the background work asks it something every second."""


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
        self._lanes: dict[tuple[str, Work], Lane] = {}  # a node of a cluster that is away stops no other
        self._pulses: dict[str, Pulse] = {}
        self._returning: asyncio.Task[None] | None = None
        self._answered_at = -math.inf

    @property
    def in_touch(self) -> bool:
        """Whether the server answered a moment ago, and has not failed since."""
        return self._clock() - self._answered_at < IN_TOUCH_S

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

    async def run(
        self,
        call: Callable[[Redis], Awaitable[T]],
        *,
        repeatable: bool,
        work: Work = COMMAND,
        key: str | None = None,
    ) -> T:
        """What `call` gives; one that is repeatable is tried once more on a new connection.

        key: one that it is about, whose node then answers for it alone; None where it is about no key.

        Raises Unavailable when the server is away, too slow, or was found away a moment ago.
        """
        async with self._lane(work, key).turn():
            return await self._tried(call, work.limit_s, tries=2 if repeatable else 1)

    async def script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[str | bytes | int | float],
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

        return await self.run(call, repeatable=repeatable, work=work, key=keys[0])

    async def keys_of(self, scope: Scope) -> AsyncIterator[str]:
        """Every key of a namespace."""
        prefix, cursor = scope_prefix(scope), 0
        while True:
            call = partial(scanned, cursor=cursor, prefix=prefix)
            cursor, keys = await self.run(call, repeatable=True, key=prefix)
            for key in keys:
                yield key
            if cursor == 0:
                return

    async def keys_like(self, pattern: str) -> list[str]:
        """Every key of any namespace that fits; in a cluster without those of nodes that are away."""
        return await self.run(partial(keys_like, pattern=pattern), repeatable=True)

    async def ping(self) -> None:
        """Return when the server answers. Raises Unavailable."""
        await self.run(lambda redis: redis.ping(), repeatable=True)

    async def aclose(self) -> None:
        """Hang up, and end the embedded server if it is ours."""
        for pulse in self._pulses.values():
            await pulse.aclose()
        await hang_up(self._redis)
        if self._returning is not None:
            await asyncio.wait({self._returning})
        if self._server is not None:
            await self._server.stop()

    def _lane(self, work: Work, key: str | None) -> Lane:
        node = node_of(self._redis, key)
        if (node, work) not in self._lanes:
            pulse = self._pulses.setdefault(node, Pulse(partial(self._pinged, key), self._clock))
            self._lanes[node, work] = Lane(work, self._clock, pulse)
        return self._lanes[node, work]

    async def _pinged(self, key: str | None) -> None:
        """Return when the server answers. Raises Unavailable. Nobody waits for it, so it may take its time."""
        await self._tried(partial(pinged, key=key), COMMAND.limit_s, tries=2)

    async def _tried(self, call: Callable[[Redis], Awaitable[T]], timeout_s: float, tries: int) -> T:
        for left in reversed(range(tries)):
            try:
                answer = await answered(self._called(call), timeout_s)
            except TimeoutError as error:
                if self._clock() - self._answered_at >= timeout_s:  # others had no answer meanwhile either
                    self._answered_at = -math.inf
                raise Unavailable(f"the live store did not answer within {timeout_s:g} s") from error
            except _LostError as error:
                self._answered_at = -math.inf
                await self._back_again(timeout_s)
                if not left:
                    raise Unavailable(f"the live store went away: {error}") from error
            else:
                self._answered_at = self._clock()
                return answer
        raise AssertionError("a call is tried at least once")

    async def _called(self, call: Callable[[Redis], Awaitable[T]]) -> T:
        with _translated():
            await known(self._redis)
            return await call(self._redis)

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
            try:
                await self._server.ensure()
            except (StoreInUse, SetupRequired) as error:  # at a start they are the operator's, now they are an outage
                raise Unavailable(f"the live store can't be started again: {error}") from error


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
