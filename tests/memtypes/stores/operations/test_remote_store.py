"""What stores have in common before a question goes out: pieces, groups, ids, integers; and vectors as bytes."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import SparseVector
from memtypes.stores.operations import codec
from memtypes.stores.operations.points import PIECE_CHARACTERS, PIECE_RECORDS, check_integers, group_changes, pieces
from memtypes.stores.operations.remote_store import known_ids
from tests.builders import make_memory, make_record

LARGE = "x" * 400_000


def records_of(sizes: list[tuple[MemoryType, bool]]) -> list[Record]:
    """Records, some with a large content."""
    return [
        make_record(make_memory(kind, LARGE if large else "small", id=str(uuid.UUID(int=n))))
        for n, (kind, large) in enumerate(sizes)
    ]


@given(st.lists(st.tuples(st.sampled_from([MemoryType.EPISODIC, MemoryType.WORKING]), st.booleans()), max_size=12))
def test_pieces_hold_every_record_once_and_stay_small(sizes: list[tuple[MemoryType, bool]]) -> None:
    """Each record is in one piece, pieces have one type, and a piece that is too large has one record only."""
    records = records_of(sizes)
    cut = list(pieces(records))
    assert sorted(one.memory.id for piece in cut for one in piece) == [one.memory.id for one in records]
    for piece in cut:
        assert len({one.memory.type for one in piece}) == 1
        assert len(piece) == 1 or sum(len(one.memory.content) for one in piece) <= PIECE_CHARACTERS


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (64, [64]), (65, [64, 1]), (130, [64, 64, 2])])
def test_pieces_are_bounded_in_number(count: int, sizes: list[int]) -> None:
    """A piece has at most 64 records."""
    records = records_of([(MemoryType.SEMANTIC, False)] * count)
    assert [len(piece) for piece in pieces(records)] == sizes
    assert PIECE_RECORDS == 64


@given(
    st.dictionaries(st.uuids().map(str), st.dictionaries(st.sampled_from("ab"), st.sampled_from([1, 1.0, True, "1"])))
)
def test_changes_are_grouped_without_loss(changes: dict[str, dict[str, Any]]) -> None:
    """Equal changes go together, changes that differ as JSON do not, and each id keeps its own."""
    groups = group_changes(changes)
    back = {one: group.fields for group in groups for one in group.ids}
    assert {one: repr(sorted(fields.items())) for one, fields in back.items()} == {
        one: repr(sorted(fields.items())) for one, fields in changes.items()
    }
    assert len(groups) == len({repr(sorted(fields.items())) for fields in changes.values()})


@given(st.lists(st.one_of(st.text(max_size=40), st.uuids().map(str), st.uuids().map(lambda one: one.hex))))
def test_only_usual_uuids_are_known(ids: list[str]) -> None:
    """What is no UUID in its usual form is left out; the rest stays, each once, in order."""
    usual = [one for one in ids if len(one) == 36 and one.count("-") == 4]
    assert known_ids(ids) == list(dict.fromkeys(usual))


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, {"a": [1, {"b": 2**70}]}])
def test_integers_beyond_64_bits_are_refused(value: object) -> None:
    """However deep it lies, an integer that would be kept as a fraction is refused."""
    with pytest.raises(InvalidRequest):
        check_integers({"metadata": value}, "m")


def test_integers_of_64_bits_pass() -> None:
    """The ends of what can be kept, and flags, are no reason to refuse."""
    check_integers({"a": [2**64 - 1, -(2**63), True, 1.5, None, "x"]}, "m")


@given(hnp.arrays(np.int8, st.tuples(st.integers(1, 5), st.just(128))))
def test_token_vectors_come_back_from_bytes(tokens: NDArray[np.int8]) -> None:
    """Token vectors survive as raw bytes, and as the unit vectors that a server keeps."""
    back = codec.tokens_of(codec.tokens_bytes(tokens))
    assert np.array_equal(back, tokens)
    assert np.array_equal(np.rint(codec.unit_tokens(back) * 127), tokens)


@given(st.lists(st.integers(0, 2**32 - 1), unique=True), st.integers(1, 9))
def test_vectors_come_back_from_bytes(terms: list[int], size: int) -> None:
    """Dense and sparse vectors survive as raw bytes."""
    dense = np.linspace(-1, 1, size, dtype=np.float32)
    assert np.array_equal(codec.dense_of(codec.dense_bytes(dense)), dense)
    sparse = SparseVector(np.array(terms, np.uint32), np.arange(len(terms), dtype=np.float32))
    back = codec.sparse_of(*codec.sparse_bytes(sparse))
    assert np.array_equal(back.indices, sparse.indices)
    assert np.array_equal(back.values, sparse.values)
