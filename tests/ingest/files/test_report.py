"""Reports and progress of imports."""

from __future__ import annotations

import io

from rich.console import Console

from ingest.files.report import MAX_PROBLEMS, ImportProgress, ImportReport, ProgressBar, RowProblem
from ingest.writing.outcome import WriteStatus


def test_problems_are_listed_up_to_a_limit() -> None:
    """Further bad rows are counted only, so they do not fill the memory."""
    report = ImportReport()
    problem = RowProblem("f", 1, WriteStatus.REJECTED, "no")
    report.add({WriteStatus.REJECTED: MAX_PROBLEMS + 5}, [problem] * (MAX_PROBLEMS + 5))
    assert (len(report.problems), report.omitted, report.read) == (MAX_PROBLEMS, 5, MAX_PROBLEMS + 5)
    assert str(RowProblem("f", None, WriteStatus.FAILED, "no")) == "f: failed: no"


def shown(*, terminal: bool) -> str:
    """The output of a progress bar."""
    out = io.StringIO()
    bar: ImportProgress = ProgressBar(Console(file=out, force_terminal=terminal, width=100))
    bar.advance(1, 1)
    bar.start(100)
    bar.advance(50, 7)
    bar.finish()
    return out.getvalue()


def test_a_terminal_shows_a_bar_with_rows() -> None:
    """The share of bytes read and the rows are shown."""
    assert "50%" in shown(terminal=True)
    assert "7 rows" in shown(terminal=True)


def test_a_pipe_shows_no_bar() -> None:
    """Nothing is written to a file or a pipe."""
    assert "rows" not in shown(terminal=False)
