"""Arrays in files beside a shard. A slot is the number of a point in the shard.

A RowFile is one array of rows. A RaggedFile has any number of rows for each slot. Rows are written
to the file and read through a memory map, so they survive a crash of the process. Syncing the
directory makes them survive a power cut.
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

MIN_REMOVED = 1 << 13
"""A RaggedFile is compacted only if it has more removed rows than this."""

_SPAN = np.dtype((np.int64, 2))
_COPY_BATCH = 4096


class RowFile:
    """A file of rows of `dtype`, created if missing. Only one process may write to it."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._mapped: mmap.mmap | None = None
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._count = os.fstat(self._handle).st_size // dtype.itemsize
        os.ftruncate(self._handle, self._count * dtype.itemsize)  # cuts off an incomplete last row

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
        """Write `rows` at the row numbers in `numbers`. Rows skipped beyond the end of the file are
        zeros.
        """
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
        self._mapped = None  # unmapped when the last array of its rows is deleted
        os.close(self._handle)

    def _write(self, content: bytes, offset: int) -> None:
        written = 0
        while written < len(content):
            written += os.pwrite(self._handle, content[written:], offset + written)


class RaggedFile:
    """Any number of rows for each slot (point number), in two files. Only one process may write to
    them.

    `vectors.bin` contains the rows; `places.bin` has, for each slot, its first row and its number
    of rows. A slot's rows are written first, then its entry in `places.bin`, then the engine's
    point. Removed rows are overwritten with zeros. On opening, a file with more removed rows than
    live ones is compacted.
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
        removed = len(self._content) - int(self._spans.rows[:, 1].sum())
        if removed > max(MIN_REMOVED, len(self._content) // 2):
            self._compact()

    @property
    def content(self) -> NDArray[Any]:
        """The array of all rows. `spans` says which of them belong to a slot (point number)."""
        return self._content.rows

    def spans(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """First row and number of rows of each slot (point number), shape (slots, 2); zeros for a
        slot without rows.
        """
        stored = self._spans.rows
        spans = np.zeros((len(slots), 2), dtype=np.int64)
        written = slots < len(stored)
        spans[written] = stored[slots[written]]
        return spans

    def copy(self, source: Self, slots: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Copy the rows of the slots (point numbers) `slots` in `source` to the slots `new` in this
        file.
        """
        spans = source.spans(slots)
        filled = np.flatnonzero(spans[:, 1])
        content = source.content
        self.set(
            new[filled], [content[start : start + count] for start, count in spans[filled].tolist()]
        )

    def set(self, slots: NDArray[np.int64], rows: Sequence[NDArray[Any]]) -> None:
        """Write the rows of each slot (point number). They replace the slot's earlier rows."""
        self.remove(slots)
        if rows:
            lengths = np.array([len(array) for array in rows], dtype=np.int64)
            start = self._content.append(np.concatenate(rows))
            self._spans.put(
                slots, np.stack([start + np.cumsum(lengths) - lengths, lengths], axis=1)
            )

    def remove(self, slots: NDArray[np.int64]) -> None:
        """Remove the rows of these slots (point numbers). Their bytes are overwritten with
        zeros.
        """
        spans = self.spans(slots)
        filled = np.flatnonzero(spans[:, 1])
        self._spans.put(slots[filled], np.zeros((len(filled), 2), dtype=np.int64))
        for start, count in spans[filled].tolist():
            self._content.zero(start, count)

    def close(self) -> None:
        """Close both files."""
        self._content.close()
        self._spans.close()

    def _open(self) -> None:
        self._content = RowFile(self.directory / "vectors.bin", self.row)
        self._spans = RowFile(self.directory / "places.bin", _SPAN)
        # After a power cut
        incomplete = np.flatnonzero(self._spans.rows.sum(axis=1) > len(self._content))
        self._spans.put(incomplete, np.zeros((len(incomplete), 2), dtype=np.int64))

    def _compact(self) -> None:
        """Copy all rows that are not removed to files in a new directory, which then replaces this
        directory.
        """
        compacted = type(self)(_sibling(self.directory, "new"))
        for start in range(0, len(self._spans), _COPY_BATCH):
            slots = np.arange(start, min(start + _COPY_BATCH, len(self._spans)))
            compacted.copy(self, slots, slots)
        compacted.close()
        sync_directory(compacted.directory)
        self.close()
        self.directory.rename(_sibling(self.directory, "old"))
        _finish_compaction(self.directory)
        self._open()


def _sibling(directory: Path, name: str) -> Path:
    return directory.with_name(f"{directory.name}.{name}")


def _finish_compaction(directory: Path) -> None:
    """Move a compacted directory to `directory` if that is missing. Delete the other directories of
    a compaction.
    """
    new = _sibling(directory, "new")
    old = _sibling(directory, "old")
    if new.exists() and not directory.exists():
        new.rename(directory)
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)


def row_numbers(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row numbers of several spans of rows, concatenated. Span i has `lengths[i]` rows from row
    `starts[i]` on.
    """
    rows = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    rows += np.arange(len(rows))
    return rows
