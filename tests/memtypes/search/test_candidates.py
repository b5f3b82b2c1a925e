"""Candidates of a search, and the columns of ranking values that are built from their payloads."""

from __future__ import annotations

import pickle
from datetime import UTC
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.search.candidates import Candidates
from memtypes.search.columns import ColumnKind, Columns
from memtypes.search.vectors import heaviest
from retrieval.columns import COLUMNS
from tests.builders import make_sparse
from tests.candidates import CandidateRow, make_candidates, payloads_in, rows_of

VALUES: dict[ColumnKind, st.SearchStrategy[Any]] = {
    ColumnKind.TIME: st.datetimes(timezones=st.just(UTC)).map(rfc3339),
    ColumnKind.WHOLE: st.integers(0, 2**53),
    ColumnKind.NUMBER: st.floats(0.0, 1.0, width=32),
    ColumnKind.FLAG: st.booleans(),
    ColumnKind.DIGEST: st.text("0123456789abcdef", min_size=1, max_size=64),
    ColumnKind.TEXT: st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    ColumnKind.LIST: st.lists(st.integers(0, 99), min_size=1, max_size=3),
    ColumnKind.TERMS: st.sets(st.integers(0, 2**32 - 1), min_size=1).map(
        lambda ids: heaviest(make_sparse(sorted(ids)))
    ),
}


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    """A payload with any subset of the fields that columns have."""
    made: dict[str, Any] = {}
    for path in draw(st.sets(st.sampled_from(sorted(COLUMNS)))):
        outer, _, inner = path.partition(".")
        value = draw(VALUES[COLUMNS[path]])
        if inner:
            made.setdefault(outer, {})[inner] = value
        else:
            made[path] = value
    return made


@given(st.lists(payloads(), max_size=6), st.lists(payloads(), max_size=6))
def test_columns_have_the_values_of_the_payloads(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    """Columns built from payloads have their values, also after columns are joined and their rows
    reordered.
    """
    assert payloads_in(Columns.from_payloads(first, COLUMNS)) == first
    joined = Columns.joined(
        [Columns.from_payloads(first, COLUMNS), Columns.from_payloads(second, COLUMNS)]
    )
    assert payloads_in(joined) == first + second
    reversed_rows = np.arange(joined.count)[::-1]
    assert payloads_in(joined.take(reversed_rows)) == (first + second)[::-1]


@given(st.lists(payloads(), max_size=6))
def test_columns_can_be_sent_to_another_process(written: list[dict[str, Any]]) -> None:
    sent = Columns.from_payloads(written, COLUMNS)
    received = pickle.loads(pickle.dumps(sent))  # noqa: S301 - bytes of this test
    assert payloads_in(received) == written
    for path in COLUMNS:
        assert received.kinds[path] is COLUMNS[path]
        np.testing.assert_array_equal(received.column(path), sent.column(path))


def test_a_table_has_the_columns_that_were_asked_for() -> None:
    kinds = {"importance": ColumnKind.WHOLE, "colour": ColumnKind.TEXT}
    columns = Columns.from_payloads(
        [{"importance": 3, "colour": "red", "seq": 1}, {"seq": 2}], kinds
    )
    assert payloads_in(columns) == [{"importance": 3, "colour": "red"}, {}]
    with pytest.raises(KeyError):
        columns.column("seq")


def test_candidates_of_several_types_are_joined() -> None:
    """Joined candidates keep their order and values; a score that a type lacks is NaN. `take()`
    reorders them.
    """
    late = np.array([0.5, 0.25], dtype=np.float32)
    facts = make_candidates([CandidateRow("b", MemoryType.SEMANTIC, 0.5, None, {"seq": 3}, late)])
    tasks = make_candidates(
        [CandidateRow("aa", MemoryType.PROSPECTIVE, None, 2.0, {"status": "open"})]
    )
    joined = Candidates.joined([facts, Candidates.from_memories([], COLUMNS), tasks])
    assert [(row.id, row.type, row.dense, row.sparse, row.payload) for row in rows_of(joined)] == [
        ("b", "semantic", 0.5, None, {"seq": 3}),
        ("aa", "prospective", None, 2.0, {"status": "open"}),
    ]
    assert joined.late is not None
    assert np.array_equal(joined.late, [[0.5, 0.25], [np.nan, np.nan]], equal_nan=True)
    assert [candidate.id for candidate in joined.take(np.arange(len(joined))[::-1])] == ["aa", "b"]
    assert Candidates.joined([joined]) is joined
    nothing = Candidates.from_memories([], COLUMNS)
    assert Candidates.joined([nothing, nothing]) is nothing
