"""Reports and progress of imports."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ingest.conversations.sessions import MessageOutcome
from ingest.files.report import MAX_PROBLEMS, ImportReport, ProgressBar, RowProblem, SessionReport
from ingest.screening.review.panel import decide
from ingest.writing.outcome import WriteStatus
from memtypes.model.memory import Tier, Vote


def test_problems_are_listed_up_to_a_limit() -> None:
    """A report lists bad rows up to a limit and only counts further ones, which bounds its
    memory.
    """
    report = ImportReport()
    problem = RowProblem("f", 1, WriteStatus.REJECTED, "no")
    report.add({WriteStatus.REJECTED: MAX_PROBLEMS + 5}, [problem] * (MAX_PROBLEMS + 5))
    assert (len(report.problems), report.omitted, report.read) == (
        MAX_PROBLEMS,
        5,
        MAX_PROBLEMS + 5,
    )
    assert str(RowProblem("f", None, WriteStatus.FAILED, "no")) == "f: failed: no"


@pytest.mark.parametrize(
    ("line", "row", "place"), [(2, 1, "f:2"), (2, 2, "f:2"), (1, 7, "f:1, row 7"), (None, 1, "f")]
)
def test_the_row_number_is_reported_if_a_line_has_several_rows(
    line: int | None, row: int, place: str
) -> None:
    assert str(RowProblem("f", line, WriteStatus.FAILED, "no", row)) == f"{place}: failed: no"


def test_reasons_that_differ_in_figures_are_counted_as_one() -> None:
    """A report of an import of sessions counts rejections by their reason without the scores that
    led to them.
    """
    report = SessionReport()
    for score in (3.0, 4.5):
        vote = Vote(reviewer="any", ok=True, scores={"relevance": score}, reason="because")
        verdict = decide([vote] * 3, Tier.CONSENSUS)
        report.add("shop", [MessageOutcome(WriteStatus.REJECTED, f"review: {verdict.reason}")])
    assert report.reasons[WriteStatus.REJECTED] == {"review: relevance is below 5": 2}


def shown(*, terminal: bool) -> str:
    """The text that a progress bar writes during an import, to a terminal or to a file."""
    out = io.StringIO()
    bar = ProgressBar(console=Console(file=out, force_terminal=terminal, width=100))
    bar.advance(1, 1)
    bar.start(100)
    bar.advance(50, 7)
    bar.finish()
    return out.getvalue()


def test_a_terminal_shows_a_bar_with_rows() -> None:
    """In a terminal the progress bar shows the share of bytes read and the number of rows."""
    assert "50%" in shown(terminal=True)
    assert "7 rows" in shown(terminal=True)


def test_a_pipe_shows_no_bar() -> None:
    """If the output is a file or a pipe, no progress is printed."""
    assert "rows" not in shown(terminal=False)
