"""Similarity: fusion of dense and sparse search, and late interaction of token vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from retrieval.ranking.neighbours import neighbours_of
from retrieval.ranking.similarity import (
    ENCODED,
    IN_SESSION,
    MIN_MATCH,
    NEXT,
    SHARES,
    SHARPNESS,
    TWO_AWAY,
    late_similarity,
    normalised,
    similarity,
    token_weights,
)
from tests.candidates import CandidateRow, make_candidates

cosines = st.lists(st.floats(-1, 1), min_size=1, max_size=30)
pairs = st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 60)), min_size=1, max_size=30)


def test_each_search_counts_by_its_share() -> None:
    """A candidate that is best in all searches (dense, sparse, late) has similarity 1.

    A candidate that is best in one search only has the share of this search in SHARES.
    """
    fused = similarity(np.array([0.9, 0.1, 0.9]), np.array([12.0, 0.0, 0.0]))
    assert fused.tolist() == pytest.approx(
        [1.0, 0.0, SHARES.dense / (SHARES.dense + SHARES.sparse)]
    )
    late = similarity(
        np.array([0.9, 0.0, 0.0]), np.array([0.0, 12.0, 0.0]), np.array([0.1, 0.1, 0.4])
    )
    assert late.tolist() == pytest.approx(list(SHARES))


def test_a_word_in_the_unread_part_of_a_long_text_counts_in_full() -> None:
    """If only one text has the query's words, and it is too long for the encoder, its similarity is
    1.

    A text that the encoder reads in whole gets at most the weight of the sparse search.
    """
    dense = np.array([0.9, 0.0])
    sparse = np.array([0.0, 12.0])
    late = np.array([0.4, 0.1])
    lengths = np.array([20, ENCODED + 1])
    assert similarity(dense, sparse, late, lengths).tolist() == pytest.approx(
        [SHARES.dense + SHARES.late, 1.0]
    )
    read_in_full = similarity(dense, sparse, late, np.array([20, ENCODED]))
    assert read_in_full[1] == pytest.approx(SHARES.sparse)


def test_a_single_search_has_the_full_weight() -> None:
    """If only the dense or only the sparse search was made, its best candidate has similarity 1."""
    assert similarity(np.array([0.2, 0.4]), None).tolist() == [0.0, 1.0]
    assert similarity(None, np.array([3.0, 6.0])).tolist() == [0.5, 1.0]


def test_a_sparse_search_without_matches_is_ignored() -> None:
    """If no candidate contains a word of the query, the similarity comes from the dense scores
    alone.
    """
    assert similarity(np.array([0.2, 0.4]), np.zeros(2)).tolist() == [0.0, 1.0]


def test_a_single_candidate_keeps_its_score() -> None:
    """The similarity of a single candidate is its dense score, or 0 if that is negative. It is not
    scaled up to 1.
    """
    assert similarity(np.array([0.07]), np.zeros(1)).tolist() == pytest.approx([0.07])
    assert similarity(np.array([-0.3]), np.zeros(1)).tolist() == [0.0]


def test_similarity_needs_the_scores_of_a_search() -> None:
    """Computing similarity without the scores of any search raises an error."""
    with pytest.raises(ValueError, match="at least one leg"):
        similarity(None, None)


def test_normalising_an_empty_array_gives_an_empty_array() -> None:
    """Normalising an array without scores returns it without an error."""
    assert normalised(np.array([]), 0.0).size == 0


@given(pairs)
def test_similarity_lies_between_0_and_1(scores: list[tuple[float, float]]) -> None:
    """For any scores of dense, sparse and late-interaction search, the similarity is from 0 to
    1.
    """
    fused = similarity(np.array([d for d, _ in scores]), np.array([s for _, s in scores]))
    assert ((fused >= 0) & (fused <= 1)).all()


@given(pairs, st.integers(0, 29))
def test_similarity_is_monotonic_in_both_searches(
    scores: list[tuple[float, float]], chosen: int
) -> None:
    """If a candidate's dense and sparse scores are at least as high as another's, its similarity is
    not lower.
    """
    dense = np.array([d for d, _ in scores])
    sparse = np.array([s for _, s in scores])
    fused = similarity(dense, sparse)
    index = chosen % len(scores)
    worse = (dense <= dense[index]) & (sparse <= sparse[index])
    assert (fused[worse] <= fused[index] + 1e-9).all()


@given(cosines, st.randoms())
def test_normalised_scores_do_not_depend_on_the_order(
    scores: list[float], chance: st.DataObject
) -> None:
    """normalised() gives a candidate the same score if the candidates are in another order."""
    order = list(range(len(scores)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    straight = normalised(np.array(scores), 0.0)
    assert normalised(np.array(scores)[order], 0.0).tolist() == straight[order].tolist()


def candidate(
    number: int,
    late: list[float] | None = None,
    session: str | None = "s",
    kind: MemoryType = MemoryType.EPISODIC,
) -> CandidateRow:
    """A candidate that is the turn with sequence number `number` in a session. late: cosine for
    each query token.
    """
    payload = {"seq": number} if session is None else {"seq": number, "session_id": session}
    return CandidateRow(
        f"{number:03}",
        kind,
        0.5,
        None,
        payload,
        None if late is None else np.array(late, np.float32),
    )


def late_scores(candidates: list[CandidateRow]) -> list[float]:
    """The late-interaction scores of the candidates. Fails if `late_similarity` returns None."""
    columns = make_candidates(candidates)
    scores = late_similarity(columns, neighbours_of(columns))
    assert scores is not None
    return [float(score) for score in scores]


def test_a_discriminating_token_counts_more() -> None:
    """A query token that matches few candidates has more weight than one that matches all
    candidates alike.
    """
    rows = [[0.9, 0.2], [0.8, 0.9], [0.9, 0.2], [0.85, 0.1]]
    scores = late_scores([candidate(10 * number, row) for number, row in enumerate(rows)])
    assert scores.index(max(scores)) == 1
    common, rare = token_weights(np.array(rows))
    assert rare > 5 * common


def test_token_matches_of_neighbouring_turns_count_in_part() -> None:
    """A query token that a turn does not contain counts in part if another turn of the session
    contains it.

    It counts most in an adjacent turn, less two turns away, and least elsewhere in the session.
    """
    rows = [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    matches = [
        (NEXT, 1.0),
        (1.0, NEXT),
        (NEXT, TWO_AWAY),
        (TWO_AWAY, IN_SESSION),
        (IN_SESSION, IN_SESSION),
    ]
    expected = [
        np.sqrt((first + MIN_MATCH) * (second + MIN_MATCH)) / (1 + MIN_MATCH)
        for first, second in [*matches, matches[-1]]
    ]
    assert late_scores(
        [candidate(number, row) for number, row in enumerate(rows)]
    ) == pytest.approx(expected)
    assert SHARPNESS > 1


def test_a_fair_match_of_every_token_beats_a_good_match_of_half_of_them() -> None:
    """A memory that matches the whole query fairly ranks above a memory that matches half of it
    well.
    """
    rows = {"a": [0.6, 0.6], "b": [0.95, 0.1], "c": [0.1, 0.95]}
    both, first, second = late_scores([candidate(1, row, session) for session, row in rows.items()])
    assert both > max(first, second)


def test_candidates_without_token_vectors_have_late_score_0() -> None:
    """A candidate without token vectors has the late-interaction score 0.

    If none has token vectors, the result is None.
    """
    nan = float("nan")
    assert late_scores([candidate(1, [1.0]), candidate(2, [nan]), candidate(3)])[1:] == [0.0, 0.0]
    without: list[list[list[float] | None]] = [[None, None], [[nan], [nan]], [[], []]]
    for rows in without:
        columns = make_candidates([candidate(number, row) for number, row in enumerate(rows)])
        assert late_similarity(columns, neighbours_of(columns)) is None


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 20), st.integers(1, 8)), elements=st.floats(0, 1)
    )
)
def test_token_weights_are_positive_and_sum_to_1(cosines: NDArray[np.float64]) -> None:
    """The weights of the query's tokens, computed from any cosines, are not negative and sum to
    1.
    """
    weights = token_weights(cosines)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)


def test_the_worst_of_a_few_candidates_may_be_a_good_match() -> None:
    """The worse of two good matches has a similarity above 0.6: 0 is for memories whose tokens
    match nothing.
    """
    best, second = similarity(
        np.array([0.6, 0.5]), np.array([9.0, 6.0]), np.array([0.5, 0.4])
    ).tolist()
    assert best == pytest.approx(1.0)
    assert 0.6 < second < 1.0
