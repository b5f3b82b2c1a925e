"""The embedded server: a child of whoever needs it first, found by the others, gone with its parent.

It listens on a unix socket in a private directory and on no port, and writes every change to its append-only file
before it answers. When it has gone, because its parent ended or by any other death, the next caller starts it again
with everything that it had acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from memtypes.model.errors import StoreInUse, Unavailable
from memtypes.stores.files import holder_of, locked_by, private_directory, socket_in
from memtypes.stores.redis.connection.binary import find_server
from memtypes.stores.redis.connection.child import tied

START_S = 20.0
STOP_S = 10.0
_POLL_S = 0.01

CONFIG = (
    *("--port", "0"),
    *("--unixsocketperm", "700"),
    *("--daemonize", "no"),
    *("--appendonly", "yes"),
    *("--appendfsync", "always"),  # `everysec` may hold a write back for two seconds on a busy disk
    *("--save", ""),
    *("--rdbcompression", "no"),  # erasure looks for what it has erased in the files
    *("--maxmemory-policy", "noeviction"),
    *("--databases", "1"),
)


@dataclass(slots=True)
class EmbeddedServer:
    """The server of one directory. Use it in one event loop, in the main thread: the child dies with its thread."""

    directory: Path
    socket: Path
    _process: subprocess.Popen[bytes] | None = None
    _starting: asyncio.Lock | None = None

    @classmethod
    def at(cls, directory: Path) -> EmbeddedServer:
        """The server of `directory`, which is made where there is none; nothing is started yet."""
        private = private_directory(directory)
        return cls(private, socket_in(private, "live.sock"), _starting=asyncio.Lock())

    async def ensure(self) -> None:
        """Return when a server answers on the socket, started here or by another process.

        Raises SetupRequired, StoreInUse or Unavailable.
        """
        if self._starting is None:
            raise RuntimeError("made by `at`")
        async with self._starting:
            deadline = time.monotonic() + START_S
            async with self._turn(deadline):
                if not await self._answers():
                    await self._start(deadline)

    async def stop(self) -> None:
        """End the server if it is this process's child; others start it again when they need it."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    @asynccontextmanager
    async def _turn(self, deadline: float) -> AsyncIterator[None]:
        """Hold the lock of those who look for a server and start one."""
        lock = self.directory / "opening.lock"
        async with locked_by(lock, deadline) as held:
            if not held:
                raise StoreInUse(f"process {holder_of(lock)} has been starting the live store for too long. Stop it")
            yield

    async def _answers(self) -> bool:
        """Whether a server says PONG on the socket."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_unix_connection(str(self.socket))
                try:
                    writer.write(b"PING\r\n")
                    return (await reader.readline()).startswith(b"+PONG")
                finally:
                    writer.close()
        return False

    async def _start(self, deadline: float) -> None:
        """Start a child and wait until it has read its file and answers."""
        if self._process is not None:
            await self.stop()
        binary = str(find_server())
        command = [binary, "--unixsocket", str(self.socket), "--dir", str(self.directory), *CONFIG]
        with (self.directory / "server.log").open("ab") as log:
            # Not through asyncio: it would be started by the thread that calls, which is the one it lives with.
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - a binary of ours, and starting takes a millisecond
                tied(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not await self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"the live store did not start; its log is {self.directory / 'server.log'}")
            await asyncio.sleep(_POLL_S)
