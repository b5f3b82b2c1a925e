"""What is measured on texts in six languages."""

from __future__ import annotations

from collections import Counter

from benchmarks.unseen.measure import Findings, filtered, marked, redacted, rows_of


def test_a_mark_says_where_the_secret_stands() -> None:
    """Marks and tildes are no part of the text."""
    assert marked("call [[01~2]] or [[3]]") == ("call 012 or 3", [(5, 8), (12, 13)])


def test_the_sets_are_whole() -> None:
    """Sixty texts a task; fifteen of each type."""
    assert [len(rows_of(name)) for name in ("captured", "secrets", "typed")] == [60, 60, 60]
    assert set(Counter(row["type"] for row in rows_of("typed")).values()) == {15}


def test_what_was_mended_stays_so() -> None:
    """Little is dropped or taken out that should not be, and little is left."""
    for found, least in ((filtered(), 0.9), (redacted(), 0.95), (filtered("_later"), 0.8), (redacted("_later"), 0.9)):
        assert min(found.precision, found.recall) >= least, found.wrong


def test_nothing_found_is_no_error() -> None:
    """Precision and recall of nothing are 0."""
    nothing = Findings(0, 0, 0, ())
    assert (nothing.precision, nothing.recall) == (0.0, 0.0)
