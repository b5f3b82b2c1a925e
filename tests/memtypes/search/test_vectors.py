"""The heaviest terms of a memory, stored as short text and read as columns."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memtypes.search.vectors import MAX_TERMS, SparseVector, heaviest, numbered, term_column
from tests.candidates import term_text

WEIGHTS = st.dictionaries(
    st.integers(0, 2**32 - 1), st.floats(0.125, 4, width=32), max_size=3 * MAX_TERMS
)


def sparse(weights: dict[int, float]) -> SparseVector:
    """The sparse vector with these weights by term id."""
    ids = sorted(weights)
    return SparseVector(
        np.array(ids, np.uint32), np.array([weights[term] for term in ids], np.float32)
    )


@given(WEIGHTS)
def test_the_heaviest_terms_are_decoded_from_their_text(weights: dict[int, float]) -> None:
    text = heaviest(sparse(weights))
    (row,) = term_column([text])
    best = sorted(weights, key=lambda term: (-np.float32(weights[term]), term))[:MAX_TERMS]
    assert row[: len(best)].tolist() == numbered(np.array(best, np.uint32)).tolist()
    assert not row[len(best) :].any()
    assert (term_text(row) or "") == text


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_no_term_has_the_number_zero(ids: list[int]) -> None:
    """A term's number is never 0, because a 0 in a row of term numbers means that there is no
    term.
    """
    assert numbered(np.array(ids, np.uint32)).all()


def test_a_memory_without_terms_has_a_row_of_zeros() -> None:
    """`term_column()` returns a row of zeros for None and for an empty text."""
    assert term_column([None, "", heaviest(sparse({7: 1.0}))])[:, 0].tolist() == [0, 0, 8]
    assert term_column([]).shape == (0, MAX_TERMS)
