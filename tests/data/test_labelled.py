"""Counts of labelled texts."""

from __future__ import annotations

from tests.data.labelled import count


def test_counts_compare_labels_with_findings() -> None:
    """A label that was found is right, another finding is extra, a label without finding is missed."""
    counts = count([("one", {"a", "b"}, {"a", "c"}), ("two", {"d"}, {"d"})])
    assert (counts.right, counts.extra, counts.missed) == (2, 1, 1)
    assert counts.precision == counts.recall == counts.f1 == 2 / 3
    assert str(counts).splitlines()[1] == "'one': expected ['a', 'b'], found ['a', 'c']"


def test_counts_of_nothing_are_zero() -> None:
    """Without labels and findings every figure is 0."""
    counts = count([])
    assert (counts.precision, counts.recall, counts.f1) == (0.0, 0.0, 0.0)
