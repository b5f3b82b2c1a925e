"""`python -m memtypes.stores.edge.process.server DIRECTORY`: the engine process of one store.

Answers one request at a time, and its connections take turns, so a query waits for at most one
batch of another client's write. Syncs the logs every second, so a power cut loses at most the
writes of the last second. Flushes shards to disk when no requests come. Ends `--linger` seconds
after its last client has disconnected, or on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from memtypes.model.errors import RemembrancerError, StoreInUse, Unavailable
from memtypes.stores.edge.engine.engine import EdgeEngine
from memtypes.stores.edge.layout import EngineProcess, Layout
from memtypes.stores.edge.process import wire
from memtypes.stores.files import locked, replace_file, socket_in, sync_directory
from memtypes.stores.operations.schema import Collection

SYNC_S = 1.0
QUIET_S = 0.5
"""Seconds without a request after which a shard is flushed, as a flush blocks the process for about
100 ms.
"""

WARM_PAUSE_S = 0.005
"""Seconds between two warm-up steps, so that warming up takes at most a quarter of the time."""

FLUSH_AT_LATEST_S = 60.0
FIRST_CLIENT_S = 30.0
REWRITE_AGAIN_S = 1.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class EngineServer:
    """Answers the clients of one engine. linger_s: seconds to keep running after the last client
    has left.
    """

    engine: EdgeEngine
    layout: Layout
    linger_s: float
    rewrite: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    clients: set[asyncio.Task[None]] = field(default_factory=set)
    requested_at: float = field(default_factory=time.monotonic)
    flushed_at: float = field(default_factory=time.monotonic)
    idle: asyncio.TimerHandle | None = None

    async def serve(self, listener: socket.socket) -> None:
        """Answer clients that connect to `listener`, until SIGTERM, SIGINT, or `linger_s` seconds
        without a client.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)
        self._stop_after(FIRST_CLIENT_S)
        server = await asyncio.start_unix_server(self._accept, sock=listener)
        upkeep = asyncio.create_task(self._upkeep())
        background = [asyncio.create_task(task) for task in (self._warm_up(), self._rewrite())]
        stopped = asyncio.create_task(self.stop.wait())
        try:
            # Upkeep ends only by an error, and an engine that can't sync must not acknowledge
            # further writes.
            done, _ = await asyncio.wait({upkeep, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            server.close()
            tasks = [upkeep, stopped, *background, *self.clients]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _stop_after(self, seconds: float) -> None:
        """Stop the server after `seconds`, unless a client connects before."""
        self.idle = asyncio.get_running_loop().call_later(seconds, self.stop.set)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is accepted in a task")
        self.clients.add(task)
        if self.idle is not None:
            self.idle.cancel()
        try:
            while True:
                number, request = await wire.read_message(reader)
                writer.write(await self._reply(number, request))
                await writer.drain()
                # Lets other connections run: reading buffered bytes does not yield to them
                await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has disconnected
        except ValueError as error:
            _log.warning("closed a connection that sent something other than a call: %s", error)
        finally:
            writer.close()
            self.clients.discard(task)
            if not self.clients:
                self._stop_after(self.linger_s)

    async def _reply(
        self, number: int, request: wire.Hello | wire.RewriteShards | wire.EngineCall
    ) -> bytes:
        """Run a request. Returns the framed reply: the answer or an error."""
        self.requested_at = time.monotonic()
        try:
            return wire.frame(wire.Reply(number, await self._answer(request)))
        except RemembrancerError as error:
            return wire.frame(wire.Reply(number, error=error))
        # A bug is logged and reported to the client; others are served
        except Exception:  # noqa: BLE001
            _log.exception("a request could not be answered")
            unavailable = Unavailable("the embedded engine failed; see its log")
            return wire.frame(wire.Reply(number, error=unavailable))

    async def _answer(self, request: wire.Hello | wire.RewriteShards | wire.EngineCall) -> object:
        """The answer to a request. A request to the engine runs without suspending, so it is
        atomic.
        """
        match request:
            case wire.Hello():
                return None
            case wire.RewriteShards(removed_by=removed_by):
                self.rewrite.set()
                return len(self.engine.with_deleted_bytes(removed_by))
            case wire.EngineCall(function=function, arguments=arguments, named=named):
                return await function(self.engine, *arguments, **named)

    async def _warm_up(self) -> None:
        """Cache the ranking fields of all memories, with pauses for requests. If it fails, searches
        fill the cache.
        """
        try:
            for _ in self.engine.warm():
                await asyncio.sleep(WARM_PAUSE_S)
        except Exception:  # noqa: BLE001 - nothing awaits this task, so its error is logged here
            _log.exception("the warm-up failed")

    async def _rewrite(self) -> None:
        """Rewrite the shards with deleted bytes whenever a client requests it. An error ends only
        the current run.
        """
        while True:
            await self.rewrite.wait()
            self.rewrite.clear()
            try:
                for kind in self.engine.with_deleted_bytes(time.time_ns()):
                    await self._rewrite_shard(kind)
            except Exception:  # noqa: BLE001 - a bug in one rewrite must not prevent later ones
                _log.exception("a shard with deleted bytes could not be rewritten")
                await asyncio.sleep(REWRITE_AGAIN_S)

    async def _rewrite_shard(self, kind: Collection) -> None:
        path = self.layout.next_path(kind)
        for _ in self.engine.copy_shard(kind, path):
            await asyncio.sleep(0)  # lets requests run
        self.layout.use_version(kind, path)
        self.engine.use_copy(kind)

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(SYNC_S)
            for log in self.engine.take_unsynced():
                await asyncio.to_thread(sync_directory, log)
            now = time.monotonic()
            if not self.engine.unflushed:
                self.flushed_at = now
            elif now - self.requested_at > QUIET_S or now - self.flushed_at > FLUSH_AT_LATEST_S:
                self.engine.flush_one()


@contextmanager
def _listening(layout: Layout) -> Iterator[socket.socket]:
    """Yield a listening socket. Meanwhile the file engine.json names its path and this process to
    clients.
    """
    path = socket_in(layout.directory, "engine.sock")
    # Left by a killed engine: the caller has the lock, so no engine runs
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(128)
        replace_file(
            layout.engine_path,
            msgspec.json.encode(EngineProcess(os.getpid(), str(path), wire.PROTOCOL)),
        )
        try:
            yield listener
        finally:
            layout.engine_path.unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def run_engine(layout: Layout, linger_s: float) -> None:
    """Serve the store of `layout` until the server stops. Raises StoreInUse if an engine serves it,
    or Unavailable.
    """

    async def serve() -> None:
        with _listening(layout) as listener:
            _report(b"{}")
            await EngineServer(engine, layout, linger_s).serve(listener)

    dimensions = layout.require_manifest().dimensions
    with locked(layout.engine_lock) as acquired:
        if not acquired:
            raise StoreInUse(f"another engine serves {layout.directory}")
        engine = EdgeEngine.open(layout.shard_paths(), dimensions)
        try:
            asyncio.run(serve())
        finally:
            engine.close()


def main() -> int:
    """Run the engine process. Returns 0 at its end, or 1 if it failed, with the error on standard
    output.
    """
    parser = argparse.ArgumentParser(prog="memtypes.stores.edge.process.server")
    parser.add_argument("directory", type=Path)
    parser.add_argument(
        "--linger", type=float, default=2.0, help="seconds to stay after the last client"
    )
    options = parser.parse_args()
    os.umask(0o077)  # files are readable by their owner alone
    try:
        run_engine(Layout(options.directory.resolve()), options.linger)
    except (RemembrancerError, OSError) as error:
        reported = error if isinstance(error, RemembrancerError) else Unavailable(str(error))
        _report(pickle.dumps(reported).hex().encode())
        return 1
    return 0


def _report(message: bytes) -> None:
    """Write `message` to standard output, for the program that started this process. Later output
    goes to the log.
    """
    # That program no longer waits; the next one finds this engine ready
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), message + b"\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    raise SystemExit(main())
