"""Similarity from two legs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.ranking.fusion import SHARES, SHARES_OF_TWO, similarity, stretched

cosines = st.lists(st.floats(-1, 1), min_size=1, max_size=30)
pairs = st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 60)), min_size=1, max_size=30)


def test_both_legs_count_by_their_share() -> None:
    """The best of both legs has 1, the worst of both 0, the best of one leg that leg's share."""
    fused = similarity(np.array([0.9, 0.1, 0.9]), np.array([12.0, 0.0, 0.0]))
    assert fused.tolist() == pytest.approx([1.0, 0.0, SHARES_OF_TWO.dense])
    late = similarity(np.array([0.9, 0.1, 0.1]), np.array([0.0, 12.0, 0.0]), np.array([0.1, 0.1, 0.4]))
    assert late.tolist() == pytest.approx(list(SHARES))


def test_a_leg_that_was_not_searched_leaves_its_share_to_the_other() -> None:
    """With one leg alone its best still reaches 1."""
    assert similarity(np.array([0.2, 0.4]), None).tolist() == [0.0, 1.0]
    assert similarity(None, np.array([3.0, 6.0])).tolist() == [0.5, 1.0]


def test_a_query_of_unknown_words_is_ranked_by_its_vector_alone() -> None:
    """A sparse leg in which nothing matches does not halve the similarity."""
    assert similarity(np.array([0.2, 0.4]), np.zeros(2)).tolist() == [0.0, 1.0]


def test_a_single_candidate_is_its_own_measure() -> None:
    """Being the only one does not make a memory similar."""
    assert similarity(np.array([0.07]), np.zeros(1)).tolist() == pytest.approx([0.07])
    assert similarity(np.array([-0.3]), np.zeros(1)).tolist() == [0.0]


def test_similarity_needs_a_leg() -> None:
    """Without any score there is nothing to fuse."""
    with pytest.raises(ValueError, match="at least one leg"):
        similarity(None, None)


def test_nothing_is_stretched_to_nothing() -> None:
    """No candidates, no scores."""
    assert stretched(np.array([])).size == 0


@given(pairs)
def test_similarity_lies_between_0_and_1(scores: list[tuple[float, float]]) -> None:
    """Whatever the legs say."""
    fused = similarity(np.array([d for d, _ in scores]), np.array([s for _, s in scores]))
    assert ((fused >= 0) & (fused <= 1)).all()


@given(pairs, st.integers(0, 29))
def test_more_of_a_leg_never_ranks_lower(scores: list[tuple[float, float]], chosen: int) -> None:
    """A candidate that is better in both legs than another is not below it."""
    dense, sparse = np.array([d for d, _ in scores]), np.array([s for _, s in scores])
    fused = similarity(dense, sparse)
    one = chosen % len(scores)
    worse = (dense <= dense[one]) & (sparse <= sparse[one])
    assert (fused[worse] <= fused[one] + 1e-9).all()


@given(cosines, st.randoms())
def test_the_order_of_candidates_does_not_matter(scores: list[float], chance: st.DataObject) -> None:
    """Each candidate's similarity is its own."""
    order = list(range(len(scores)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    straight = stretched(np.array(scores))
    assert stretched(np.array(scores)[order]).tolist() == straight[order].tolist()
