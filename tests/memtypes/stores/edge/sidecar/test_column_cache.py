"""Light payloads that are remembered: read once, followed or forgotten when they change, and bounded in number."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.columns import COLUMN_FIELDS, Columns
from memtypes.stores.edge.sidecar import column_file
from memtypes.stores.edge.sidecar.column_cache import ColumnCache
from memtypes.stores.edge.sidecar.row_allocator import Rows
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations.conditions import Condition, above, has_ids, within
from memtypes.stores.operations.engine import Change, DropFields, EnginePoint, PutPoints, RemovePoints, SetFields
from tests.builders import SCOPE, make_memory, make_record


class Shelf:
    """Payloads that can be read, and which were."""

    def __init__(self, count: int) -> None:
        self.payloads = {n: {"importance": n, "speaker": f"Ada {n % 2}"} for n in range(count)}
        self.read: list[int] = []

    def __call__(self, slots: Slots, fields: tuple[str, ...]) -> Mapping[int, dict[str, Any]]:
        """The payloads of `slots`."""
        assert fields == COLUMN_FIELDS
        self.read += slots.tolist()
        return {one: self.payloads[one] for one in slots.tolist() if one in self.payloads}


def seen(cache: ColumnCache, *slots: int) -> list[dict[str, Any]]:
    """What is read of those that exist."""
    light = cache.read(slots_of(slots)).columns
    return [light.payload(place) for place in range(light.count)]


def test_a_payload_is_read_once() -> None:
    """What was read is remembered, what does not exist is asked for again."""
    shelf = Shelf(2)
    cache = ColumnCache(shelf)
    for _ in range(2):
        assert cache.read(slots_of([1, 0, 9])).exists.tolist() == [True, True, False]
        assert seen(cache, 1, 0) == [shelf.payloads[1], shelf.payloads[0]]
    assert shelf.read == [1, 0, 9, 9]


@pytest.mark.parametrize(
    ("change", "slots", "left"),
    [
        (SetFields(within(SCOPE, has_ids(["a"]), above("fence", 3)), {"importance": 5}), [0, 1], [2]),
        (DropFields(within(SCOPE, has_ids(["c"])), ("tags",)), [2], [0, 1]),
        (RemovePoints(within(SCOPE, has_ids([]))), [], [0, 1, 2]),
        (SetFields(within(SCOPE), {"importance": 5}), None, []),
    ],
)
def test_a_change_is_forgotten_where_it_may_touch(change: Change, slots: list[int] | None, left: list[int]) -> None:
    """A change that may have touched some of what it names drops those; one of which nobody knows drops everything."""
    shelf = Shelf(3)
    cache = ColumnCache(shelf)
    seen(cache, 0, 1, 2)
    shelf.read.clear()
    cache.follow(change, None if slots is None else slots_of(slots))
    assert seen(cache, 0, 1, 2) == list(shelf.payloads.values())
    assert shelf.read == [one for one in (0, 1, 2) if one not in left]


@pytest.mark.parametrize(
    ("where", "read"),
    [(within(SCOPE, has_ids(["a", "x"])), []), (within(SCOPE, has_ids(["a"]), above("fence", 3)), [0])],
)
def test_a_change_that_is_known_is_followed(where: Condition, read: list[int]) -> None:
    """What is set on named points is known without reading; not where only some of them may have been changed."""
    shelf = Shelf(2)
    cache = ColumnCache(shelf)
    seen(cache, 0, 1)
    shelf.read.clear()
    shelf.payloads[0] |= {"access_count": 3, "speaker": "Eve"}
    cache.follow(SetFields(where, {"access_count": 3, "speaker": "Eve", "accessed_at": "now"}), slots_of([0]))
    assert seen(cache, 0, 1) == list(shelf.payloads.values())
    assert shelf.read == read


def test_what_was_learnt_is_not_read() -> None:
    """Of a payload that was written or read ahead only what ranking needs is remembered, while there is room."""
    shelf = Shelf(3)
    cache = ColumnCache(shelf, limit=2)
    assert cache.learn([(0, {"importance": 7, "content": "long"})])
    assert seen(cache, 0) == [{"importance": 7}]
    assert not cache.learn([(1, {"importance": 1}), (2, {"importance": 2})])
    assert shelf.read == []
    assert len(cache) <= 2


def test_what_is_written_anew_is_seen_anew() -> None:
    """The payload that was written last counts, and fields that it lacks are gone."""
    cache = ColumnCache(Shelf(0))
    cache.learn([(1, {"importance": 1, "speaker": "Ada"}), (2, {"speaker": "Ben"})])
    point = EnginePoint("a", make_record(make_memory(MemoryType.SEMANTIC, "a")).vectors, {"importance": 4})
    cache.follow(PutPoints((point,), within(SCOPE)), slots_of([1]))
    assert seen(cache, 2, 1) == [{"speaker": "Ben"}, {"importance": 4}]


def test_what_is_remembered_is_bounded() -> None:
    """Beyond the limit the oldest go, and a read larger than the limit is still whole."""
    shelf = Shelf(10)
    cache = ColumnCache(shelf, limit=4)
    assert seen(cache, *range(10)) == list(shelf.payloads.values())
    assert len(cache) == 3
    shelf.read.clear()
    assert seen(cache, 7, 8, 9, 0) == [shelf.payloads[one] for one in (7, 8, 9, 0)]
    assert shelf.read == [0]


def test_what_is_remembered_moves_with_its_memory() -> None:
    """In a shard that was written anew each is found under its new slot, and one that is gone under none."""
    shelf = Shelf(4)
    cache = ColumnCache(shelf)
    seen(cache, 0, 1, 2)
    shelf.read.clear()
    cache.renumber(np.array([1, -1, 0, 3]))
    assert seen(cache, 0, 1) == [shelf.payloads[2], shelf.payloads[0]]
    assert shelf.read == []
    assert len(cache) == 2
    assert seen(cache, 2, 3) == [shelf.payloads[2], shelf.payloads[3]]
    assert shelf.read == [2, 3]


def test_another_engine_knows_what_one_has_left(tmp_path: Path) -> None:
    """Of each memory that is remembered, the oldest still being the first to go; and once only."""
    shelf = Shelf(6)
    cache = ColumnCache(shelf, limit=4)
    seen(cache, 5, 1, 2, 0)
    cache.forget(slots_of([1]))
    cache.follow(SetFields(within(SCOPE, has_ids(["a"])), {"speaker": "Eve"}), slots_of([2]))
    column_file.leave(tmp_path, *cache.everything())
    left = column_file.take(tmp_path)
    assert left is not None
    assert column_file.take(tmp_path) is None
    other = ColumnCache(shelf, limit=4)
    other.recall(*left)
    shelf.read.clear()
    shelf.payloads[2]["speaker"] = "Eve"
    assert seen(other, 2, 0, 5) == [shelf.payloads[one] for one in (2, 0, 5)]
    assert shelf.read == []
    shelf.payloads[3]["due_at"] = "2026-03-01T09:30:00Z"
    assert seen(other, 2, 3) == [shelf.payloads[2], shelf.payloads[3]]
    seen(other, 4)
    assert len(other) == 3
    shelf.read.clear()
    assert seen(other, 2, 0, 5, 3) == [shelf.payloads[one] for one in (2, 0, 5, 3)]
    assert 5 in shelf.read


@pytest.mark.parametrize("damage", ["cut", "changed", "another form", "no form", "nothing"])
def test_what_cant_be_trusted_is_not_taken(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is damaged or of another version is said so in the log, and is gone."""
    cache = ColumnCache(Shelf(3))
    seen(cache, 0, 1, 2)
    column_file.leave(tmp_path, *cache.everything())
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    header = msgspec.msgpack.encode([["importance"], 0, [], {}])
    other, odd = (len(one).to_bytes(8, "big") + one for one in (header, b"odd"))
    damaged = {
        "cut": content[:-3],
        "changed": content[:-1] + bytes([content[-1] ^ 1]),
        "another form": zlib.crc32(other).to_bytes(8, "big") + other,
        "no form": zlib.crc32(odd).to_bytes(8, "big") + odd,
        "nothing": b"",
    }
    path.write_bytes(damaged[damage])
    assert column_file.take(tmp_path) is None
    assert "read again" in caplog.text
    assert not path.exists()


SLOTS = st.lists(st.integers(0, 3_000), min_size=1, max_size=6, unique=True)
MOVES = st.one_of(
    st.tuples(st.just("give"), SLOTS), st.tuples(st.just("take"), SLOTS), st.tuples(st.just("keep"), SLOTS)
)


@settings(max_examples=100)
@given(st.lists(MOVES, max_size=12))
def test_a_row_has_one_slot_and_a_slot_one_row(moves: list[tuple[str, list[int]]]) -> None:
    """Whatever is given and taken back, those that have a row have one each, and it does not change meanwhile."""
    rows, had = Rows(), dict[int, int]()
    for what, slots in moves:
        if what == "give":
            had |= zip(slots, rows.give(slots_of(slots)).tolist(), strict=True)
        elif what == "take":
            rows.take_back(slots_of(slots))
            had = {slot: row for slot, row in had.items() if slot not in slots}
        else:
            kept = rows.keep_newest(len(slots)).tolist()
            had = {slot: kept.index(row) for slot, row in had.items() if row in kept}
        assert len(rows) == len(had) == len(set(had.values()))
        assert rows.of(slots_of(had)).tolist() == list(had.values())
        assert max(had.values(), default=-1) < max(rows.size, 1)


def test_a_column_that_nobody_fills_is_not_there() -> None:
    """What is read says the same as the payloads themselves, whichever fields they have."""
    payloads: list[dict[str, Any]] = [{"importance": 3}, {"speaker": "Ada", "due_at": "2026-03-01T09:30:00Z"}]
    cache = ColumnCache(Shelf(0))
    cache.learn(enumerate(payloads))
    assert cache.read(slots_of([0])).columns.columns.keys() == {"importance"}
    assert cache.read(slots_of([0, 1])).columns.columns.keys() == Columns.of(payloads).columns.keys()
