"""Share of labelled questions, in eight languages, whose named times are read as the windows that a
person means.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest

from memtypes.calendar import Window
from retrieval.query.named_times import time_windows
from tests.data.labelled import rows


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("named_times", 1.0),
        ("named_times_heldout", 0.9),
        ("named_spans", 0.95),
        ("named_spans_heldout", 0.9),
    ],
)
def test_named_times_are_read_as_meant(name: str, right: float) -> None:
    """Of the known files, nearly all questions are read as meant, of the others 90 %, and half of
    each language.
    """
    results: defaultdict[str, list[bool]] = defaultdict(list)
    for row in rows(name):
        results[row["language"]].append(_is_right(row))
    judged = [result for of_language in results.values() for result in of_language]
    assert len(results) >= 6
    assert sum(judged) / len(judged) >= right, results
    assert all(sum(of_language) / len(of_language) >= 0.5 for of_language in results.values()), (
        results
    )


def _is_right(row: dict[str, Any]) -> bool:
    """Whether each window of a labelled question is read, and at most one other: the same words in
    another year.

    No window may be read in a question that names no time.
    """
    wanted = [Window(_at(start), _at(end)) for start, end in row["windows"]]
    found = time_windows(row["text"], _at(row["asked_at"]))
    if not wanted:
        return not found
    return len(found) <= len(wanted) + 1 and all(
        any(_shared(each, other) >= 0.5 for other in found) for each in wanted
    )


def _shared(window: Window, other: Window) -> float:
    """The length of time that two windows share, as a part of the time from the first beginning to
    the last end.
    """
    common = min(window.end, other.end) - max(window.start, other.start)
    return common / (max(window.end, other.end) - min(window.start, other.start))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
