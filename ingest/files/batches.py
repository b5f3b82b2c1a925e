"""Cut one file into batches of items, skipping rows that an earlier run has finished."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from ingest.files.readers.rows import BadLine, Reading
from ingest.files.readers.sources import READERS, SourceFile
from ingest.files.report import RowProblem
from ingest.files.row_to_item import RowOptions, to_item
from ingest.screening.redaction.scan import redact
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest
from memtypes.model.times import Clock

BATCH_ROWS = 256
BATCH_CHARS = 4 * 1024 * 1024
"""Content characters after which a batch is full; as JSON it stays below the limit of a request body."""


@dataclass(slots=True)
class ItemBatch:
    """Rows `first` to `end` (exclusive) of a file.

    items: one per valid row. places: file and line of each item. problems: invalid rows. size: characters of content.
    """

    first: int
    end: int
    items: list[dict[str, Any]] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    size: int = 0

    def add(self, reading: Reading, options: RowOptions, now: datetime) -> None:
        """Add the next row of the file: as an item if it is valid, else as a problem."""
        self.end += 1
        if isinstance(reading, BadLine):
            self._reject(reading, reading.reason)
            return
        try:
            item = to_item(reading, options, now)
        except InvalidRequest as error:
            self._reject(reading, str(error))
            return
        self.items.append(item)
        self.places.append((reading.file, reading.line))
        self.size += len(item["content"])

    def _reject(self, reading: Reading, reason: str) -> None:
        # The reason may quote the row, so secrets are removed from it.
        self.problems.append(RowProblem(reading.file, reading.line, WriteStatus.REJECTED, redact(reason)))

    def is_full(self) -> bool:
        """Whether the batch is full, so that the next row starts another one."""
        return len(self.items) + len(self.problems) >= BATCH_ROWS or self.size >= BATCH_CHARS


def read_batches(
    readings: Iterator[Reading],
    options: RowOptions,
    clock: Clock,
    finished: Sequence[tuple[int, int]] = (),
    *,
    strict: bool = False,
) -> Iterator[ItemBatch]:
    """Yield `readings` in batches.

    finished: spans of row numbers to leave out, as (first, end) with `end` exclusive. strict: a bad row ends its batch.
    """
    batch: ItemBatch | None = None
    for row, reading in enumerate(readings):
        is_finished = any(first <= row < end for first, end in finished)
        if not is_finished:
            batch = batch or ItemBatch(row, row)
            batch.add(reading, options, clock())
        if batch is not None and (is_finished or batch.is_full() or (strict and batch.problems)):
            yield batch
            batch = None
    if batch is not None:
        yield batch


@contextmanager
def open_readings(source: SourceFile, stdin: BinaryIO | None) -> Iterator[tuple[Iterator[Reading], BinaryIO]]:
    """The rows of `source`, and the stream that they are read from. A file that can't be read is a single BadLine."""
    if source.path is None:
        stream: BinaryIO = stdin or io.BytesIO()
        yield READERS[source.format](stream, source.name), stream
        return
    try:
        stream = source.path.open("rb")
    except OSError as error:
        yield iter([_unreadable(source, error)]), io.BytesIO()
        return
    with stream:
        yield _until_error(READERS[source.format](stream, source.name), source), stream


def _until_error(readings: Iterator[Reading], source: SourceFile) -> Iterator[Reading]:
    try:
        yield from readings
    except OSError as error:
        yield _unreadable(source, error)


def _unreadable(source: SourceFile, error: OSError) -> BadLine:
    return BadLine(source.name, None, f"can't be read: {error.strerror or error}")
