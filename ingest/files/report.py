"""The report of an import, and its progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ingest.writing.outcome import WriteStatus

MAX_PROBLEMS = 10_000
"""Maximum number of bad rows that a report lists; the rest are only counted."""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row of a file that was not stored, and why. status: rejected or failed. line: None for the whole file."""

    file: str
    line: int | None
    status: WriteStatus
    reason: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.status}: {self.reason}"


@dataclass(slots=True)
class ImportReport:
    """The counts of an import, added up while it runs.

    problems: bad rows; omitted: how many more there are. resumed: rows that an earlier, interrupted run had finished.
    skipped: files in folders whose format is unknown. stopped: why the import ended before the last row, if it did.
    """

    skipped: tuple[str, ...] = ()
    counts: dict[WriteStatus, int] = field(default_factory=lambda: dict.fromkeys(WriteStatus, 0))
    problems: list[RowProblem] = field(default_factory=list)
    omitted: int = 0
    resumed: int = 0
    stopped: str | None = None
    seconds: float = 0.0

    @property
    def read(self) -> int:
        """Number of rows finished so far, including those of earlier runs."""
        return sum(self.counts.values())

    @property
    def exit_code(self) -> int:
        """Exit status of the command: 0 if every row was stored or merged, 1 if some were not or the import stopped."""
        bad = self.counts[WriteStatus.REJECTED] + self.counts[WriteStatus.FAILED]
        return 1 if bad or self.stopped else 0

    def add(self, counts: Mapping[WriteStatus, int], problems: Iterable[RowProblem]) -> None:
        """Add the counts by status of finished rows, and their problems up to `MAX_PROBLEMS`."""
        for status, count in counts.items():
            self.counts[status] += count
        for problem in problems:
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)
            else:
                self.omitted += 1

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {"read": self.read, **asdict(self), "counts": {str(name): count for name, count in self.counts.items()}}


class ImportProgress:
    """Interface for showing the progress of an import; this base class shows nothing."""

    def start(self, total: int | None) -> None:
        """Called when the import begins; `total` bytes are to be read, None if unknown."""

    def advance(self, position: int, rows: int) -> None:
        """Called after each batch: `position` bytes have been read and `rows` rows finished since the start."""

    def finish(self) -> None:
        """Called when the import has ended."""


class ProgressBar(ImportProgress):
    """A bar by bytes read, with rows, rows per second and time left; shows nothing if `console` is no terminal."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("importing"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]} rows, {task.fields[rate]:.0f}/s,"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task: TaskID | None = None

    def start(self, total: int | None) -> None:
        """Show the empty bar."""
        self._task = self._progress.add_task("import", total=total, rows=0, rate=0.0)
        self._progress.start()

    def advance(self, position: int, rows: int) -> None:
        """Show `position` bytes, `rows` rows and the rows per second."""
        if self._task is None:
            return
        elapsed = self._progress.tasks[self._task].elapsed or 0.0
        self._progress.update(self._task, completed=position, rows=rows, rate=rows / elapsed if elapsed else 0.0)

    def finish(self) -> None:
        """Remove the bar."""
        self._progress.stop()
