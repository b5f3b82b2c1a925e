"""An import from its first file to its report. Knows no command line and no store: items go to a sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import anyio

from ingest.files.delivery import deliver
from ingest.files.feed import Batch, Feed, open_readings
from ingest.files.items import RowOptions, check_mapping
from ingest.files.journal import Journal, Piece, file_identity, spans
from ingest.files.progress import ImportProgress, Quiet
from ingest.files.readers.formats import Format
from ingest.files.readers.sources import SourceFile, Sources, find_sources
from ingest.files.report import ImportReport, Ledger, Problem
from ingest.files.sinks import Sink
from ingest.writing.outcome import WriteOutcome, WriteStatus, count_statuses
from memtypes.model.policy import MemoryType
from memtypes.model.times import Clock, system_clock

_FAILED_BATCHES = 3
"""Batches in a row of which nothing was kept, after which the rest is not tried."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import and how.

    paths: files, folders, or - for stdin. destination: names the store; with the namespace it tells this import's
    journal from others. type, session_id, agent_id, mapping, extra_to_metadata: see `RowOptions`. format: None goes by
    the files' names, with by_shape by what they hold first. strict: stop at the first bad row. journal: the directory
    for it; None does without, so that an interrupted import begins anew.
    """

    paths: tuple[str, ...]
    namespace: str
    destination: str = ""
    type: MemoryType | None = None
    session_id: str | None = None
    agent_id: str | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    format: Format | None = None
    by_shape: bool = False
    strict: bool = False
    extra_to_metadata: bool = False
    journal: Path | None = None
    stdin: BinaryIO | None = None

    def sources(self) -> Sources:
        """The files to read. Raises InvalidRequest for paths, formats and mappings that can't be."""
        check_mapping(self.mapping)
        return find_sources(self.paths, self.format, by_shape=self.by_shape)

    def row_options(self) -> RowOptions:
        """The part that reading a row needs."""
        return RowOptions(self.type, self.session_id, self.agent_id, self.mapping, self.extra_to_metadata)

    def identity(self) -> list[Any]:
        """What makes two runs the same import, as plain JSON."""
        paths = [str(Path(path).absolute()).encode("utf-8", "surrogateescape").hex() for path in self.paths]
        options = [self.type, self.session_id, self.agent_id, sorted(self.mapping.items()), self.extra_to_metadata]
        return [self.destination, self.namespace, paths, self.format, self.by_shape, options]


async def run_import(
    request: ImportRequest, sink: Sink, progress: ImportProgress | None = None, clock: Clock = system_clock
) -> ImportReport:
    """The report of the whole import. Raises InvalidRequest as `sources` does, and for a journal that can't be kept."""
    sources = request.sources()
    journal = Journal.open(request.journal, request.identity())
    return await _Import(request, sink, progress or Quiet(), journal).run(sources, clock)


class _Import:
    def __init__(self, request: ImportRequest, sink: Sink, progress: ImportProgress, journal: Journal) -> None:
        self._request = request
        self._sink = sink
        self._progress = progress
        self._journal = journal
        self._ledger = Ledger()
        self._bytes_before = 0
        self._failed_in_a_row = 0

    async def run(self, sources: Sources, clock: Clock) -> ImportReport:
        started = anyio.current_time()
        self._progress.start(sources.size)
        try:
            for source in sources.files:
                await self._file(source, clock)
                if self._ledger.stopped:
                    break
        finally:
            self._progress.finish()
        complete = not self._ledger.stopped and not self._ledger.counts[WriteStatus.FAILED]
        self._journal.close(complete=complete)
        return self._ledger.report(sources.skipped, anyio.current_time() - started)

    async def _file(self, source: SourceFile, clock: Clock) -> None:
        identity = file_identity(source)
        finished = self._journal.finished(identity)
        self._resume(finished)
        done = spans(finished)
        with open_readings(source, self._request.stdin) as (readings, stream):
            feed = Feed(readings, self._request.row_options(), clock)
            while not self._ledger.stopped and (batch := await self._next(feed, done)):
                await self._hand_over(batch, identity)
                position = stream.tell() if source.size is not None else 0
                self._progress.advance(self._bytes_before + position, self._ledger.read)
        self._bytes_before += source.size or 0

    def _resume(self, finished: Sequence[Piece]) -> None:
        for piece in finished:
            self._ledger.add(piece.counts, piece.problems)
            self._ledger.resumed += piece.end - piece.first

    async def _next(self, feed: Feed, done: Sequence[tuple[int, int]]) -> Batch | None:
        """The next batch, read in a thread: a pipe may keep the reader waiting."""

        def read() -> Batch | None:
            return feed.next_batch(done, strict=self._request.strict)

        return await anyio.to_thread.run_sync(read)

    async def _hand_over(self, batch: Batch, identity: str | None) -> None:
        outcomes = await deliver(self._sink, batch.items)
        counts = count_statuses(outcomes)
        counts[WriteStatus.REJECTED] += len(batch.problems)
        bad = [*batch.problems, *_problems(batch, outcomes)]
        self._ledger.add(counts, bad)
        if identity is not None and not counts[WriteStatus.FAILED]:
            piece = Piece(identity, batch.first, batch.end, counts, tuple(bad))
            await anyio.to_thread.run_sync(self._journal.add, piece)
        self._judge(outcomes, bad)

    def _judge(self, outcomes: Sequence[WriteOutcome], bad: Sequence[Problem]) -> None:
        """Decide whether the import goes on."""
        if outcomes:
            nothing_kept = all(outcome.status is WriteStatus.FAILED for outcome in outcomes)
            self._failed_in_a_row = self._failed_in_a_row + 1 if nothing_kept else 0
        if self._request.strict and bad:
            self._ledger.stopped = f"stopped at the first bad row: {bad[0]}"
        elif self._failed_in_a_row >= _FAILED_BATCHES:
            self._ledger.stopped = (
                f"stopped after {_FAILED_BATCHES} batches of which nothing was kept: {bad[-1].reason}"
            )


def _problems(batch: Batch, outcomes: Sequence[WriteOutcome]) -> list[Problem]:
    return [
        Problem(file, line, outcome.status, outcome.reason or "no reason was given")
        for (file, line), outcome in zip(batch.places, outcomes, strict=True)
        if outcome.status in (WriteStatus.REJECTED, WriteStatus.FAILED)
    ]
