"""Orders that are quicker than ordering everything, against ordering everything."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.ranking.order import ascending, beginnings, best_few, by_text, repeated

SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(-1, 1), max_size=40)
TEXTS = st.lists(
    st.uuids().map(str) | st.sampled_from(["", "a", "b", "abcdefgh", "abcdefghi", "abcdefgha"]), max_size=30
)


@given(SCORES, st.integers(1, 50))
def test_the_best_few_are_the_first_of_all_in_order(scores: list[float], count: int) -> None:
    """Whatever stands level, and however few there are."""
    whole = np.argsort(-np.array(scores, dtype=np.float64), kind="stable")[:count]
    assert best_few(np.array(scores, dtype=np.float64), count).tolist() == whole.tolist()


@given(SCORES)
def test_what_is_level_is_ordered_by_place(scores: list[float]) -> None:
    """The order is that of a stable sort."""
    assert ascending(np.array(scores)).tolist() == sorted(range(len(scores)), key=scores.__getitem__)


@given(TEXTS)
def test_texts_are_ordered_as_texts(texts: list[str]) -> None:
    """Short ones, equal ones and ones that begin alike too; equal ones by place."""
    column = np.array([one.encode() for one in texts], dtype=np.bytes_)
    assert by_text(column).tolist() == sorted(range(len(texts)), key=lambda place: (texts[place], place))


@given(st.lists(st.uuids().map(str), unique=True, min_size=2, max_size=20))
def test_beginnings_are_ordered_as_the_texts_are(texts: list[str]) -> None:
    """A smaller number is a text that stands before."""
    begun = beginnings(np.array([one.encode() for one in texts], dtype=np.bytes_)).tolist()
    assert sorted(begun) == [number for _, number in sorted(zip(texts, begun, strict=True))]
    assert len({UUID(one).bytes[:4] for one in texts}) <= len(set(begun))


@given(st.lists(st.integers(0, 9), max_size=30))
def test_repeated_values_are_told_by_their_places(values: list[int]) -> None:
    """All places of what stands more than once, and no others."""
    often = Counter(values)
    expected = [place for place, value in enumerate(values) if often[value] > 1]
    assert repeated(np.array(values, dtype=np.int64)).tolist() == expected
