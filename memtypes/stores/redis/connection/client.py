"""Calls to Redis or Valkey: each has a deadline and is refused while the server is down; errors
become Unavailable.

Without a URL (see `topology`) the embedded server is used, and started again when it has ended.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from memtypes.circuit_breaker import BreakerState
from memtypes.model.errors import SetupRequired, StoreInUse, Unavailable
from memtypes.model.scope import Scope
from memtypes.platform import is_listening
from memtypes.stores.redis.connection import availability, topology
from memtypes.stores.redis.connection.availability import (
    COMMAND,
    PING_S,
    TRIES,
    Bulkhead,
    HealthProbe,
    Workload,
)
from memtypes.stores.redis.connection.server import EmbeddedServer
from memtypes.stores.redis.connection.topology import Connection
from memtypes.stores.redis.keys import live_key, scope_prefix
from memtypes.stores.redis.scripts import Argument, Script

T = TypeVar("T")

IN_TOUCH_S = 2.5
"""Seconds after an answer for which the server counts as reachable. Background jobs call the server
every second.
"""

_log = logging.getLogger(__name__)


class _ConnectionLostError(Exception):
    """The connection broke during a call. It is unknown whether the server executed the call."""


class LiveClient:
    """Client of a Redis or Valkey server, Sentinel set or cluster. Use it only in the event loop
    that opened it.
    """

    def __init__(
        self,
        redis: Connection,
        server: EmbeddedServer | None,
        clock: Callable[[], float],
        ping_s: float = PING_S,
    ) -> None:
        self._redis = redis
        self._server = server
        self._clock = clock
        self._ping_s = ping_s
        # One for each node, so that an unreachable node of a cluster does not block the others.
        self._bulkheads: dict[tuple[str, Workload], Bulkhead] = {}
        self._probes: dict[str, HealthProbe] = {}
        self._reconnecting: asyncio.Task[None] | None = None
        self._pings: dict[str, asyncio.Task[bool]] = {}
        self._answered_at = -math.inf

    @property
    def in_touch(self) -> bool:
        """True if the server answered within the last IN_TOUCH_S seconds and has not failed
        since.
        """
        return self._clock() - self._answered_at < IN_TOUCH_S

    @classmethod
    async def open(
        cls,
        directory: Path,
        url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        ping_s: float = PING_S,
    ) -> LiveClient:
        """Create a client of the server at `url`; if `url` is None, of the embedded server in
        `directory`.

        An embedded server is started if it does not run; a server at a url need not be reachable
        yet. ping_s: seconds that the server at `url` has to answer a ping. Raises InvalidRequest
        for an unusable url. For an embedded server, raises the errors of `EmbeddedServer.ensure`.
        """
        if url is not None:
            return cls(topology.connect(url), None, clock, ping_s)
        server = EmbeddedServer.at(directory)
        await server.ensure()
        return cls(topology.connect(f"unix://{server.socket}"), server, clock)

    async def run(
        self,
        call: Callable[[Connection], Awaitable[T]],
        *,
        idempotent: bool,
        workload: Workload = COMMAND,
        key: str | None = None,
    ) -> T:
        """Return the result of `call`, which gets the Redis client as its argument.

        idempotent: if True, the call is tried TRIES times if the connection breaks. key: a Redis
        key that the call uses; on a cluster, only the health of that key's node then matters.
        Raises Unavailable.
        """
        node = topology.node_of(self._redis, key)
        if (node, workload) not in self._bulkheads:
            # The probe pings outside the bulkheads and with the longest deadline, as no caller
            # waits.
            ping = partial(
                self._run, partial(topology.ping_node, key=key), COMMAND.timeout_s, TRIES, key
            )
            probe = self._probes.setdefault(node, HealthProbe(ping, self._clock))
            self._bulkheads[node, workload] = Bulkhead(workload, self._clock, probe)
        async with self._bulkheads[node, workload].slot():
            return await self._run(call, workload.timeout_s, TRIES if idempotent else 1, key)

    async def command(self, name: str, key: str, *args: Any, **options: Any) -> Any:
        """Run an idempotent Redis command on a key, and return its result. Retries and errors: see
        `run`.
        """
        return await self.run(methodcaller(name, key, *args, **options), idempotent=True, key=key)

    async def script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        idempotent: bool,
        workload: Workload = COMMAND,
    ) -> Any:
        """Run a Lua script and return its result. keys: all in one cluster slot. Other arguments:
        see `run`.
        """
        values = [*keys, *("" if argument is None else argument for argument in args)]

        async def call(redis: Connection) -> Any:
            try:
                return await redis.evalsha(script.sha, len(keys), *values)
            except NoScriptError:  # the server has not cached it yet
                return await redis.eval(script.text, len(keys), *values)

        return await self.run(call, idempotent=idempotent, workload=workload, key=keys[0])

    async def keys_of(self, scope: Scope, kind: str | None = None) -> list[str]:
        """Every Redis key of a namespace; with a `kind`, the keys of the objects of this kind (see
        `live_key`).
        """
        prefix = scope_prefix(scope) if kind is None else live_key(scope, kind, "")
        keys = list[str]()
        cursor = 0
        while True:
            call = partial(topology.scan_prefix, cursor=cursor, prefix=prefix)
            cursor, page = await self.run(call, idempotent=True, key=prefix)
            keys += page
            if cursor == 0:
                return list(dict.fromkeys(keys))  # SCAN may return a key twice

    async def keys_matching(self, pattern: str) -> list[str]:
        """Every Redis key that matches `pattern`, except those on unreachable cluster nodes."""
        return await self.run(partial(topology.keys_matching, pattern=pattern), idempotent=True)

    async def ping(self) -> None:
        """Check that the server answers. Raises Unavailable if it can't be reached or is too
        slow.
        """
        await self.run(lambda redis: redis.ping(), idempotent=True)

    async def aclose(self) -> None:
        """Close all connections. Stops the embedded server if it is a child of this process."""
        for probe in self._probes.values():
            await probe.aclose()
        await topology.disconnect(self._redis)
        if self._reconnecting is not None:
            await asyncio.wait({self._reconnecting})
        if self._server is not None:
            await self._server.stop()

    def breakers(self) -> dict[tuple[str, str], BreakerState]:
        """The state of each circuit breaker, by (node, workload). The node is "" unless the server
        is a cluster.
        """
        return {
            (node, workload.name): bulkhead.state
            for (node, workload), bulkhead in self._bulkheads.items()
        }

    async def _run(
        self,
        call: Callable[[Connection], Awaitable[T]],
        timeout_s: float,
        tries: int,
        key: str | None,
    ) -> T:
        for attempt in range(1, tries + 1):
            try:
                answer = await availability.with_deadline(
                    self._call(call), timeout_s, partial(self._is_away, key)
                )
            except availability.ServerAwayError as error:
                self._answered_at = -math.inf
                raise Unavailable("the live store is away") from error
            except TimeoutError as error:
                # No other call was answered meanwhile
                if self._clock() - self._answered_at >= timeout_s:
                    self._answered_at = -math.inf
                raise Unavailable(
                    f"the live store did not answer within {timeout_s:g} s"
                ) from error
            except _ConnectionLostError as error:
                self._answered_at = -math.inf
                await self._reconnect(timeout_s)
                if attempt == tries:
                    _log.warning("the connection to the live store was lost: %s", error)
                    raise Unavailable("the connection to the live store was lost") from error
                await asyncio.sleep(availability.JITTER.compute(attempt))
            else:
                self._answered_at = self._clock()
                return answer
        raise AssertionError("a call is tried at least once")

    async def _is_away(self, key: str | None) -> bool:
        """True if nothing listens on the server's socket or, if that is unknown, if the node of
        `key` fails a ping.
        """
        path = topology.socket_of(self._redis)
        if path is not None and (running := is_listening(path)) is not None:
            return not running
        node = topology.node_of(self._redis, key)
        if node not in self._pings or self._pings[node].done():
            self._pings[node] = asyncio.create_task(self._answers(key))
        return not await asyncio.shield(self._pings[node])

    async def _answers(self, key: str | None) -> bool:
        """True if the Redis node of `key` answers a ping in time, or if this process is too busy to
        find out.
        """
        began = self._clock()
        try:
            await availability.with_deadline(
                self._call(partial(topology.ping_node, key=key)), self._ping_s
            )
        except TimeoutError:
            return self._clock() - began > self._ping_s + availability.CANCEL_S
        except (_ConnectionLostError, Unavailable):
            return False
        self._answered_at = self._clock()
        return True

    async def _call(self, call: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            await topology.discover_nodes(self._redis)
            return await call(self._redis)
        except RedisTimeoutError as error:
            raise TimeoutError from error
        except (RedisConnectionError, RedisClusterException, OSError) as error:
            raise _ConnectionLostError(str(error)) from error
        except RedisError as error:
            raise Unavailable(f"the live store failed: {error}") from error

    async def _reconnect(self, timeout_s: float) -> None:
        """Wait until the connection is restored. Callers share one attempt, but each has its own
        deadline.
        """
        reconnecting = self._reconnecting
        if reconnecting is None or reconnecting.done():
            reconnecting = self._reconnecting = asyncio.create_task(self._restore())
        done, _ = await asyncio.wait({reconnecting}, timeout=timeout_s)
        if not done:
            raise Unavailable("the live store is being started again")
        # self._reconnecting may be the next attempt already, begun by another caller
        reconnecting.result()

    async def _restore(self) -> None:
        """Close broken connections, and start the embedded server again if it has ended."""
        if not isinstance(self._redis, RedisCluster):  # a cluster client reconnects by itself
            await self._redis.connection_pool.disconnect(inuse_connections=False)
        if self._server is not None:
            try:
                await self._server.ensure()
            # Only at start-up are these the operator's to solve
            except (StoreInUse, SetupRequired) as error:
                raise Unavailable(f"the live store can't be started again: {error}") from error
