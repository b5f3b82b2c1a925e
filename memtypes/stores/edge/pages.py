"""Gives back the pages of files that opening a store has touched: they count as this process's memory.

The engine maps files that are far larger than what they hold, and its start reads through many of them. Giving a page
back loses nothing, as the file stays in the system's cache: it is mapped again when it is next read. Knows Linux alone,
and does nothing elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MAPS = Path("/proc/self/maps")

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


def _shared(maps: str, directory: str) -> Iterator[tuple[int, int]]:
    """Start and end of each shared mapping of a file under `directory`. maps: lines as of `man 5 proc_pid_maps`."""
    for line in maps.splitlines():
        span, mode, *_, path = line.split(maxsplit=5)
        if mode.endswith("s") and path.startswith(directory + os.sep):
            start, end = span.split("-")
            yield int(start, 16), int(end, 16)
