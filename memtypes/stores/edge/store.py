"""The embedded store: Qdrant Edge in a worker process of the program that has the directory open.

An acknowledged write is in the write-ahead log: it survives a crash of any process, but a power cut
can lose those of the last second. If the worker dies, the calls that wait for it fail, and another
worker is started.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Concatenate, TypeVar

from memtypes.model.errors import RemembrancerError, StoreInUse, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.erasure import Erasable
from memtypes.stores.edge.upkeep import RETRY_S, Upkeep
from memtypes.stores.edge.worker import EdgeSettings, EngineDied, OpenStore, Worker
from memtypes.stores.operations.engine_store import (
    Answer,
    EngineFunction,
    EngineStore,
    Parameters,
)

REWRITE_WAIT_S = 60.0
"""Seconds that an erasure waits for shards to be rewritten: enough for about 100,000 memories."""

REBUILD_RETRY_S = 5
"""Seconds after which a call that was refused during a rebuild may be tried again."""

_POLL_S = 0.02
_PING_S = 5.0

_log = logging.getLogger(__name__)

Rebuilt = TypeVar("Rebuilt")


class EdgeStore(EngineStore):
    """The embedded store in one directory, bound to the event loop that opened it."""

    def __init__(self, settings: EdgeSettings) -> None:
        super().__init__(settings.dimensions)
        self._settings = settings
        self._starting: asyncio.Task[Worker] | None = None
        self._upkeep: Upkeep | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._closed = False
        self._rebuilding = False

    @classmethod
    async def open(cls, settings: EdgeSettings) -> EdgeStore:
        """Open the store, and create it if missing. Raises EmbedderMismatch, StoreInUse or
        Unavailable.
        """
        store = cls(settings)
        try:
            await store._worker()
        except BaseException:
            await store.aclose()
            raise
        store._keeping = asyncio.create_task(store._keep())
        return store

    async def ping(self) -> None:
        """Return when the worker answers. Raises Unavailable if it does not."""
        await self._run(min(_PING_S, self._settings.timeout_s), OpenStore.ping)

    async def rewrite_shards(self, removed_by: int) -> int:
        """Start to rewrite the shards that contain bytes of points removed until `removed_by` (a
        `time.time_ns`).

        Returns the number of such shards at once. They are rewritten in the background.
        """
        count = await self._run(self._settings.timeout_s, OpenStore.with_deleted_bytes, removed_by)
        if self._upkeep is not None:
            self._upkeep.rewrite_shards()
        return count

    async def rebuild(self, rebuild: Callable[[], Awaitable[Rebuilt]]) -> Rebuilt:
        """Close the store, await `rebuild`, and open the store again. Calls meanwhile raise
        Unavailable.
        """
        self._check_open()
        self._rebuilding = True
        try:
            await self._stop()
            return await rebuild()
        finally:
            self._rebuilding = False
            self._keeping = asyncio.create_task(self._keep())

    async def aclose(self) -> None:
        """Flush and close the store, and end the worker: nothing is written to the directory after
        that.
        """
        self._closed = True
        await self._stop()

    async def call(
        self,
        function: EngineFunction[Parameters, Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run `function` on the engine in the worker, and return its answer."""
        if self._upkeep is not None:
            self._upkeep.note_call()
        return await self._run(
            self._settings.timeout_s, OpenStore.answer, function, *arguments, **named
        )

    async def _run(
        self,
        timeout_s: float,
        method: Callable[Concatenate[OpenStore, Parameters], Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run a method of `OpenStore` in the worker. Raises Unavailable if this fails or takes over
        `timeout_s`.
        """
        try:
            worker = await self._worker()
            try:
                answer = worker.submit(method, *arguments, **named)
            except EngineDied:  # it has died since its last call; nothing was sent
                worker = await self._worker()
                answer = worker.submit(method, *arguments, **named)
            async with asyncio.timeout(timeout_s):
                return await answer
        except StoreInUse as error:  # another program has opened the store after a crash
            raise Unavailable(str(error)) from error
        except TimeoutError as error:
            raise Unavailable(
                f"the embedded engine did not answer within {timeout_s:g} s"
            ) from error
        except EngineDied as error:
            raise Unavailable(
                "the embedded engine died; it is unknown whether the call took effect"
            ) from error

    async def _worker(self) -> Worker:
        """The worker. Starts one if none runs, and waits for its start."""
        self._check_open()
        if self._starting is None or _has_ended(self._starting):
            self._starting = asyncio.create_task(Worker.start(self._settings))
        limit = self._settings.start_timeout_s
        try:
            async with asyncio.timeout(limit):
                # The start goes on after this timeout, for the next call.
                return await asyncio.shield(self._starting)
        except TimeoutError as error:
            raise Unavailable(f"the embedded engine did not start within {limit:g} s") from error

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store has been closed")
        if self._rebuilding:
            raise Unavailable("the store is being re-embedded", retry_after_s=REBUILD_RETRY_S)

    async def _keep(self) -> None:
        """Do the upkeep of the store, and start another worker when one has died."""
        while True:
            try:
                worker = await self._worker()
            except RemembrancerError as error:
                _log.error("the embedded store could not be opened again: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            self._upkeep = Upkeep(worker)
            try:
                await self._upkeep.run()
            except EngineDied:
                _log.error("the embedded engine died; another one is started")
            except (RemembrancerError, OSError):
                # Writes that can't reach the disk must not be acknowledged.
                _log.exception("the upkeep of the embedded engine failed; it is started again")
                worker.kill()
                await asyncio.sleep(RETRY_S)

    async def _stop(self) -> None:
        """End the upkeep, then the worker, which flushes and closes the store first."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        self._upkeep = None
        starting = self._starting
        self._starting = None
        if starting is None:
            return
        if starting.done() and starting.exception() is None:
            await starting.result().aclose()
        else:
            starting.cancel()  # which kills a worker that is still opening the store
            await asyncio.gather(starting, return_exceptions=True)


def _has_ended(starting: asyncio.Task[Worker]) -> bool:
    """True if a worker has died, or could not be started."""
    if not starting.done():
        return False
    return starting.exception() is not None or not starting.result().is_alive


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
