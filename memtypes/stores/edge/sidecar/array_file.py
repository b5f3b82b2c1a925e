"""An array that lives in a file: rows of one form, told by their number. Knows nothing of what a row says.

It is written through the file and read through a mapping of it, so what was written survives the death of the process;
syncing the directory makes it survive the death of the machine.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class RowFile:
    """Rows of `dtype` in a file, made where there is none. One process writes it."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._mapped: mmap.mmap | None = None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._count = os.fstat(self._handle).st_size // dtype.itemsize
        os.ftruncate(self._handle, self._count * dtype.itemsize)  # the end of a row that was not written whole

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[Any]:
        """All rows as they are now, not to be written to; mapped anew after there have come more."""
        if not self._count:
            return np.empty(0, self._dtype)
        size = self._count * self._dtype.itemsize
        if self._mapped is None or len(self._mapped) < size:
            self._mapped = mmap.mmap(self._handle, size, prot=mmap.PROT_READ)
        return np.frombuffer(self._mapped, self._dtype, self._count)

    def put(self, numbers: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Write each of `rows` at its number; what lies between the last row and a new one is zeros."""
        if not len(numbers):
            return
        for run in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1):
            self._write(rows[run].tobytes(), int(numbers[run[0]]) * self._dtype.itemsize)
        self._count = max(self._count, int(numbers.max()) + 1)

    def append(self, rows: NDArray[Any]) -> int:
        """The number of the first of `rows`, which come after all others."""
        start = self._count
        self._write(rows.tobytes(), start * self._dtype.itemsize)
        self._count += len(rows)
        return start

    def zero(self, start: int, count: int) -> None:
        """Write zeros over `count` rows."""
        self._write(bytes(count * self._dtype.itemsize), start * self._dtype.itemsize)

    def sync(self) -> None:
        """Return when every row is on the disk."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Let go of the file."""
        self._mapped = None  # unmapped when the last row that was read is gone
        os.close(self._handle)

    def _write(self, content: bytes, offset: int) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._handle, content[written:], offset + written)
