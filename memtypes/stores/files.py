"""Files and directories of embedded stores: replaced as a whole, locked by one process, closed to others."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from memtypes.model.errors import Unavailable

_POLL_S = 0.01

MAX_SOCKET_BYTES = 100
"""A unix socket's path may have about 104 bytes on macOS and 107 on Linux."""


def private_directory(path: Path) -> Path:
    """`path` without links, made for its owner alone where it does not exist. Raises Unavailable."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path.resolve(strict=True)
    except OSError as error:
        raise Unavailable(f"the directory {path} can't be used for memories: {error}") from error


def socket_in(directory: Path, name: str) -> Path:
    """Where to listen: in `directory`, or, where that path is too long, in an owner-only place for sockets."""
    own = directory / name
    if len(os.fsencode(own)) <= MAX_SOCKET_BYTES:
        return own
    return _place_for_sockets() / f"{hashlib.sha256(os.fsencode(own)).hexdigest()[:24]}.sock"


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` as a whole: whoever reads sees the old or the new one, after a power cut too."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    _sync(path.parent)


def sync_directory(directory: Path) -> None:
    """Return when a directory and the files in it are on the disk. Releases the GIL, so it may run in a thread.

    What its owner deletes meanwhile needs no syncing: a log that was flushed, a shard that was written anew. What is
    gone may have been renamed though, so all other names are looked at again.
    """
    with suppress(FileNotFoundError):
        gone: set[Path] = set()
        while lost := {path for path in directory.iterdir() if path not in gone and not _sync(path)}:
            gone |= lost
        _sync(directory)


def _sync(path: Path) -> bool:
    """Whether it was there to be put on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`, this process's id in it, if nobody does; whether it is held now."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
            yield True
    finally:
        os.close(handle)


@asynccontextmanager
async def locked_by(path: Path, deadline: float) -> AsyncIterator[bool]:
    """Hold the lock file `path` as `locked` does, and wait for it until `deadline`, of `time.monotonic`."""
    while True:
        with locked(path) as held:
            if held or time.monotonic() > deadline:
                yield held
                return
        await asyncio.sleep(_POLL_S)


def holder_of(path: Path) -> str:
    """The id of the process that took the lock file `path` last, as text."""
    return path.read_text(encoding="ascii").strip() or "unknown"


def _place_for_sockets() -> Path:
    """A directory for sockets that only this user can enter. Raises Unavailable when someone else made it."""
    path = Path(tempfile.gettempdir()) / f"remembrancer-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise Unavailable(f"{path}, where sockets are made, must be a directory that only its owner can enter")
    return path
