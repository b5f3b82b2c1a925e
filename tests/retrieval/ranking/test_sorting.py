"""Fast sorting functions, compared with plain sorting."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.ranking.sorting import (
    ascending,
    duplicate_positions,
    text_order,
    text_prefixes,
    top_positions,
)

SCORES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(-1, 1), max_size=40)
TEXTS = st.lists(
    st.uuids().map(str) | st.sampled_from(["", "a", "b", "abcdefgh", "abcdefghi", "abcdefgha"]),
    max_size=30,
)


@given(SCORES, st.integers(1, 50))
def test_top_positions_are_the_first_of_a_stable_sort(scores: list[float], count: int) -> None:
    expected = np.argsort(-np.array(scores, dtype=np.float64), kind="stable")[:count]
    assert top_positions(np.array(scores, dtype=np.float64), count).tolist() == expected.tolist()


@given(SCORES)
def test_ascending_breaks_ties_by_position(scores: list[float]) -> None:
    """`ascending` returns positions in the order of their scores; positions with equal scores keep
    their order.
    """
    assert ascending(np.array(scores)).tolist() == sorted(
        range(len(scores)), key=scores.__getitem__
    )


@given(TEXTS)
def test_texts_are_ordered_as_strings(texts: list[str]) -> None:
    column = np.array([text.encode() for text in texts], dtype=np.bytes_)
    assert text_order(column).tolist() == sorted(
        range(len(texts)), key=lambda index: (texts[index], index)
    )


@given(st.lists(st.uuids().map(str), unique=True, min_size=2, max_size=20))
def test_prefixes_sort_as_the_texts_do(texts: list[str]) -> None:
    """`text_prefixes` returns the first 8 characters of each id as a value that sorts as the id
    does.

    Ids that differ in these characters have different values.
    """
    prefixes = text_prefixes(np.array([text.encode() for text in texts], dtype=np.bytes_)).tolist()
    assert sorted(prefixes) == [prefix for _, prefix in sorted(zip(texts, prefixes, strict=True))]
    assert len({text[:8] for text in texts}) == len(set(prefixes))


@given(st.lists(st.integers(0, 9), max_size=30))
def test_duplicates_are_found_at_all_their_positions(values: list[int]) -> None:
    """The result has every position of a value that occurs more than once, and no other
    position.
    """
    counts = Counter(values)
    expected = [index for index, value in enumerate(values) if counts[value] > 1]
    assert duplicate_positions(np.array(values, dtype=np.int64)).tolist() == expected
