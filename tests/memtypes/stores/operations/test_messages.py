"""Encoding of requests to the engine: arrays and types are the same after decoding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record, TypeStats
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import Vectors
from memtypes.stores.operations.engine import Payload
from memtypes.stores.operations.messages import answer_type, decode, encode
from memtypes.stores.operations.reads import PayloadPage, count_tokens, get_page
from memtypes.stores.operations.searching import find_candidates
from memtypes.stores.operations.writes import upsert
from tests.builders import SCOPE, make_sparse
from tests.candidates import CandidateRow, make_candidates, rows_of


@given(
    hnp.arrays(np.float32, st.integers(0, 9), elements=st.floats(width=32, allow_nan=False)),
    hnp.arrays(np.int8, st.tuples(st.integers(0, 5), st.just(128))),
    st.dictionaries(st.integers(0, 2**32 - 1), st.floats(width=32, allow_nan=False)),
)
def test_vectors_survive_encoding(
    dense: NDArray[np.float32], tokens: NDArray[np.int8], terms: dict[int, float]
) -> None:
    """A record has the same id, payload and arrays, with their types, after encoding and
    decoding.
    """
    record = Record(
        "id",
        MemoryType.EPISODIC,
        {"content": "text", "n": [1, None]},
        Vectors(dense, make_sparse(terms), tokens),
    )
    decoded = decode(encode(record), Record)
    assert (decoded.id, decoded.payload) == (record.id, record.payload)
    for array, decoded_array in (
        (decoded.vectors.dense, dense),
        (decoded.vectors.tokens, tokens),
        (decoded.vectors.sparse.indices, record.vectors.sparse.indices),
        (decoded.vectors.sparse.values, record.vectors.sparse.values),
    ):
        assert array.dtype == decoded_array.dtype
        assert np.array_equal(array, decoded_array)


def test_candidates_survive_encoding() -> None:
    """Candidates of a search have the same ids, scores and payloads after encoding and decoding."""
    payloads: list[Payload] = [
        {"importance": 3, "speaker": "Ada", "created_at": "2026-03-01T09:30:00Z"},
        {"importance": 5},
    ]
    candidates = make_candidates(
        [
            CandidateRow(f"id-{n}", MemoryType.SEMANTIC, 0.5, None, payload)
            for n, payload in enumerate(payloads)
        ]
    )
    decoded = rows_of(decode(encode(candidates), Candidates))
    assert [row.payload for row in decoded] == payloads
    assert [(row.id, row.dense, row.sparse, row.late) for row in decoded] == [
        ("id-0", 0.5, None, None),
        ("id-1", 0.5, None, None),
    ]


def test_a_request_names_the_type_of_its_answer() -> None:
    assert answer_type(type(find_candidates(scope=SCOPE, searches=[]))) == list[Candidates]
    page = get_page(scope=SCOPE, types=[], where={}, limit=1, after=None)
    assert answer_type(type(page)) is PayloadPage
    assert answer_type(type(count_tokens(scope=SCOPE, where={}))) == dict[MemoryType, TypeStats]
    stored = upsert(scope=SCOPE, kind=MemoryType.EPISODIC, points=[])
    assert decode(encode(None), answer_type(type(stored))) is None


def test_an_object_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="object can't be sent"):
        encode(object())
