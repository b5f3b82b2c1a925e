"""Pages of a store's files: which are in this process's memory, and which in the system's cache.

The engine maps files that are far larger than what they hold, and its start reads through many of them, which then
count as this process's memory. Giving a page back loses nothing, as the file stays in the system's cache: it is mapped
again when it is next read. What is not in the cache is read from the disk, a page at a time, by whoever asks first: a
memory's text is a read, and an answer shows hundreds. Knows Linux alone, and does nothing elsewhere.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PART = 2
"""Files that are larger together than the free memory over this are left where they are."""

STEP = 16 << 20
"""Bytes between two pauses."""

PIECE = 1 << 20
"""Bytes of one read."""

PAUSE_S = 0.02
"""Others use the disk too."""

_LOGS = frozenset({"wal"})
"""Directories of what no question reads."""

MAPS = Path("/proc/self/maps")
MEMORY = Path("/proc/meminfo")

_log = logging.getLogger(__name__)

_DONTNEED = 4
"""MADV_DONTNEED of <sys/mman.h>."""


def give_back(directory: Path) -> None:
    """Unmap the pages of every shared mapping of a file under `directory`. Raises OSError.

    Nobody may open or close such a file meanwhile: the address would be another's.
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _shared(MAPS.read_text(encoding="utf-8", errors="surrogateescape"), os.path.realpath(directory)):
        if madvise(start, end - start, _DONTNEED):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


async def fetch(shards: Iterable[Path]) -> None:
    """Have the files of these directories in the system's cache, so that nobody waits for the disk."""
    steps = fetching(shards)
    try:
        while True:
            if await asyncio.to_thread(next, steps, None) is None:
                return
            await asyncio.sleep(PAUSE_S)
    except OSError:
        _log.exception("files could not be read ahead")


def fetching(shards: Iterable[Path]) -> Iterator[int]:
    """A step at a time, read the files of these directories, so that the system has them in its cache; the bytes read.

    To ask the system for them instead is left undone for most of a large file, and brings them near no processor.
    """
    files = sorted(_files(shards), key=_size)  # the largest are token vectors, of which a search needs the fewest
    read = bytearray(PIECE)
    if sys.platform != "linux" or sum(map(_size, files)) * PART > _free():
        return
    for file in files:
        try:
            handle = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            continue  # a shard that was written anew meanwhile
        try:
            for start in range(0, _size(file), STEP):
                yield sum(os.preadv(handle, [read], piece) for piece in range(start, start + STEP, PIECE))
        finally:
            os.close(handle)


def _files(shards: Iterable[Path]) -> list[Path]:
    found = (one for shard in shards for one in shard.rglob("*") if _LOGS.isdisjoint(one.parts))
    return [one for one in found if one.is_file()]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _free() -> int:
    """Bytes of memory that the system could give; 0 where it does not say."""
    lines = MEMORY.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 0)


def _shared(maps: str, directory: str) -> Iterator[tuple[int, int]]:
    """Start and end of each shared mapping of a file under `directory`. maps: lines as of `man 5 proc_pid_maps`."""
    for line in maps.splitlines():
        span, mode, *_, path = line.split(maxsplit=5)
        if mode.endswith("s") and path.startswith(directory + os.sep):
            start, end = span.split("-")
            yield int(start, 16), int(end, 16)
