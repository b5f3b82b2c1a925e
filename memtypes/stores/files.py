"""File operations of embedded stores: atomic replacement, syncing, locks between processes, private
directories.
"""

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

PRIVATE = 0o600
"""Permissions of a file that only its owner may read and write."""

_POLL_S = 0.01

MAX_SOCKET_BYTES = 100
"""Maximum length of a unix socket's path in this program; systems allow about 104 bytes (macOS) and
107 (Linux).
"""


def private_directory(path: Path) -> Path:
    """Create the directory `path` for its owner only, if missing. Returns its real path. Raises
    Unavailable.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path.resolve(strict=True)
    except OSError as error:
        raise Unavailable(
            f"the directory {path} can't be used for memories: {error}; use another one"
        ) from error


def socket_in(directory: Path, name: str) -> Path:
    """The path for a unix socket: `directory/name`, or one in a private temporary directory if that
    is too long.
    """
    path = directory / name
    if len(os.fsencode(path)) <= MAX_SOCKET_BYTES:
        return path
    private = Path(tempfile.gettempdir()) / f"remembrancer-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise Unavailable(
            f"{private}, where sockets are created, must be a directory that only its "
            "owner can enter"
        )
    return private / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:24]}.sock"


def replace_file(path: Path, content: bytes, mode: int | None = PRIVATE) -> None:
    """Replace the file at `path` atomically, also if the power fails. mode: permission bits; None
    for the default.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        with os.fdopen(os.open(temporary, flags, 0o666 if mode is None else PRIVATE), "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def sync_directory(directory: Path) -> None:
    """Sync a directory and its files to the disk, also files that are renamed meanwhile. Releases
    the GIL.
    """
    with suppress(FileNotFoundError):
        renamed: set[Path] = set()
        while missing := {
            path for path in directory.iterdir() if path not in renamed and not _sync(path)
        }:
            renamed |= missing
        _sync(directory)


def _sync(path: Path) -> bool:
    """Sync a file or directory to the disk. Returns False if it is missing."""
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
def locked(path: Path, holder: str = "") -> Iterator[bool]:
    """Lock the file `path`, and write `holder` to it, by default this process's id. Yields False if
    another has it. Raises Unavailable.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise Unavailable(
            f"the lock file {path} cannot be written: {error.strerror}; make it a file "
            "that this user may write"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            os.ftruncate(handle, 0)
            os.write(handle, (holder or str(os.getpid())).encode())
            yield True
    finally:
        os.close(handle)


@asynccontextmanager
async def locked_by(path: Path, deadline: float) -> AsyncIterator[bool]:
    """Like `locked`, but waits for the lock until `deadline` (a `time.monotonic`). Then yields
    False.
    """
    while True:
        with locked(path) as acquired:
            if acquired or time.monotonic() > deadline:
                yield acquired
                return
        await asyncio.sleep(_POLL_S)


def holder_of(path: Path) -> str:
    """What the last holder wrote to the lock file `path`: ids of processes; "unknown" if it is
    empty.
    """
    return path.read_text(encoding="ascii", errors="replace").strip() or "unknown"
