"""Cuts one file into batches of items, passing over what an earlier run has finished. Knows no sink."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from ingest.files.items import RowOptions, to_item
from ingest.files.readers.formats import READERS
from ingest.files.readers.rows import BadLine, Reading
from ingest.files.readers.sources import SourceFile
from ingest.files.report import Problem
from ingest.screening.redaction.scan import redact
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest
from memtypes.model.times import Clock

BATCH_ROWS = 256
BATCH_CHARS = 4 * 1024 * 1024
"""Content of a batch, in characters; as JSON it stays below what a server takes as one body."""


@dataclass(slots=True)
class Batch:
    """Rows first to end (not included) of a file: the items to hand over with their places, and what was wrong."""

    first: int
    end: int
    items: list[dict[str, Any]] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    size: int = 0

    def take(self, reading: Reading, options: RowOptions, now: datetime) -> None:
        """Add the next row."""
        self.end += 1
        if isinstance(reading, BadLine):
            self._reject(reading.file, reading.line, reading.reason)
            return
        try:
            item = to_item(reading, options, now)
        except InvalidRequest as error:
            self._reject(reading.file, reading.line, str(error))
            return
        self.items.append(item)
        self.places.append((reading.file, reading.line))
        self.size += len(item["content"])

    def _reject(self, file: str, line: int | None, reason: str) -> None:
        self.problems.append(Problem(file, line, WriteStatus.REJECTED, redact(reason)))  # it may quote the row

    def is_full(self) -> bool:
        """Whether the batch is to be handed over before another row is taken."""
        return len(self.items) + len(self.problems) >= BATCH_ROWS or self.size >= BATCH_CHARS


class Feed:
    """The batches of one file."""

    def __init__(self, readings: Iterator[Reading], options: RowOptions, clock: Clock) -> None:
        self._readings = readings
        self._options = options
        self._clock = clock
        self._row = 0

    def next_batch(self, done: Sequence[tuple[int, int]], *, strict: bool) -> Batch | None:
        """The next rows that are in none of the spans `done`; None at the end. strict: a bad row ends the batch."""
        batch: Batch | None = None
        for reading in self._readings:
            row = self._row
            self._row += 1
            if any(first <= row < end for first, end in done):
                if batch is not None:
                    return batch
                continue
            batch = batch or Batch(row, row)
            batch.take(reading, self._options, self._clock())
            if batch.is_full() or (strict and batch.problems):
                return batch
        return batch


@contextmanager
def open_readings(source: SourceFile, stdin: BinaryIO | None) -> Iterator[tuple[Iterator[Reading], BinaryIO]]:
    """The rows of `source`, and the stream they come from; a file that can't be read gives one row that says so."""
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
        yield _guarded(READERS[source.format](stream, source.name), source), stream


def _guarded(readings: Iterator[Reading], source: SourceFile) -> Iterator[Reading]:
    try:
        yield from readings
    except OSError as error:
        yield _unreadable(source, error)


def _unreadable(source: SourceFile, error: OSError) -> BadLine:
    return BadLine(source.name, None, f"can't be read: {error.strerror or error}")
