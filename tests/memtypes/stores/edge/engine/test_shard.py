"""A shard of the embedded store, and its slot file (the memory id of each point number), repaired
after a power cut.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from memtypes.model.policy import MemoryType
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.engine.vendor import open_shard
from memtypes.stores.edge.sidecar.slots import slots_of
from memtypes.stores.operations.conditions import EVERYTHING
from memtypes.stores.operations.uuids import ids_of
from memtypes.stores.operations.vector_engine import (
    PutPoints,
    RemovePoints,
    Scroll,
    ScrollOrder,
    SetFields,
)
from tests.builders import DIMENSIONS, make_memory, make_record

POINTS = tuple(
    make_record(make_memory(MemoryType.SEMANTIC, f"fact {number}")) for number in range(6)
)
IDS = [point.id for point in POINTS]


def opened(path: Path) -> Shard:
    """Open the shard in the directory `path`."""
    return Shard.opened(path, open_shard(path, DIMENSIONS, {}))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The directory of a closed shard to which six facts were written and from which the last was
    removed.
    """
    shard = opened(tmp_path)
    for point in POINTS:
        shard.write(PutPoints((point,), EVERYTHING))
    shard.write(RemovePoints({"has_id": IDS[5:]}))
    shard.close()
    return tmp_path


@pytest.mark.parametrize(
    "damage", ["none", "end lost", "all lost", "one emptied", "removed comes back", "one doubled"]
)
def test_slots_are_repaired_after_a_power_cut(written: Path, damage: str) -> None:
    """Whichever rows of the slot file were lost, memories are found under their ids, and removed
    ones are not.
    """
    path = written / "slots" / "ids.bin"
    rows = [path.read_bytes()[start : start + 16] for start in range(0, 6 * 16, 16)]
    removed = bytes.fromhex(IDS[5].replace("-", ""))
    damaged = {
        "none": rows,
        "end lost": rows[:3],
        "all lost": [],
        "one emptied": [rows[0], bytes(16), *rows[2:]],
        "removed comes back": [*rows[:5], removed],
        "one doubled": [*rows, rows[0]],
    }
    path.write_bytes(b"".join(damaged[damage]))
    shard = opened(written)
    assert shard.slots.lookup(ids_of(IDS[:5])).tolist() == [0, 1, 2, 3, 4]
    assert list(shard.reader.scroll(Scroll(EVERYTHING, 9, ("id",), ScrollOrder.BY_ID))) == sorted(
        IDS[:5]
    )
    assert list(shard.reader.payloads(shard.slots.existing(IDS))) == [0, 1, 2, 3, 4]
    new = shard.slots.claim(ids_of(IDS[5:]))
    assert shard.reader.payloads(new) == {}
    shard.close()


def test_a_write_returns_the_changed_slots(written: Path) -> None:
    """`write()` returns the slots (point numbers) of the memories that were stored or removed."""
    shard = opened(written)
    put = shard.write(PutPoints((POINTS[1], POINTS[5]), EVERYTHING))
    removed = shard.write(RemovePoints(EVERYTHING))
    assert put is not None
    assert removed is not None
    assert put.tolist() == [1, 6]
    assert sorted(removed.tolist()) == [0, 1, 2, 3, 4, 6]
    assert len(shard.slots.existing(IDS)) == 0
    assert shard.reader.payloads(slots_of(range(7))) == {}
    assert shard.deleted_since is not None
    shard.close()


def test_slots_are_returned_for_the_ids_in_a_change(written: Path) -> None:
    """`listed_slots()` returns the slots (point numbers) of a change's ids, even if the engine
    refuses the change.

    It returns None for a change without ids.
    """
    shard = opened(written)
    refused = SetFields({"must": [{"has_id": [IDS[2], IDS[5]]}]}, {"title": object()})
    with pytest.raises(TypeError):
        shard.write(refused)
    listed = [
        shard.listed_slots(change)
        for change in (refused, PutPoints(POINTS[3:], EVERYTHING), RemovePoints(EVERYTHING))
    ]
    assert [None if slots is None else slots.tolist() for slots in listed] == [[2], [3, 4], None]
    shard.close()
