"""Write requests: batches of records, groups of equal changes, and the refusal of integers too
large to store.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record
from memtypes.stores.operations.writes import (
    MAX_CHARACTERS,
    MAX_RECORDS,
    batches,
    check_integers,
    group_changes,
)
from tests.builders import make_memory, make_record

LARGE = "x" * 400_000


def records_of(sizes: list[tuple[MemoryType, bool]]) -> list[Record]:
    """Records of the given types, each with a large content (true) or a small one (false)."""
    return [
        make_record(make_memory(kind, LARGE if large else "small", id=str(uuid.UUID(int=n))))
        for n, (kind, large) in enumerate(sizes)
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from([MemoryType.EPISODIC, MemoryType.WORKING]), st.booleans()),
        max_size=12,
    )
)
def test_batches_contain_every_record_once_and_stay_small(
    sizes: list[tuple[MemoryType, bool]],
) -> None:
    """Each record is in one batch.

    A batch has one memory type, and exceeds the size limit only with a single record.
    """
    records = records_of(sizes)
    cut = list(batches(records))
    assert sorted(record.id for batch in cut for record in batch) == [
        record.id for record in records
    ]
    for batch in cut:
        assert len({record.type for record in batch}) == 1
        assert (
            len(batch) == 1
            or sum(len(record.payload["content"]) for record in batch) <= MAX_CHARACTERS
        )


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (64, [64]), (65, [64, 1]), (130, [64, 64, 2])]
)
def test_a_batch_has_at_most_64_records(count: int, sizes: list[int]) -> None:
    """More than 64 records are split into several batches."""
    records = records_of([(MemoryType.SEMANTIC, False)] * count)
    assert [len(batch) for batch in batches(records)] == sizes
    assert MAX_RECORDS == 64


@given(
    st.dictionaries(
        st.uuids().map(str),
        st.dictionaries(st.sampled_from("ab"), st.sampled_from([1, 1.0, True, "1"])),
    )
)
def test_equal_changes_are_grouped(changes: dict[str, dict[str, Any]]) -> None:
    """Each group has the ids of all memories with the same change; 1, 1.0 and true are different
    values.
    """
    groups = group_changes(changes)
    ungrouped = {memory_id: group.fields for group in groups for memory_id in group.ids}
    assert {memory_id: repr(sorted(fields.items())) for memory_id, fields in ungrouped.items()} == {
        memory_id: repr(sorted(fields.items())) for memory_id, fields in changes.items()
    }
    assert len(groups) == len({repr(sorted(fields.items())) for fields in changes.values()})


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, {"a": [1, {"b": 2**70}]}])
def test_integers_beyond_64_bits_are_refused(value: object) -> None:
    """An integer of more than 64 bits is refused at any depth, because it would be stored as a
    float.
    """
    with pytest.raises(InvalidRequest):
        check_integers({"metadata": value}, "m")


def test_integers_of_64_bits_pass() -> None:
    """The smallest and the largest 64-bit integer are accepted, as are booleans and other
    values.
    """
    check_integers({"a": [2**64 - 1, -(2**63), True, 1.5, None, "x"]}, "m")
