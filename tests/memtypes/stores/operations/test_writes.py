"""Write requests: batches of records, grouped changes, and integers that are too large to store."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record
from memtypes.stores.operations.writes import MAX_CHARACTERS, MAX_RECORDS, batches, check_integers, group_changes
from tests.builders import make_memory, make_record

LARGE = "x" * 400_000


def records_of(sizes: list[tuple[MemoryType, bool]]) -> list[Record]:
    """Records of the given types, each with a large content (true) or a small one (false)."""
    return [
        make_record(make_memory(kind, LARGE if large else "small", id=str(uuid.UUID(int=n))))
        for n, (kind, large) in enumerate(sizes)
    ]


@given(st.lists(st.tuples(st.sampled_from([MemoryType.EPISODIC, MemoryType.WORKING]), st.booleans()), max_size=12))
def test_batches_contain_every_record_once_and_stay_small(sizes: list[tuple[MemoryType, bool]]) -> None:
    """Each record is in one batch, of one type. A batch over the size limit has a single record."""
    records = records_of(sizes)
    cut = list(batches(records))
    assert sorted(record.id for batch in cut for record in batch) == [record.id for record in records]
    for batch in cut:
        assert len({record.type for record in batch}) == 1
        assert len(batch) == 1 or sum(len(record.payload["content"]) for record in batch) <= MAX_CHARACTERS


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (64, [64]), (65, [64, 1]), (130, [64, 64, 2])])
def test_batches_are_bounded_in_number(count: int, sizes: list[int]) -> None:
    """A batch has at most 64 records."""
    records = records_of([(MemoryType.SEMANTIC, False)] * count)
    assert [len(batch) for batch in batches(records)] == sizes
    assert MAX_RECORDS == 64


@given(
    st.dictionaries(st.uuids().map(str), st.dictionaries(st.sampled_from("ab"), st.sampled_from([1, 1.0, True, "1"])))
)
def test_changes_are_grouped_without_loss(changes: dict[str, dict[str, Any]]) -> None:
    """Changes that are equal as JSON are grouped, others are not, and each id keeps its change."""
    groups = group_changes(changes)
    back = {memory_id: group.fields for group in groups for memory_id in group.ids}
    assert {one: repr(sorted(fields.items())) for one, fields in back.items()} == {
        one: repr(sorted(fields.items())) for one, fields in changes.items()
    }
    assert len(groups) == len({repr(sorted(fields.items())) for fields in changes.values()})


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, {"a": [1, {"b": 2**70}]}])
def test_integers_beyond_64_bits_are_refused(value: object) -> None:
    """Such an integer is refused at any depth, because it would be stored as a float."""
    with pytest.raises(InvalidRequest):
        check_integers({"metadata": value}, "m")


def test_integers_of_64_bits_pass() -> None:
    """The smallest and the largest 64-bit integer are accepted, as are booleans and other values."""
    check_integers({"a": [2**64 - 1, -(2**63), True, 1.5, None, "x"]}, "m")
