"""What an import came to: counts that add up, and each bad row with its place and reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ingest.writing.outcome import WriteStatus

MAX_PROBLEMS = 10_000
"""Bad rows that are listed; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that was not kept. status: rejected or failed."""

    file: str
    line: int | None
    status: WriteStatus
    reason: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.status}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The end of an import.

    read: rows, which is the sum of counts. resumed: how many of them an earlier, interrupted run had finished. omitted:
    problems beyond those listed. skipped: files in folders that no reader is known for. stopped: why the import ended
    before the last row, if it did.
    """

    read: int
    counts: Mapping[WriteStatus, int]
    problems: tuple[Problem, ...]
    omitted: int
    resumed: int
    skipped: tuple[str, ...]
    stopped: str | None
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 when every row was stored or merged, else 1."""
        bad = self.counts[WriteStatus.REJECTED] + self.counts[WriteStatus.FAILED]
        return 1 if bad or self.stopped else 0

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {**asdict(self), "counts": {str(status): count for status, count in self.counts.items()}}


@dataclass(slots=True)
class Ledger:
    """Counts while an import runs."""

    counts: dict[WriteStatus, int] = field(default_factory=lambda: dict.fromkeys(WriteStatus, 0))
    problems: list[Problem] = field(default_factory=list)
    omitted: int = 0
    resumed: int = 0
    stopped: str | None = None

    @property
    def read(self) -> int:
        """Rows so far."""
        return sum(self.counts.values())

    def add(self, counts: Mapping[WriteStatus, int], bad: Iterable[Problem]) -> None:
        """Take the ends of some rows, and what was wrong with those that were not kept."""
        for status, count in counts.items():
            self.counts[status] += count
        for problem in bad:
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(problem)
            else:
                self.omitted += 1

    def report(self, skipped: tuple[str, ...], seconds: float) -> ImportReport:
        """The report, once nothing more is added."""
        return ImportReport(
            read=self.read,
            counts=dict(self.counts),
            problems=tuple(self.problems),
            omitted=self.omitted,
            resumed=self.resumed,
            skipped=skipped,
            stopped=self.stopped,
            seconds=seconds,
        )
