"""Imports rows from files: reads the files, writes the rows in batches, and reports how many were
stored.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Container, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import anyio

from ingest.files.journal import (
    FinishedRows,
    ImportedFiles,
    ImportJournal,
    WrittenRow,
    file_identity,
)
from ingest.files.readers.rows import BadLine, FileRow, Reading
from ingest.files.readers.sources import READERS, Format, SourceFile, Sources, find_sources
from ingest.files.reimport import MemoryCall, Reimport, written_rows
from ingest.files.report import ImportReport, ProgressBar, RowProblem
from ingest.files.row_to_item import RowOptions, check_mapping, to_item
from ingest.files.sessions import PATIENCE_S
from ingest.screening.redaction.scan import redact
from ingest.writing.outcome import WriteOutcome, WriteStatus, count_statuses, retried
from memtypes.model.errors import InvalidRequest, Overloaded, RemembrancerError, Unavailable
from memtypes.model.times import Clock, system_clock

BATCH_ROWS = 256
BATCH_CHARS = 4 * 1024 * 1024
"""Characters of content from which a batch is full; sent as JSON, it stays below the limit of a
request body.
"""

_MAX_FAILED_BATCHES = 3
"""Number of consecutive batches, every row of which failed, after which the import stops."""

WriteItems: TypeAlias = Callable[[list[dict[str, Any]]], Awaitable[Sequence[WriteOutcome]]]
"""Writes valid items of POST /v1/memories/batch, in this process or over HTTP; returns their
outcomes in order.

Raises a RemembrancerError if none of the items could be delivered.
"""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """The files to import, and the options of the import.

    paths: files, folders, or - for stdin. destination: name of the service or store that is written
    to. Imports into different destinations or namespaces have different journals. rows: options for
    turning rows into memories. format: the format of all files; None detects it for each file by
    its name. by_content: detect it by the file's contents first. strict: stop at the first bad row.
    journal: the folder of the journals; None means no journals. resume: whether an interrupted
    import goes on where it stopped.
    """

    paths: tuple[str, ...]
    namespace: str
    destination: str = ""
    rows: RowOptions = field(default_factory=RowOptions)
    format: Format | None = None
    by_content: bool = False
    strict: bool = False
    journal: Path | None = None
    resume: bool = True
    stdin: BinaryIO | None = None

    def sources(self) -> Sources:
        """The files to read. Raises InvalidRequest for an invalid path, format or field mapping."""
        check_mapping(self.rows.mapping)
        return find_sources(self.paths, self.format, by_content=self.by_content)

    def identity(self) -> list[Any]:
        """The values that identify this import's journal: destination, namespace, paths and
        options, as plain JSON.
        """
        paths = [
            str(Path(path).absolute()).encode("utf-8", "surrogateescape").hex()
            for path in self.paths
        ]
        return [
            self.destination,
            self.namespace,
            paths,
            self.format,
            self.by_content,
            asdict(self.rows),
        ]


async def run_import(
    request: ImportRequest,
    write: WriteItems,
    progress: ProgressBar | None = None,
    clock: Clock = system_clock,
    call: MemoryCall | None = None,
) -> ImportReport:
    """Import the files of `request`, storing rows with `write`. Raises InvalidRequest for a bad
    request or journal.

    call: by which memories of rows that a file no longer has are replaced or ended; None leaves
    them as they are.
    """
    sources = request.sources()
    journal = ImportJournal.open(request.journal if request.resume else None, request.identity())
    report = ImportReport(sources.skipped)
    reimport = None
    if call is not None:
        files = ImportedFiles.open(request.journal, request.destination)
        reimport = Reimport(request.namespace, files, call, clock)
    bar = progress or ProgressBar(quiet=True)
    await _Import(request, write, bar, journal, clock, report, reimport).run(sources)
    return report


@dataclass(slots=True)
class _Import:
    request: ImportRequest
    write: WriteItems
    progress: ProgressBar
    journal: ImportJournal
    clock: Clock
    report: ImportReport
    reimport: Reimport | None = None
    bytes_before: int = 0
    failed_batches: int = 0

    async def run(self, sources: Sources) -> None:
        started = anyio.current_time()
        self.progress.start(sources.size)
        try:
            for source in sources.files:
                await self._import_file(source)
                if self.report.stopped:
                    break
        finally:
            self.progress.finish()
        self.journal.close(
            complete=not self.report.stopped and not self.report.counts[WriteStatus.FAILED]
        )
        self.report.seconds = anyio.current_time() - started

    async def _import_file(self, source: SourceFile) -> None:
        identity = file_identity(source)
        problems = len(self.report.problems) + self.report.omitted
        written = list[WrittenRow]()
        finished = set[int]()
        for rows in self.journal.finished(identity):
            self.report.add(rows.counts, rows.problems)
            written += rows.written
            finished.update(range(rows.first, rows.end))
            self.report.resumed += rows.end - rows.first
        with open_readings(source, self.request.stdin) as (readings, stream):
            batches = read_batches(
                readings, self.request.rows, self.clock, finished, strict=self.request.strict
            )
            next_batch = partial(next, batches, None)
            # A pipe may block the reader, so it runs in a worker thread.
            while not self.report.stopped and (batch := await anyio.to_thread.run_sync(next_batch)):
                written += await self._import_batch(batch, identity)
                position = stream.tell() if source.size is not None else 0
                self.progress.advance(self.bytes_before + position, self.report.read)
        self.bytes_before += source.size or 0
        if self.reimport is not None and not self.report.stopped:
            complete = len(self.report.problems) + self.report.omitted == problems
            self.report.former += await self.reimport.finish(source, written, complete=complete)

    async def _import_batch(self, batch: ItemBatch, identity: str | None) -> list[WrittenRow]:
        """Write a batch, record the outcomes in report and journal, and return the rows that have
        an identifier.

        identity: the file's hash, under which the journal records the batch; None to record nothing
        there.
        """
        outcomes = await deliver(self.write, batch.items)
        counts = count_statuses(outcomes)
        counts[WriteStatus.REJECTED] += len(batch.problems)
        problems = batch.problems + [
            RowProblem(
                row.file, row.line, outcome.status, outcome.reason or "no reason was given", number
            )
            for row, number, outcome in zip(batch.rows, batch.numbers, outcomes, strict=True)
            if outcome.status in (WriteStatus.REJECTED, WriteStatus.FAILED)
        ]
        self.report.add(counts, problems)
        for item, outcome in zip(batch.items, outcomes, strict=True):
            if outcome.status is WriteStatus.STORED:
                kind = str(
                    outcome.classified.type
                    if outcome.classified
                    else item.get("type") or "of unknown type"
                )
                self.report.types[kind] = self.report.types.get(kind, 0) + 1
        written = written_rows(batch.rows, batch.items, outcomes)
        if identity is not None and not counts[WriteStatus.FAILED]:
            rows = FinishedRows(
                identity, batch.first, batch.end, counts, tuple(problems), tuple(written)
            )
            await anyio.to_thread.run_sync(self.journal.add, rows)
        if outcomes:
            self.failed_batches = (
                self.failed_batches + 1 if counts[WriteStatus.FAILED] == len(outcomes) else 0
            )
        if self.request.strict and problems:
            self.report.stopped = f"stopped at the first bad row: {problems[0]}"
        elif self.failed_batches >= _MAX_FAILED_BATCHES:
            reason = problems[-1].reason
            self.report.stopped = (
                f"stopped after {_MAX_FAILED_BATCHES} batches in which every row failed: {reason}"
            )
        return written


async def deliver(write: WriteItems, items: list[dict[str, Any]]) -> list[WriteOutcome]:
    """Write `items`; return the outcome of each, in order. An item that was not delivered is
    failed, with the reason.

    While the service is busy, limits calls or is unavailable, the write is retried: writing items
    twice is harmless. A batch that is refused as invalid was not stored at all. It is then halved
    again and again, until each invalid item is alone and rejected.
    """
    if not items:
        return []
    try:
        return [
            *await retried(lambda: write(items), Overloaded, Unavailable, patience_s=PATIENCE_S)
        ]
    except InvalidRequest as error:
        if len(items) == 1:
            # The service names the field as one of the batch's first item, which is this row.
            reason = ": ".join(map(str.strip, str(error).splitlines())).replace("items[0].", "")
            return [WriteOutcome(WriteStatus.REJECTED, reason=reason)]
        half = len(items) // 2
        return [*await deliver(write, items[:half]), *await deliver(write, items[half:])]
    except RemembrancerError as error:
        return [WriteOutcome(WriteStatus.FAILED, reason=str(error))] * len(items)


@dataclass(slots=True)
class ItemBatch:
    """Rows `first` to `end` (exclusive) of a file, to be written together.

    rows, numbers, items: the valid rows, the number of each in the file (from 1), and the item made
    of it. problems: the invalid rows. size: characters of the items' contents.
    """

    first: int
    end: int
    rows: list[FileRow] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    size: int = 0

    def add(self, reading: Reading, options: RowOptions, now: datetime) -> None:
        """Add what was read next, a row or bad line, to `items` if it is a valid memory, otherwise
        to `problems`.
        """
        self.end += 1
        if isinstance(reading, FileRow):
            try:
                item = to_item(reading, options, now)
            except InvalidRequest as error:
                reading = BadLine(reading.file, reading.line, str(error))
            else:
                self.rows.append(reading)
                self.numbers.append(self.end)
                self.items.append(item)
                self.size += len(item["content"])
        if isinstance(reading, BadLine):
            reason = redact(reading.reason)  # it may quote a secret of the row
            self.problems.append(
                RowProblem(reading.file, reading.line, WriteStatus.REJECTED, reason, self.end)
            )

    def is_full(self) -> bool:
        """Whether the batch has BATCH_ROWS rows or BATCH_CHARS characters, so that the next row
        begins a new one.
        """
        return len(self.items) + len(self.problems) >= BATCH_ROWS or self.size >= BATCH_CHARS


def read_batches(
    readings: Iterator[Reading],
    options: RowOptions,
    clock: Clock,
    finished: Container[int] = (),
    *,
    strict: bool = False,
) -> Iterator[ItemBatch]:
    """The rows of a file in batches of items.

    readings: what the file's reader returns, rows and bad lines. finished: numbers of rows to leave
    out, counted from
    0. strict: end a batch after a bad row.
    """
    batch: ItemBatch | None = None
    for row, reading in enumerate(readings):
        is_finished = row in finished
        if not is_finished:
            batch = batch or ItemBatch(row, row)
            batch.add(reading, options, clock())
        if batch is not None and (is_finished or batch.is_full() or (strict and batch.problems)):
            yield batch
            batch = None
    if batch is not None:
        yield batch


@contextmanager
def open_readings(
    source: SourceFile, stdin: BinaryIO | None
) -> Iterator[tuple[Iterator[Reading], BinaryIO]]:
    """Open the file `source`; return an iterator over its rows, and the stream from which it reads
    them.

    If opening or reading the file fails, the last row is a BadLine. stdin: the stream of a source
    without a path.
    """
    try:
        opened = (
            nullcontext(stdin or io.BytesIO()) if source.path is None else source.path.open("rb")
        )
    except OSError as error:
        yield iter([_unreadable(source, error)]), io.BytesIO()
        return
    with opened as stream:
        yield _until_error(source, stream), stream


def _until_error(source: SourceFile, stream: BinaryIO) -> Iterator[Reading]:
    try:
        yield from READERS[source.format](stream, source.name)
    except OSError as error:
        yield _unreadable(source, error)


def _unreadable(source: SourceFile, error: OSError) -> BadLine:
    return BadLine(source.name, None, f"can't be read: {error.strerror or error}")
