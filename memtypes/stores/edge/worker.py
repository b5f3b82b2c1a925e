"""The worker process of an embedded store, which owns its engine.

Qdrant Edge never releases the GIL, so it runs in a process of its own. Calls and answers are
pickled and pass through a pipe of `multiprocessing`. The worker answers one call at a time, so each
is atomic. It has the store's lock from before the shards are opened until they have been flushed
and closed.

The event loop reads the pipe itself. A `ProcessPoolExecutor` hands each answer on by two threads,
which is slower (see benchmarks/decisions/sidecar.md).
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Concatenate

from threadpoolctl import threadpool_limits

from memtypes.model.errors import RemembrancerError, StoreInUse, Unavailable
from memtypes.platform import exit_with_parent, keep_freed_memory
from memtypes.search.columns import ColumnKinds
from memtypes.stores.edge.engine.edge_engine import EdgeEngine
from memtypes.stores.edge.layout import Layout
from memtypes.stores.files import locked
from memtypes.stores.operations.engine_store import Answer, EngineFunction, Parameters

CLOSE_S = 60.0
"""Seconds that a worker has to flush and close its shards."""

_POLL_S = 0.05
_END = object()

_CLOSED = "the embedded engine has ended"

_AHEAD = 65_536
"""Maximum bytes of calls that are sent before the worker has answered the ones before them. The
pipe holds more, so that sending them does not block.
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Settings of an embedded store: its directory, its embedder, and timeouts in seconds.

    fingerprint, dimensions: of the embedder. column_kinds: the payload fields that searches read of
    each candidate, which the worker caches. timeout_s: for one call. start_timeout_s: for the
    start of the worker, which replays the log after a crash. lock_wait_s: how long a start waits
    for another program to give up the store, such as a service that is just ending.
    """

    directory: Path
    fingerprint: str
    dimensions: int
    column_kinds: ColumnKinds
    timeout_s: float = 30.0
    start_timeout_s: float = 60.0
    lock_wait_s: float = 3.0


class OpenStore:
    """What runs in the worker process: the engine, and its work in steps. The methods are called
    from the parent (see `Worker.run`).
    """

    def __init__(self, layout: Layout, engine: EdgeEngine, lock: ExitStack) -> None:
        self.engine = engine
        self._layout = layout
        self._lock = lock
        self._warming = engine.warm()
        self._rewriting: Iterator[None] | None = None

    @classmethod
    def open(cls, settings: EdgeSettings) -> OpenStore:
        """Lock and open the store, and create it if missing. Raises EmbedderMismatch, StoreInUse or
        Unavailable.
        """
        layout = Layout.create(settings.directory)
        with ExitStack() as stack:
            _acquire(stack, layout, time.monotonic() + settings.lock_wait_s)
            layout.prepare(settings.fingerprint, settings.dimensions)
            try:
                engine = EdgeEngine.open(
                    layout.shard_paths(), settings.dimensions, settings.column_kinds
                )
            except StoreInUse as error:
                raise StoreInUse(
                    f"the store in {layout.directory} is held by another program, which does not "
                    f"know its lock file ({error}). Stop it, or use a service with --url"
                ) from error
            return cls(layout, engine, stack.pop_all())

    def ping(self) -> None:
        """Return at once."""

    def answer(
        self,
        function: EngineFunction[Parameters, Answer],
        /,
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run a function of `memtypes.stores.operations` on the engine, and return its answer."""
        steps = function(self.engine, *arguments, **named).__await__()
        try:
            next(steps)
        except StopIteration as done:
            answer: Answer = done.value
            return answer
        # The embedded engine awaits nothing, so the first step is the whole: no event loop.
        raise RuntimeError(f"{function!r} awaits something other than the engine")

    def pop_unsynced(self) -> list[Path]:
        """The directories with files written since the last call, which the caller must sync."""
        return self.engine.pop_unsynced()

    def is_flushed(self) -> bool:
        """True if no shard has changes that are only in its log."""
        return not self.engine.unflushed

    def flush_one(self) -> None:
        """Flush one of the shards that have unflushed changes."""
        self.engine.flush_one()

    def warm_step(self) -> bool:
        """Cache the columns of some more memories. Returns False if none is left."""
        return next(self._warming, _END) is not _END

    def with_deleted_bytes(self, removed_by: int) -> int:
        """The number of shards with bytes of points removed until `removed_by` (`time.time_ns`)."""
        return len(self.engine.with_deleted_bytes(removed_by))

    def rewrite_step(self) -> bool:
        """Continue to rewrite the shards with deleted bytes. Returns False if none is left."""
        steps = self._rewriting or self._rewrite()
        self._rewriting = None  # unless this step succeeds
        more = next(steps, _END) is not _END
        if more:
            self._rewriting = steps
        return more

    def close(self) -> None:
        """Flush and close the shards, then give up the lock."""
        with self._lock:
            self.engine.close()

    def _rewrite(self) -> Iterator[None]:
        for kind in self.engine.with_deleted_bytes(time.time_ns()):
            path = self._layout.next_path(kind)
            yield from self.engine.copy_shard(kind, path)
            self._layout.use_version(kind, path)
            self.engine.use_copy(kind)


def _acquire(stack: ExitStack, layout: Layout, deadline: float) -> None:
    """Lock the store until `stack` is closed. Waits until `deadline` (a `time.monotonic`)."""
    # Both are in the file: a kill ends the worker, but only its program gives the store up.
    holder = f"{os.getpid()} {os.getppid()}"
    while True:
        with ExitStack() as attempt:
            if attempt.enter_context(locked(layout.lock_path, holder)):
                stack.push(attempt.pop_all())
                return
        if time.monotonic() > deadline:
            raise StoreInUse(
                f"the store in {layout.directory} is in use by process {layout.holder()}. Use its "
                "service with --url, or stop it"
            )
        time.sleep(_POLL_S)


class EngineDied(Exception):
    """The worker process has died: it is unknown whether its last call took effect."""


class Worker:
    """A running worker process, as its parent sees it, for the event loop that started it.

    is_alive: False once it has died, or was ended.
    """

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self.is_alive = True
        self._process = process
        self._pipe = pipe
        self._waiting: deque[tuple[asyncio.Future[Any], memoryview]] = deque()
        self._sent: deque[tuple[asyncio.Future[Any], int]] = deque()
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._receive)

    @classmethod
    async def start(cls, settings: EdgeSettings) -> Worker:
        """Start a worker, which opens the store. Raises the errors of `OpenStore.open`."""
        context = multiprocessing.get_context("spawn")
        pipe, its_end = context.Pipe()
        with socket.socket(fileno=os.dup(pipe.fileno())) as ends_at:
            ends_at.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * _AHEAD)
        process = context.Process(target=_serve, args=(its_end, settings), daemon=True)
        process.start()
        its_end.close()  # so that reading from the pipe fails when the worker dies
        worker = cls(process, pipe)
        try:
            await worker.run(OpenStore.ping)
        except BaseException as error:
            # The end of its process closes an engine that was opened in part.
            worker.kill()
            await asyncio.to_thread(process.join)
            if isinstance(error, EngineDied):
                raise Unavailable(f"the embedded engine did not start: {error}") from error
            raise
        return worker

    def submit(
        self,
        method: Callable[Concatenate[OpenStore, Parameters], Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> asyncio.Future[Answer]:
        """Send a call of a method of `OpenStore` to the worker. Returns its future answer.

        Raises EngineDied if the worker has died already. Errors that are not of this program's tree
        are logged, and become Unavailable.
        """
        if not self.is_alive:
            raise EngineDied(_CLOSED)
        call = ForkingPickler.dumps((method, arguments, named))
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((answer, call))
        self._send_next()
        return answer

    async def run(
        self,
        method: Callable[Concatenate[OpenStore, Parameters], Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run a method of `OpenStore` in the worker. Raises EngineDied if the worker dies."""
        return await self.submit(method, *arguments, **named)

    async def aclose(self) -> None:
        """Close the store and end the worker. A worker that does not close in time is killed."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.run(OpenStore.close)
        except (TimeoutError, EngineDied, RemembrancerError) as error:
            _log.warning("the embedded engine was not closed: %r", error)
            self.kill()
        self._end()  # the worker ends when its pipe is closed
        await asyncio.to_thread(self._process.join)

    def kill(self) -> None:
        """End the worker at once. The write-ahead log has everything that was acknowledged."""
        self.is_alive = False
        self._process.kill()

    def _send_next(self) -> None:
        """Send calls that wait. A long one is sent when the worker has answered all before it: then
        it reads, so that sending does not block.
        """
        while self._waiting:
            answer, call = self._waiting[0]
            ahead = sum(size for _, size in self._sent)
            if self._sent and ahead + len(call) > _AHEAD:
                return
            self._waiting.popleft()
            if answer.cancelled():
                continue
            self._sent.append((answer, len(call)))
            try:
                self._pipe.send_bytes(call)
            except OSError:
                self._end()

    def _receive(self) -> None:
        """Hand on the answer that the worker has sent."""
        try:
            succeeded, value = self._pipe.recv()
        except (EOFError, OSError):
            self._end()
            return
        answer, _ = self._sent.popleft()
        if not answer.done():
            if succeeded:
                answer.set_result(value)
            else:
                answer.set_exception(value)
        self._send_next()

    def _end(self) -> None:
        """Close the pipe. Calls that wait for an answer fail."""
        self.is_alive = False
        if self._pipe.closed:
            return
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._pipe.close()
        unanswered = [answer for answer, _ in (*self._sent, *self._waiting)]
        self._sent.clear()
        self._waiting.clear()
        for answer in unanswered:
            if not answer.done():
                answer.set_exception(EngineDied(_CLOSED))


def _serve(pipe: Connection, settings: EdgeSettings) -> None:
    """What the worker process does: open the store, then answer calls until the pipe is closed."""
    _prepare_process()
    try:
        opened = OpenStore.open(settings)
    except RemembrancerError as error:
        _refuse(pipe, error)
        return
    except OSError as error:
        _refuse(pipe, Unavailable(f"the store in {settings.directory} can't be opened: {error}"))
        return
    while True:
        try:
            method, arguments, named = pipe.recv()
        except EOFError:
            return
        pipe.send(_answered(opened, method, arguments, named))


def _refuse(pipe: Connection, error: RemembrancerError) -> None:
    """Answer the first call with the error that kept the store from being opened."""
    pipe.recv()
    pipe.send((False, error))


def _prepare_process() -> None:
    os.umask(0o077)  # files are readable by their owner alone
    # A terminal and systemd send these to all processes of a service. The parent ends the worker.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.dup2(2, 1)  # the parent's standard output may be a protocol, such as MCP
    threadpool_limits(1, user_api="blas")  # the matrices are small
    keep_freed_memory()
    exit_with_parent()


def _answered(
    opened: OpenStore,
    method: Callable[..., Any],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
) -> tuple[bool, Any]:
    """Whether the call of a method succeeded, and its answer or error."""
    try:
        return True, method(opened, *arguments, **named)
    except RemembrancerError as error:
        return False, error
    # Whatever it is, the parent must be able to unpickle it
    except Exception:  # noqa: BLE001
        _log.exception("a call of the embedded engine failed")
        return False, Unavailable("the embedded engine failed; see the log of the service")
