"""Starts the engine process of an embedded store, unless it runs already."""

from __future__ import annotations

import asyncio
import os
import pickle
import select
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import memtypes
from memtypes.model.errors import RemembrancerError, StoreInUse, Unavailable
from memtypes.stores.edge.layout import Layout
from memtypes.stores.files import holder_of, locked, locked_by

_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "OPENBLAS_NUM_THREADS": "1",  # the matrices are small
        # So that glibc keeps the memory of freed arrays: returning it to the
        "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
        # System took a quarter of the time of a search in 100,000 memories
        "MALLOC_TRIM_THRESHOLD_": str(1 << 27),
    }
)
_SERVER = "memtypes.stores.edge.process.server"


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Settings of an embedded store: its directory, its embedder, and timeouts in seconds.

    fingerprint, dimensions: of the embedder. timeout_s: for one request. start_timeout_s: for
    connecting to the engine process, which replays its log when it starts after a crash. linger_s:
    how long the engine runs without clients.
    """

    directory: Path
    fingerprint: str
    dimensions: int
    timeout_s: float = 30.0
    start_timeout_s: float = 60.0
    linger_s: float = 2.0


async def ensure_engine(layout: Layout, settings: EdgeSettings, deadline: float) -> int | None:
    """Start the engine process of a store, unless it runs. Returns the id of the started process,
    else None.

    A lock keeps programs that open a store at the same time from starting two engines. Raises
    EmbedderMismatch if the store was built with another embedder, StoreInUse if another program
    holds the lock until `deadline` (a value of `time.monotonic`), and Unavailable if the engine
    does not start.
    """
    async with locked_by(layout.opening_lock, deadline) as acquired:
        if not acquired:
            raise StoreInUse(
                f"process {holder_of(layout.opening_lock)} has been opening the store in "
                f"{layout.directory} for too "
                "long. Stop it, or use a running service with --url"
            )
        await asyncio.to_thread(layout.prepare, settings.fingerprint, settings.dimensions)
        if _is_running(layout):
            return None
        try:
            return await asyncio.to_thread(_start, layout, settings, deadline)
        except StoreInUse:
            # A program that no longer waits for its engine may have started one meanwhile: use that
            # one.
            if _is_running(layout):
                return None
            raise


def reap(pid: int) -> None:
    """Collect the exit status of the child process `pid` if it has ended, so that it does not
    remain a zombie.
    """
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # another thread has waited for it


def _is_running(layout: Layout) -> bool:
    with locked(layout.engine_lock) as free:
        return not free


def _start(layout: Layout, settings: EdgeSettings, deadline: float) -> int:
    """Start an engine process. Returns its id once it listens. Raises the error that it reports, or
    Unavailable.
    """
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"):
        with os.fdopen(writer, "wb"):  # closed here, so that the pipe ends with the engine
            pid = _spawn(layout, settings, writer)
        report = _read_line(reader, deadline)
    if report == b"{}\n":
        return pid
    reap(pid)
    raise _start_error(layout, report)


def _spawn(layout: Layout, settings: EdgeSettings, stdout: int) -> int:
    """Spawn the engine in a new session and return its process id. `Popen` would warn of a process
    that outlives it.
    """
    root = str(Path(memtypes.__file__).resolve().parent.parent)
    python_path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [
        sys.executable,
        "-P",
        "-m",
        _SERVER,
        str(layout.directory),
        "--linger",
        str(settings.linger_s),
    ]
    return os.posix_spawn(
        sys.executable,
        command,
        {**os.environ, "PYTHONPATH": python_path, **_ENVIRONMENT},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (
                os.POSIX_SPAWN_OPEN,
                2,
                str(layout.log_path),
                os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                0o600,
            ),
        ],
        setsid=True,
    )


def _read_line(handle: int, deadline: float) -> bytes:
    """Read the next line from the pipe `handle`. It is incomplete if the pipe ends or the deadline
    passes first.
    """
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(handle, 65_536) if ready else b""
        if not chunk:
            break
        line += chunk
    return line


def _start_error(layout: Layout, report: bytes) -> RemembrancerError:
    try:
        error: RemembrancerError = pickle.loads(bytes.fromhex(report.decode("ascii")))  # noqa: S301 - from the engine
    except (ValueError, EOFError):
        free = shutil.disk_usage(layout.directory).free // 2**20
        return Unavailable(
            f"the embedded engine did not start in time; see its log {layout.log_path}; "
            f"{free} MiB of the disk are free"
        )
    if isinstance(error, StoreInUse):
        return StoreInUse(
            f"the store in {layout.directory} is held by another process, which is not an "
            "engine of this program "
            f"({error}). Stop that process, or use a running service with --url"
        )
    return error
