"""The embedded store: a client of an engine process that all programs with the same directory
share.

The first program that opens a directory starts the engine process, which ends after the last has
closed it. An acknowledged write is in the write-ahead log: it survives a crash, but a power cut can
lose those of the last second.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from typing import Any

from memtypes.model.errors import StoreInUse, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.process.starting import EdgeSettings, ensure_engine, reap
from memtypes.stores.edge.process.wire import (
    PROTOCOL,
    EngineCall,
    Hello,
    Reply,
    RewriteShards,
    frame,
    read_message,
)
from memtypes.stores.files import holder_of
from memtypes.stores.operations.engine_store import Answer, EngineFunction, EngineStore, Parameters

REWRITE_WAIT_S = 60.0
"""Seconds that an erasure waits for shards to be rewritten: enough for about 100,000 memories."""

_POLL_S = 0.02
_RETRY_S = 0.05
_PING_S = 5.0

_BUFFER = 1 << 22

_log = logging.getLogger(__name__)


class ConnectionLostError(Exception):
    """The connection to the engine process ended before the answer to a request arrived."""


class Connection:
    """A connection to the engine process, for any number of concurrent requests. lost: True once it
    is broken.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lost = False
        self._writer = writer
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Reply]] = {}
        self._listening = asyncio.create_task(self._listen(reader))

    @classmethod
    async def open(cls, socket: str) -> Connection:
        """Connect to the engine process that listens at the path `socket`. Raises OSError if that
        fails.
        """
        return cls(*await asyncio.open_unix_connection(socket, limit=_BUFFER))

    async def ask(self, request: EngineCall | Hello | RewriteShards, timeout_s: float) -> Any:
        """Send a request; return its answer. Raises Unavailable at a timeout, ConnectionLostError,
        or engine errors.
        """
        if self.lost:
            raise ConnectionLostError
        number = next(self._numbers)
        message = frame((number, request))
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._exchange(message, future)
        except TimeoutError as error:
            raise Unavailable(
                f"the embedded engine did not answer within {timeout_s:g} s"
            ) from error
        finally:
            self._pending.pop(number).cancel()
        if reply.error is not None:
            raise reply.error
        return reply.answer

    async def aclose(self) -> None:
        """Close the connection. The engine process keeps running."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(ConnectionError):  # the engine may have closed it first
            await self._writer.wait_closed()

    async def _exchange(self, message: bytes, future: asyncio.Future[Reply]) -> Reply:
        try:
            self._writer.write(message)
            await self._writer.drain()
        except ConnectionError as error:
            self.lost = True  # the listener may not have noticed yet
            raise ConnectionLostError from error
        return await future

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                reply: Reply = await read_message(reader)
                future = self._pending.get(reply.number)
                if future is not None and not future.done():
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
            # Pending requests fail below
            _log.debug("the connection to the embedded engine ended: %r", error)
        finally:
            self.lost = True
            for future in self._pending.values():
                if not future.done():
                    future.set_exception(ConnectionLostError())


class EdgeStore(EngineStore):
    """The embedded store in one directory: a client of its engine process, bound to the event loop
    that opened it.
    """

    def __init__(self, settings: EdgeSettings, layout: Layout) -> None:
        super().__init__(settings.dimensions)
        self._settings = settings
        self._layout = layout
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._started_engines: list[int] = []
        self._closed = False

    @classmethod
    async def open(cls, settings: EdgeSettings) -> EdgeStore:
        """Open the store, and create it if missing. Raises EmbedderMismatch, StoreInUse or
        Unavailable.
        """
        store = cls(settings, await asyncio.to_thread(Layout.create, settings.directory))
        await store._live_connection()
        return store

    async def ping(self) -> None:
        """Return when the engine process answers. Raises Unavailable if it does not."""
        await self._send(Hello(), min(_PING_S, self._settings.timeout_s))

    async def rewrite_shards(self, removed_by: int) -> int:
        """Start to rewrite the shards that contain bytes of points removed until `removed_by` (a
        `time.time_ns`).

        Returns the number of such shards at once. The engine process rewrites them in the
        background.
        """
        remaining: int = await self._send(RewriteShards(removed_by), self._settings.timeout_s)
        return remaining

    async def aclose(self) -> None:
        """Disconnect from the engine process. The process ends when no other client is
        connected.
        """
        self._closed = True
        await self._disconnect()

    async def call(
        self,
        function: EngineFunction[Parameters, Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run `function` in the engine process and return its answer."""
        request = EngineCall(function, arguments, named)
        answer: Answer = await self._send(request, self._settings.timeout_s)
        return answer

    async def _send(self, request: EngineCall | Hello | RewriteShards, timeout_s: float) -> Any:
        """Send a request and return its answer. If the engine has died since the last call, it is
        started first.
        """
        try:
            return await (await self._live_connection()).ask(request, timeout_s)
        except ConnectionLostError as error:
            raise Unavailable(
                "the embedded engine died; it is unknown whether the call took effect. Its log is "
                f"{self._layout.log_path}"
            ) from error
        except StoreInUse as error:  # the store is being re-embedded, which takes a while
            raise Unavailable(str(error), retry_after_s=5) from error

    async def _live_connection(self) -> Connection:
        if self._closed:
            raise Unavailable("the store has been closed")
        async with self._opening:
            if self._connection is None or self._connection.lost:
                await self._disconnect()
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> Connection:
        """Open a new connection to the engine process. Starts the process if it does not run."""
        deadline = time.monotonic() + self._settings.start_timeout_s
        while True:
            pid = await ensure_engine(self._layout, self._settings, deadline)
            if pid is not None:
                self._started_engines.append(pid)
            connection = await self._try_connect(deadline)
            if connection is not None:
                return connection
            if time.monotonic() > deadline:
                layout = self._layout
                holder = holder_of(self._layout.engine_lock)
                raise StoreInUse(
                    f"the store in {layout.directory} is held by process {holder}, which "
                    "does not answer (see "
                    f"{layout.log_path}). Stop that process, or use its service with --url"
                )
            await asyncio.sleep(_RETRY_S)  # an engine that is about to end no longer listens

    async def _try_connect(self, deadline: float) -> Connection | None:
        """A new connection on which the engine has answered `Hello`; None if the engine could not
        be reached.
        """
        engine = self._layout.read_engine()
        if engine is None:
            return None
        if engine.protocol != PROTOCOL:
            raise StoreInUse(
                f"the store in {self._layout.directory} is held by process {engine.pid}, "
                "an engine of another version "
                "of this program. Stop that process, or use its service with --url"
            )
        async with contextlib.AsyncExitStack() as stack:
            with contextlib.suppress(OSError, ConnectionLostError, Unavailable):
                connection = await Connection.open(engine.socket)
                stack.push_async_callback(connection.aclose)
                await connection.ask(Hello(), max(0.0, deadline - time.monotonic()))
                stack.pop_all()
                return connection
        return None

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.aclose()
            self._connection = None
        for pid in self._started_engines:
            reap(pid)


class EdgeFiles(Erasable):
    """Rewrites the shards with bytes of deleted memories, of any scope. wait_s: how long an erasure
    waits.
    """

    def __init__(self, store: EdgeStore, wait_s: float = REWRITE_WAIT_S) -> None:
        self._store = store
        self._wait_s = wait_s

    # See the class
    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """Rewrite all shards with deleted bytes. Returns how many were rewritten within `wait_s`
        seconds.
        """
        requested_at = time.time_ns()
        return await self._store.rewrite_shards(requested_at) - await self._wait_for_rewrites(
            requested_at
        )

    # See the class
    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002
        """Rewrite all shards with deleted bytes. Returns how many still have such bytes after
        `wait_s` seconds.
        """
        return await self._wait_for_rewrites(time.time_ns())

    async def _wait_for_rewrites(self, removed_by: int) -> int:
        """Wait up to `wait_s` seconds for rewrites. Returns how many shards have bytes deleted
        until `removed_by`.
        """
        deadline = time.monotonic() + self._wait_s
        # Another process does the work
        while (  # noqa: ASYNC110
            remaining := await self._store.rewrite_shards(removed_by)
        ) and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)
        return remaining
