"""The reports on imports of rows and of sessions, and the progress bar that is shown during an
import.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from ingest.conversations.sessions import MessageOutcome
from ingest.writing.outcome import WriteStatus

MAX_PROBLEMS = 10_000
"""Maximum number of bad rows that a report lists; the rest are only counted."""

_DETAIL = re.compile(r" \([^()]*\)|: \d+\.\d+$")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that was not stored, and why. status: rejected or failed.

    line: where it begins, from 1; None for the whole file. row: its number in the file, from 1;
    None if it is unknown.
    """

    file: str
    line: int | None
    status: WriteStatus
    reason: str
    row: int | None = None

    def __str__(self) -> str:
        location = self.file if self.line is None else f"{self.file}:{self.line}"
        # A line may have several rows
        if self.line is not None and self.row is not None and self.row > self.line:
            location += f", row {self.row}"
        return f"{location}: {self.status}: {self.reason}"


@dataclass(frozen=True, slots=True)
class FormerRow:
    """A memory whose row its file no longer has, what an import did with it, and why. text: its
    first line.

    change: "replaced", "ended", "kept", or "restored" if the file has the row again. fields: those
    that it set.
    """

    file: str
    id: str
    change: str
    why: str
    fields: dict[str, str | None] = field(default_factory=dict)
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.change}, {self.why}: {self.text:.80} ({self.id})"


@dataclass(slots=True)
class ImportReport:
    """The counts of an import of rows, added up while it runs.

    counts: rows by status. types: stored memories by type. problems: the first bad rows. omitted:
    number of further bad rows. former: memories whose rows a file no longer has. resumed: rows that
    an earlier, interrupted run had finished. skipped: files in folders whose format is unknown.
    stopped: why the import ended before the last row; None if it did not. seconds: how long it
    took.
    """

    skipped: tuple[str, ...] = ()
    counts: dict[WriteStatus, int] = field(default_factory=lambda: dict.fromkeys(WriteStatus, 0))
    types: dict[str, int] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)
    omitted: int = 0
    former: list[FormerRow] = field(default_factory=list)
    resumed: int = 0
    stopped: str | None = None
    seconds: float = 0.0

    @property
    def read(self) -> int:
        """Number of rows finished so far, including those of earlier runs."""
        return sum(self.counts.values())

    @property
    def exit_code(self) -> int:
        """Exit status: 1 if a row was rejected or failed, or the import stopped early; otherwise
        0.
        """
        bad = self.counts[WriteStatus.REJECTED] + self.counts[WriteStatus.FAILED]
        return 1 if bad or self.stopped else 0

    def add(self, counts: Mapping[WriteStatus, int], problems: Iterable[RowProblem]) -> None:
        """Add the counts by status and the problems of finished rows. The first `MAX_PROBLEMS`
        problems are kept.
        """
        for status, count in counts.items():
            self.counts[status] += count
        self.problems += problems
        self.omitted += len(self.problems[MAX_PROBLEMS:])
        del self.problems[MAX_PROBLEMS:]

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object; the names of its counts are statuses such as "stored"."""
        return {
            "read": self.read,
            **asdict(self),
            "counts": {str(name): count for name, count in self.counts.items()},
        }


@dataclass(slots=True)
class SessionReport:
    """Counts of what happened to the messages of a session import, added up while it runs.

    counts: messages by status. types: memories that were stored, by type. reasons: for rejected and
    for failed messages, how often each reason occurred. earlier: messages that an earlier import
    had sent. left_out: how many parts of transcripts did not become messages, by reason.
    namespaces: messages sent to each namespace. problems: files and sessions that could not be read
    or sent. stopped: why the import ended before the last message; None if it did not. seconds: how
    long it took.
    """

    counts: Counter[WriteStatus] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    reasons: dict[WriteStatus, Counter[str]] = field(
        default_factory=lambda: {
            status: Counter() for status in (WriteStatus.REJECTED, WriteStatus.FAILED)
        }
    )
    earlier: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    namespaces: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    stopped: str | None = None
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """Number of messages sent so far."""
        return self.counts.total()

    @property
    def exit_code(self) -> int:
        """Exit status: 1 if a message failed (not rejected), a file was unreadable or the import
        stopped; else 0.
        """
        return 1 if self.counts[WriteStatus.FAILED] or self.problems or self.stopped else 0

    def add(self, namespace: str, outcomes: Iterable[MessageOutcome]) -> None:
        """Add the outcomes of messages that were sent to `namespace`."""
        for outcome in outcomes:
            self.counts[outcome.status] += 1
            self.namespaces[namespace] += 1
            if outcome.status in self.reasons:
                # Reasons that differ only in figures, in brackets or after a colon, are counted as
                # one.
                reason = (
                    _DETAIL.sub("", outcome.reason) if outcome.reason else "no reason was given"
                )
                self.reasons[outcome.status][reason] += 1
            if outcome.status is WriteStatus.STORED:
                self.types.update(map(str, outcome.types))

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object, with the most frequent types, reasons and namespaces
        first.
        """
        return {
            "sent": self.sent,
            "counts": {str(status): self.counts[status] for status in WriteStatus},
            "types": dict(self.types.most_common()),
            "reasons": {
                str(status): dict(counter.most_common()) for status, counter in self.reasons.items()
            },
            "earlier": self.earlier,
            "left_out": dict(self.left_out.most_common()),
            "namespaces": dict(self.namespaces.most_common()),
            "problems": self.problems,
            "stopped": self.stopped,
            "seconds": self.seconds,
        }


class ProgressBar:
    """The progress bar of an import; not shown if `quiet` or if the console (by default stderr) is
    no terminal.

    unit: the plural noun after the count, such as "rows".
    """

    def __init__(
        self, unit: str = "rows", *, quiet: bool = False, console: Console | None = None
    ) -> None:
        done = TextColumn(f"{{task.fields[rows]}} {unit}, {{task.fields[rate]:.0f}}/s,")
        columns = (
            TextColumn("importing"),
            BarColumn(),
            TaskProgressColumn(),
            done,
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        console = console or Console(stderr=True)
        self._progress = Progress(
            *columns, console=console, disable=quiet or not console.is_terminal, transient=True
        )
        self._task: TaskID | None = None

    def start(self, total: int | None) -> None:
        """Show the empty bar. total: bytes or messages to import; None if unknown."""
        self._task = self._progress.add_task("import", total=total, rows=0, rate=0.0)
        self._progress.start()

    def advance(self, position: int, rows: int) -> None:
        """Update the bar. position: bytes or messages done since the start. rows: rows or messages
        finished.
        """
        if self._task is None:
            return
        elapsed = self._progress.tasks[self._task].elapsed or 0.0
        self._progress.update(
            self._task, completed=position, rows=rows, rate=rows / elapsed if elapsed else 0.0
        )

    def finish(self) -> None:
        """Remove the bar from the console."""
        self._progress.stop()
