"""Files with some fields of memories: each memory's are stored once; files that may be wrong are
deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.stores.edge.sidecar.field_file import FieldFile
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from tests.builders import SCOPE, make_memory

MEMORIES = [make_memory(MemoryType.SEMANTIC, content) for content in ("one", "two", "three")]
NAMES = ("content", "seq")
SLOTS = [10, 11, 40]


class Payloads:
    """Payloads by slot (point number), read in place of a shard's. read_slots: the slots that were
    read.
    """

    def __init__(self) -> None:
        self.payloads = {
            slot: memory.to_payload() for slot, memory in zip(SLOTS, MEMORIES, strict=True)
        }
        self.read_slots: list[int] = []

    def read(self, slots: Slots) -> Mapping[int, dict[str, Any]]:
        """The payload at each slot that has a memory."""
        self.read_slots += slots.tolist()
        return {slot: self.payloads[slot] for slot in slots.tolist() if slot in self.payloads}


@pytest.fixture
def payloads() -> Payloads:
    """A source with the payloads of MEMORIES at SLOTS."""
    return Payloads()


def contents(
    files: FieldFile, payloads: Payloads, slots: list[int], scope: Scope = SCOPE
) -> list[str]:
    """The contents of the memories at the slots (point numbers in the shard)."""
    fields = files.read(scope, slots_of(slots), NAMES, payloads.read)
    return [msgspec.msgpack.decode(encoded)["content"] for encoded in fields.values()]


def test_the_fields_of_a_memory_are_read_from_its_payload_once(
    tmp_path: Path, payloads: Payloads
) -> None:
    """Slots (point numbers) without a memory are looked up each time."""
    files = FieldFile.beside(tmp_path)
    assert contents(files, payloads, [11, 5, 10]) == ["two", "one"]
    fields = files.read(SCOPE, slots_of([*SLOTS, 5]), NAMES, payloads.read)
    assert {
        memory_id: msgspec.msgpack.decode(encoded) for memory_id, encoded in fields.items()
    } == {memory.id: {"content": memory.content, "seq": 0} for memory in MEMORIES}
    assert payloads.read_slots == [11, 5, 10, 40, 5]
    assert contents(files, payloads, SLOTS, Scope("other", SCOPE.namespace)) == []


def test_the_fields_of_written_memories_need_no_payload(tmp_path: Path, payloads: Payloads) -> None:
    files = FieldFile.beside(tmp_path)
    files.read(SCOPE, slots_of([]), NAMES, payloads.read)
    files.put(payloads.payloads)
    assert contents(files, payloads, SLOTS) == ["one", "two", "three"]
    assert payloads.read_slots == []
    files.remove(slots_of(SLOTS[:1]))
    payloads.payloads[10] |= {"content": "changed"}
    assert contents(files, payloads, SLOTS) == ["changed", "two", "three"]
    assert payloads.read_slots == SLOTS[:1]


def test_files_are_reused_only_after_a_clean_close(tmp_path: Path, payloads: Payloads) -> None:
    """Files that were not closed are deleted on opening, because they may be wrong after a power
    cut.
    """
    files = FieldFile.beside(tmp_path)
    assert contents(files, payloads, SLOTS) == ["one", "two", "three"]
    files.close()
    payloads.read_slots.clear()
    reopened = FieldFile.beside(tmp_path)
    assert contents(reopened, payloads, SLOTS) == ["one", "two", "three"]
    assert payloads.read_slots == []
    assert contents(FieldFile.beside(tmp_path), payloads, SLOTS) == ["one", "two", "three"]
    assert payloads.read_slots == SLOTS


def test_a_read_of_other_fields_starts_the_files_anew(tmp_path: Path, payloads: Payloads) -> None:
    files = FieldFile.beside(tmp_path)
    contents(files, payloads, SLOTS)
    (encoded,) = files.read(SCOPE, slots_of([10]), ("type",), payloads.read).values()
    assert msgspec.msgpack.decode(encoded) == {"type": "semantic"}
    assert payloads.read_slots == [*SLOTS, 10]


def test_changes_of_other_fields_leave_the_files_alone(tmp_path: Path, payloads: Payloads) -> None:
    files = FieldFile.beside(tmp_path)
    contents(files, payloads, SLOTS)
    assert files.holds_any(["access_count", "content"])
    assert files.holds_any(["agent_id"])
    assert not files.holds_any(["access_count", "accessed_at"])


def test_texts_that_an_earlier_version_rendered_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "passages").mkdir()
    (tmp_path / "passages" / "vectors.bin").write_bytes(b"- an entry")
    FieldFile.beside(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fields"]
