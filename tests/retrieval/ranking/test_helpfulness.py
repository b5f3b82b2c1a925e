"""The certainty that a hit helps to answer the question.

Hits whose certainty is below the relevance floor are left out.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import Candidates
from retrieval.columns import COLUMNS
from retrieval.ranking.helpfulness import certainty_of, combined_certainty
from tests.candidates import CandidateRow, make_candidates

TOKENS = np.eye(3, 128, dtype=np.int8) * np.int8(127)
NO_TERMS = np.empty(0, dtype=np.uint16)

probabilities = st.floats(0.0, 1.0)


def hits(*late: float, dense: float | None = 0.5) -> Candidates:
    """Hits with the dense score `dense`, one for each number in `late`, its score for each query
    token.
    """
    return make_candidates(
        [
            CandidateRow(
                f"m{index}",
                MemoryType.SEMANTIC,
                dense,
                None,
                {},
                np.full(3, cosine, dtype=np.float32),
            )
            for index, cosine in enumerate(late)
        ]
    )


@given(probabilities, probabilities)
def test_the_certainty_of_a_hit_is_between_0_and_1(answerable: float, helps: float) -> None:
    sure, not_helpful = combined_certainty(answerable, np.array([helps, 0.0]))
    assert 0.0 <= sure <= 1.0
    assert not_helpful == 0.0


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.98))
def test_certainty_grows_with_both_probabilities(answerable: float, helps: float) -> None:
    """A hit is more certain if its own probability to help is higher, or the probability that any
    hit answers.
    """
    (sure,) = combined_certainty(answerable, np.array([helps]))
    assert combined_certainty(answerable, np.array([helps + 0.01]))[0] > sure
    assert combined_certainty(answerable + 0.005, np.array([helps]))[0] > sure


def test_a_better_match_is_more_certain() -> None:
    """Of two hits, the hit with the higher similarity and better token matches has the higher
    certainty.
    """
    similarity = np.array([1.0, 0.2])
    sure = certainty_of(NO_TERMS, TOKENS, hits(0.9, 0.2), similarity, np.zeros(2))
    assert sure is not None
    assert sure[0] > sure[1]


def test_without_vectors_the_certainty_is_none() -> None:
    """certainty_of() returns None for a question without token vectors, hits without dense scores,
    and no hits.
    """
    similarity = np.array([1.0])
    assert certainty_of(NO_TERMS, None, hits(0.9), similarity, similarity) is None
    assert certainty_of(NO_TERMS, TOKENS, hits(0.9, dense=None), similarity, similarity) is None
    assert (
        certainty_of(
            NO_TERMS, TOKENS, Candidates.from_memories([], COLUMNS), similarity[:0], similarity[:0]
        )
        is None
    )


def test_hits_have_certainty_0_if_the_question_has_no_tokens() -> None:
    similarity = np.array([1.0])
    without_late = make_candidates([CandidateRow("m", MemoryType.SEMANTIC, 0.5, None, {})])
    sure = certainty_of(NO_TERMS, TOKENS[:0], without_late, similarity, similarity)
    assert sure is not None
    assert sure.tolist() == [0.0]
