"""Slots (numbers of points in a shard): never assigned twice, repaired after a crash, overwritten
on removal.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.stores.edge.sidecar.slots import RECENT, SlotFile, slots_of
from memtypes.stores.operations.uuids import ids_of, strings_of

IDS = [str(uuid.UUID(int=n << 64)) for n in range(1, 7)]  # with zeros at both ends
CHANGES = st.lists(
    st.tuples(st.sampled_from(["claim", "remove", "reopen"]), st.sets(st.integers(0, 5))),
    max_size=20,
)


def reopened(file: SlotFile) -> SlotFile:
    """The slot file, closed and opened again as the next process would do."""
    file.close()
    return SlotFile(file.directory.parent)


@settings(max_examples=60)
@given(CHANGES)
def test_a_slot_is_never_assigned_twice(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, set[int]]]
) -> None:
    """After any changes, each id has its own slot (row number), a removed id has none, and no slot
    is used again.
    """
    file = SlotFile(tmp_path_factory.mktemp("shard"))
    slots_by_id: dict[str, int] = {}
    assigned: list[int] = []
    for operation, positions in changes:
        ids = [IDS[position] for position in positions]
        if operation == "claim":
            slots = file.claim(ids_of(ids)).tolist()
            new = [
                slot
                for memory_id, slot in zip(ids, slots, strict=True)
                if memory_id not in slots_by_id
            ]
            assert not set(new).intersection(assigned)
            assigned += new
            assert all(
                slots_by_id.get(memory_id, slot) == slot
                for memory_id, slot in zip(ids, slots, strict=True)
            )
            slots_by_id |= zip(ids, slots, strict=True)
        elif operation == "remove":
            file.remove(file.existing(ids))
            slots_by_id = {
                memory_id: slot for memory_id, slot in slots_by_id.items() if memory_id not in ids
            }
        else:
            file = reopened(file)
        assert file.lookup(ids_of(IDS)).tolist() == [
            slots_by_id.get(memory_id, -1) for memory_id in IDS
        ]
        assert strings_of(file.ids(slots_of(slots_by_id.values()))) == list(slots_by_id)
    file.close()


def test_removed_rows_are_overwritten(tmp_path: Path) -> None:
    """After ids are removed, the bytes of these ids are no longer in the slot file."""
    file = SlotFile(tmp_path)
    file.remove(file.claim(ids_of(IDS[:3]))[1:2])
    content = (file.directory / "ids.bin").read_bytes()
    assert [uuid.UUID(memory_id).bytes in content for memory_id in IDS[:3]] == [True, False, True]


def test_a_repeated_id_gets_one_slot(tmp_path: Path) -> None:
    """An id that occurs twice, in one write or in two, has one slot (row number)."""
    file = SlotFile(tmp_path)
    first, other, repeated = file.claim(ids_of([IDS[3], IDS[0], IDS[3]])).tolist()
    assert first == repeated != other
    assert file.claim(ids_of([IDS[3]])).tolist() == [first]
    assert len(file) == 2


def test_slots_are_found_before_and_after_the_index_is_rebuilt(tmp_path: Path) -> None:
    """Slots (row numbers) are found by the ids in the sorted index, and by ids added after the
    index was built.
    """
    file = SlotFile(tmp_path)
    ids = [str(uuid.UUID(int=n * 7919)) for n in range(1, RECENT + 3)]
    assert file.claim(ids_of(ids[:-1])).tolist() != file.claim(ids_of(ids[-1:])).tolist()
    assert strings_of(file.ids(file.lookup(ids_of(ids)))) == ids
    assert sorted(file.lookup(ids_of(ids)).tolist()) == list(range(len(ids)))


def test_an_incomplete_last_row_is_overwritten(tmp_path: Path) -> None:
    """A partly written last row is ignored, and the next id is written in its place."""
    file = SlotFile(tmp_path)
    file.claim(ids_of(IDS[:1]))
    file.claim(ids_of(IDS[1:2]))
    file.close()
    path = file.directory / "ids.bin"
    path.write_bytes(path.read_bytes()[:-5])
    file = SlotFile(tmp_path)
    assert file.lookup(ids_of(IDS[:2])).tolist() == [0, -1]
    assert file.claim(ids_of(IDS[2:3])).tolist() == [1]


def test_slots_with_a_missing_or_repeated_id_are_repaired(tmp_path: Path) -> None:
    """`repair()` stores the given ids in slots (row numbers) with no id or a repeated id, and
    clears the others.
    """
    file = SlotFile(tmp_path)
    file.claim(ids_of(IDS[:2]))
    file.close()
    path = file.directory / "ids.bin"
    first = path.read_bytes()[:16]
    path.write_bytes(path.read_bytes() + bytes(16) + first)
    file = SlotFile(tmp_path)
    assert file.doubtful().tolist() == [0, 2, 3]
    twice = strings_of(file.ids(slots_of([0])))
    file.repair(file.doubtful(), {0: twice[0], 2: IDS[4], 4: IDS[5]})
    for _ in range(2):
        assert file.lookup(ids_of([*twice, IDS[4], IDS[5]])).tolist() == [0, 2, 4]
        assert file.doubtful().tolist() == [3]
        file = reopened(file)


def test_looking_up_no_ids_returns_no_slots(tmp_path: Path) -> None:
    file = SlotFile(tmp_path)
    assert file.claim(ids_of([])).tolist() == file.lookup(ids_of([])).tolist() == []
    assert ids_of([]).tolist() == []
