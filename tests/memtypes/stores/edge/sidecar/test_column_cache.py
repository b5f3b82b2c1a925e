"""The cache of ranking values by slot (a point's number in the shard): reads, changes and shard
rewrites.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record
from memtypes.search.columns import ColumnKind, Columns
from memtypes.stores.edge.sidecar.column_cache import ColumnCache
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations.conditions import Condition, has_ids, in_range, within
from memtypes.stores.operations.vector_engine import (
    Change,
    PutPoints,
    RemovePoints,
    SetFields,
)
from retrieval.columns import COLUMNS
from tests.builders import SCOPE, make_memory, make_record
from tests.candidates import payloads_in

KIND = MemoryType.SEMANTIC
OTHER = MemoryType.EPISODIC


class Payloads:
    """Payloads of one memory type by slot (point number), in place of a shard. read: the slots that
    were read.
    """

    def __init__(self, count: int) -> None:
        self.payloads = {n: {"importance": n, "speaker": f"Ada {n % 2}"} for n in range(count)}
        self.read: list[int] = []

    def __call__(self, kind: MemoryType, slots: Slots) -> Mapping[int, dict[str, Any]]:
        """The payload at each slot that has a memory."""
        self.read += slots.tolist()
        return {
            slot: self.payloads[slot]
            for slot in slots.tolist()
            if kind is KIND and slot in self.payloads
        }


def read(cache: ColumnCache, *slots: int) -> list[dict[str, Any]]:
    """The cached columns of the memories at the given slots (point numbers in the shard)."""
    return payloads_in(cache.read({KIND: slots_of(slots)}).columns)


def test_a_payload_is_read_once() -> None:
    """After the first read, a memory's ranking values come from the cache.

    Slots (point numbers) without a memory are looked up each time.
    """
    source = Payloads(2)
    cache = ColumnCache(COLUMNS, source)
    for _ in range(2):
        assert cache.read({KIND: slots_of([1, 0, 9])}).exists.tolist() == [True, True, False]
        assert read(cache, 1, 0) == [source.payloads[1], source.payloads[0]]
    assert source.read == [1, 0, 9, 9]


@pytest.mark.parametrize(
    ("change", "slots", "cached"),
    [
        (
            SetFields(within(SCOPE, has_ids(["a"]), in_range("seq", gt=3)), {"importance": 5}),
            [0, 1],
            [2],
        ),
        (RemovePoints(within(SCOPE, has_ids([]))), [], [0, 1, 2]),
        (SetFields(within(SCOPE), {"importance": 5}), None, []),
    ],
)
def test_memories_that_a_change_may_affect_leave_the_cache(
    change: Change, slots: list[int] | None, cached: list[int]
) -> None:
    """A change whose result the cache cannot know drops the memories whose ids it names from the
    cache.

    A change without ids drops all memories of the type.
    """
    source = Payloads(3)
    cache = ColumnCache(COLUMNS, source)
    read(cache, 0, 1, 2)
    source.read.clear()
    cache.update(KIND, change, None if slots is None else slots_of(slots))
    assert read(cache, 0, 1, 2) == list(source.payloads.values())
    assert source.read == [slot for slot in (0, 1, 2) if slot not in cached]


@pytest.mark.parametrize(
    ("where", "reads"),
    [
        (within(SCOPE, has_ids(["a", "x"])), []),
        (within(SCOPE, has_ids(["a"]), in_range("seq", gt=3)), [0]),
    ],
)
def test_values_that_a_change_sets_are_cached_without_reading(
    where: Condition, reads: list[int]
) -> None:
    """Values that a change sets by ids alone are cached at once. With a further condition, payloads
    are read again.
    """
    source = Payloads(2)
    cache = ColumnCache(COLUMNS, source)
    read(cache, 0, 1)
    source.read.clear()
    source.payloads[0] |= {"access_count": 3, "speaker": "Eve"}
    change = SetFields(where, {"access_count": 3, "speaker": "Eve", "accessed_at": "now"})
    cache.update(KIND, change, slots_of([0]))
    assert read(cache, 0, 1) == list(source.payloads.values())
    assert source.read == reads


def test_payloads_that_were_passed_to_the_cache_are_not_read() -> None:
    source = Payloads(3)
    cache = ColumnCache(COLUMNS, source)
    cache.add(KIND, [(0, {"importance": 7, "content": "long"}), (5_000, {"importance": 1})])
    assert read(cache, 0, 5_000) == [{"importance": 7}, {"importance": 1}]
    assert cache.uncached(KIND, slots_of([0, 1, 5_000])).tolist() == [1]
    assert source.read == []


def test_a_replaced_memory_has_its_new_values() -> None:
    cache = ColumnCache(COLUMNS, Payloads(0))
    cache.add(KIND, [(1, {"importance": 1, "speaker": "Ada"}), (2, {"speaker": "Ben"})])
    point = Record("a", KIND, {"importance": 4}, make_record(make_memory(KIND, "a")).vectors)
    cache.update(KIND, PutPoints((point,), within(SCOPE)), slots_of([1]))
    assert read(cache, 2, 1) == [{"speaker": "Ben"}, {"importance": 4}]


def test_the_cache_has_the_columns_that_were_asked_for() -> None:
    cache = ColumnCache({"speaker": ColumnKind.TEXT, "colour": ColumnKind.TEXT}, Payloads(2))
    assert read(cache, 1, 0) == [{"speaker": "Ada 1"}, {"speaker": "Ada 0"}]
    change = SetFields(within(SCOPE, has_ids(["a"])), {"colour": "red", "importance": 7})
    cache.update(KIND, change, slots_of([0]))
    assert read(cache, 1, 0) == [{"speaker": "Ada 1"}, {"speaker": "Ada 0", "colour": "red"}]


def test_columns_of_several_types_are_read_together() -> None:
    """Memories of several types are read into one table, in the requested order, with one list of
    texts for all.
    """
    cache = ColumnCache(COLUMNS, Payloads(0))
    cache.add(KIND, [(1, {"importance": 1, "speaker": "Ada"}), (2, {"speaker": "Ben"})])
    cache.add(OTHER, [(1, {"speaker": "Ada", "seq": 4}), (7, {"seq": 5})])
    answer = cache.read({OTHER: slots_of([7, 1]), KIND: slots_of([2, 3, 1])})
    assert answer.exists.tolist() == [True, True, True, False, True]
    assert payloads_in(answer.columns) == [
        {"seq": 5},
        {"speaker": "Ada", "seq": 4},
        {"speaker": "Ben"},
        {"importance": 1, "speaker": "Ada"},
    ]
    assert list(answer.columns.tables["speaker"]) == ["Ada", "Ben"]


def test_cached_values_move_with_a_shard_rewrite() -> None:
    """After a shard rewrite, memories are cached under their new slots (point numbers), removed
    memories under none.
    """
    source = Payloads(4)
    cache = ColumnCache(COLUMNS, source)
    read(cache, 0, 1, 2)
    source.read.clear()
    cache.renumber(KIND, np.array([1, -1, 0, 3]))
    assert read(cache, 0, 1) == [source.payloads[2], source.payloads[0]]
    assert source.read == []
    assert cache.uncached(KIND, slots_of(range(4))).tolist() == [2, 3]
    assert read(cache, 2, 3) == [source.payloads[2], source.payloads[3]]
    assert source.read == [2, 3]


def test_a_column_without_values_is_left_out() -> None:
    """A field for which none of the requested memories has a value is not among the columns that
    are read.
    """
    payloads: list[dict[str, Any]] = [
        {"importance": 3},
        {"speaker": "Ada", "due_at": "2026-03-01T09:30:00Z"},
    ]
    cache = ColumnCache(COLUMNS, Payloads(0))
    cache.add(KIND, enumerate(payloads))
    columns = cache.read({KIND: slots_of([0, 1])}).columns
    assert columns.columns.keys() == Columns.from_payloads(payloads, COLUMNS).columns.keys()
    assert payloads_in(columns) == payloads
