"""The contract of SparseEncoder, tested on each implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.ports.encoders import SparseEncoder
from tests.fakes import FakeSparse

TEXT = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(["cat", "Cats", "dog", " ", "_", ".", "\u732b"]), max_size=30).map(
        "".join
    ),
)
each = pytest.mark.parametrize("encoder", [Bm25Encoder(), FakeSparse()], ids=["bm25", "fake"])


@each
@given(text=TEXT)
def test_vectors_are_sorted_unique_and_positive(encoder: SparseEncoder, text: str) -> None:
    """A sparse vector has each term id once, in ascending order.

    Weights are above 0 and at most 2.2 (k1 + 1 of BM25).
    """
    for vector in (encoder.encode_query(text), encoder.encode_document(text)):
        assert vector.indices.dtype == np.uint32
        assert vector.values.dtype == np.float32
        assert vector.indices.shape == vector.values.shape
        assert (np.diff(vector.indices.astype(np.int64)) > 0).all()
        assert (vector.values > 0).all()
        assert (vector.values <= 2.2001).all()


@each
@given(text=TEXT)
def test_a_query_matches_the_same_text(encoder: SparseEncoder, text: str) -> None:
    """The vector of a document has every term of the vector of the same text as a query."""
    query = encoder.encode_query(text)
    document = encoder.encode_document(text)
    assert set(query.indices.tolist()) <= set(document.indices.tolist())
    assert (len(query.indices) > 0) == (len(document.indices) > 0)
    assert (query.values == 1).all()
