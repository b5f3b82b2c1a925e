"""Arrays in files beside a shard. A slot is the number of a point in the shard.

A RowFile is one array of rows. A RaggedFile has any number of rows for each slot. Rows are written to the file and read
through a memory map, so they survive the death of the process. Syncing the directory makes them survive a power cut.
"""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from memtypes.stores.files import sync_directory

LEAST_DEAD = 1 << 13
"""A RaggedFile with no more removed rows than this is not compacted."""

_PLACE = np.dtype((np.int64, 2))
_COPIED_AT_ONCE = 4096


class RowFile:
    """A file of rows of `dtype`, created if missing. Only one process may write to it."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._mapped: mmap.mmap | None = None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._count = os.fstat(self._handle).st_size // dtype.itemsize
        os.ftruncate(self._handle, self._count * dtype.itemsize)  # a last row that was not written whole

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[Any]:
        """All rows, read-only. If the file has grown, it is mapped into memory again."""
        if not self._count:
            return np.empty(0, self._dtype)
        size = self._count * self._dtype.itemsize
        if self._mapped is None or len(self._mapped) < size:
            self._mapped = mmap.mmap(self._handle, size, prot=mmap.PROT_READ)
        return np.frombuffer(self._mapped, self._dtype, self._count)

    def put(self, numbers: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Write `rows` at the row numbers in `numbers`. A gap after the present last row is filled with zeros."""
        if not len(numbers):
            return
        for run in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1):
            self._write(rows[run].tobytes(), int(numbers[run[0]]) * self._dtype.itemsize)
        self._count = max(self._count, int(numbers.max()) + 1)

    def append(self, rows: NDArray[Any]) -> int:
        """Write `rows` at the end of the file. Returns the row number of the first new row."""
        start = self._count
        self._write(rows.tobytes(), start * self._dtype.itemsize)
        self._count += len(rows)
        return start

    def zero(self, start: int, count: int) -> None:
        """Overwrite `count` rows from row `start` with zeros."""
        self._write(bytes(count * self._dtype.itemsize), start * self._dtype.itemsize)

    def close(self) -> None:
        """Close the file."""
        self._mapped = None  # unmapped when the last array of its rows is gone
        os.close(self._handle)

    def _write(self, content: bytes, offset: int) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._handle, content[written:], offset + written)


class RaggedFile:
    """Any number of rows for each slot (point number), in two files. Only one process may write to them.

    `vectors.bin` contains the rows; `places.bin` has, for each slot, its first row and its number of rows. A slot's
    rows are written first, then its entry in `places.bin`, then the engine's point. Removed rows are overwritten with
    zeros. On opening, a file with more removed rows than live ones is compacted.
    """

    name: ClassVar[str]
    """Name of the subdirectory of a shard's directory that contains the files."""

    row: ClassVar[np.dtype[Any]]
    """The dtype of a row."""

    @classmethod
    def beside(cls, shard: Path) -> Self:
        """Open the files of the shard in the directory `shard`. They are created if missing."""
        return cls(shard / cls.name)

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        _finish_compaction(directory)
        self._open()
        dead = len(self._content) - int(self._places.rows[:, 1].sum())
        if dead > max(LEAST_DEAD, len(self._content) // 2):
            self._compact()

    @property
    def content(self) -> NDArray[Any]:
        """The array with the rows of all points; `places_of` tells which rows belong to a slot (a point's number)."""
        return self._content.rows

    def places_of(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """First row and number of rows of each slot (point number), shape (slots, 2); zeros for a slot without rows."""
        known = self._places.rows
        places = np.zeros((len(slots), 2), dtype=np.int64)
        inside = slots < len(known)
        places[inside] = known[slots[inside]]
        return places

    def copy(self, source: Self, slots: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Copy the rows of the slots (point numbers) `slots` in `source` to the slots `new` in this file."""
        places = source.places_of(slots)
        filled = np.flatnonzero(places[:, 1])
        content = source.content
        self.set(new[filled], [content[start : start + count] for start, count in places[filled].tolist()])

    def set(self, slots: NDArray[np.int64], rows: Sequence[NDArray[Any]]) -> None:
        """Write the rows of each slot (point number). They replace the slot's earlier rows."""
        self.remove(slots)
        if rows:
            lengths = np.array([len(each) for each in rows], dtype=np.int64)
            start = self._content.append(np.concatenate(rows))
            self._places.put(slots, np.stack([start + np.cumsum(lengths) - lengths, lengths], axis=1))

    def remove(self, slots: NDArray[np.int64]) -> None:
        """Remove the rows of these slots (point numbers). Their bytes are overwritten with zeros."""
        places = self.places_of(slots)
        filled = np.flatnonzero(places[:, 1])
        self._places.put(slots[filled], np.zeros((len(filled), 2), dtype=np.int64))
        for start, count in places[filled].tolist():
            self._content.zero(start, count)

    def close(self) -> None:
        """Close both files."""
        self._content.close()
        self._places.close()

    def _open(self) -> None:
        self._content = RowFile(self.directory / "vectors.bin", self.row)
        self._places = RowFile(self.directory / "places.bin", _PLACE)
        torn = np.flatnonzero(self._places.rows.sum(axis=1) > len(self._content))  # a power cut took their rows
        self._places.put(torn, np.zeros((len(torn), 2), dtype=np.int64))

    def _compact(self) -> None:
        """Copy all rows that are not removed to a new directory, which then replaces this one with both its files."""
        fresh = type(self)(_sibling(self.directory, "new"))
        for start in range(0, len(self._places), _COPIED_AT_ONCE):
            slots = np.arange(start, min(start + _COPIED_AT_ONCE, len(self._places)))
            fresh.copy(self, slots, slots)
        fresh.close()
        sync_directory(fresh.directory)
        self.close()
        self.directory.rename(_sibling(self.directory, "old"))
        _finish_compaction(self.directory)
        self._open()


def _sibling(directory: Path, name: str) -> Path:
    return directory.with_name(f"{directory.name}.{name}")


def _finish_compaction(directory: Path) -> None:
    """Move a compacted directory into place if `directory` is missing. Deletes what a compaction left behind."""
    new, old = _sibling(directory, "new"), _sibling(directory, "old")
    if new.exists() and not directory.exists():
        new.rename(directory)
    for other in (new, old):
        shutil.rmtree(other, ignore_errors=True)


def row_numbers(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row numbers of several runs of rows, one after the other. Run i is `lengths[i]` rows from row `starts[i]`."""
    rows = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    rows += np.arange(len(rows))
    return rows
