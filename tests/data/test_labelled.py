"""Counting how well the findings of a detector agree with the expected labels."""

from __future__ import annotations

from tests.data.labelled import count


def test_counts_compare_labels_with_findings() -> None:
    counts = count([("one", {"a", "b"}, {"a", "c"}), ("two", {"d"}, {"d"})])
    assert (counts.right, counts.extra, counts.missed) == (2, 1, 1)
    assert counts.precision == counts.recall == counts.f1 == 2 / 3
    assert str(counts).splitlines()[1] == "'one': expected ['a', 'b'], found ['a', 'c']"


def test_counts_of_nothing_are_zero() -> None:
    """Without labels and findings, precision, recall and F1 are 0."""
    counts = count([])
    assert (counts.precision, counts.recall, counts.f1) == (0.0, 0.0, 0.0)
