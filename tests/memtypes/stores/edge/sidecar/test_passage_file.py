"""Files of passages (what a context shows of memories): each is made once; files that may be wrong
are deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.passage import passage_of
from memtypes.stores.edge.sidecar.passage_file import PassageFile
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from tests.builders import SCOPE, make_memory

MEMORIES = [make_memory(MemoryType.SEMANTIC, content) for content in ("one", "two", "three")]
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
    passages: PassageFile, payloads: Payloads, slots: list[int], scope: Scope = SCOPE
) -> list[str]:
    """The contents of the passages at the given slots (point numbers in the shard)."""
    return [passage.content for passage in passages.read(scope, slots_of(slots), payloads.read)]


def test_a_passage_is_made_once(tmp_path: Path, payloads: Payloads) -> None:
    """A passage is made from its payload only once. Slots (point numbers) without a memory are
    looked up each time.
    """
    passages = PassageFile.beside(tmp_path)
    assert contents(passages, payloads, [11, 5, 10]) == ["two", "one"]
    assert passages.read(SCOPE, slots_of([*SLOTS, 5]), payloads.read) == [
        passage_of(memory) for memory in MEMORIES
    ]
    assert payloads.read_slots == [11, 5, 10, 40, 5]
    assert contents(passages, payloads, SLOTS, Scope("other", SCOPE.namespace)) == []


def test_passages_written_with_their_memory_need_no_payload(
    tmp_path: Path, payloads: Payloads
) -> None:
    passages = PassageFile.beside(tmp_path)
    passages.put(payloads.payloads)
    assert contents(passages, payloads, SLOTS) == ["one", "two", "three"]
    assert payloads.read_slots == []
    passages.remove(slots_of(SLOTS[:1]))
    payloads.payloads[10] |= {"content": "changed"}
    assert contents(passages, payloads, SLOTS) == ["changed", "two", "three"]
    assert payloads.read_slots == SLOTS[:1]


def test_passage_files_are_reused_only_after_a_clean_close(
    tmp_path: Path, payloads: Payloads
) -> None:
    """Passage files that were not closed are deleted on opening, because they may be wrong after a
    power cut.
    """
    passages = PassageFile.beside(tmp_path)
    passages.put(payloads.payloads)
    passages.close()
    reopened = PassageFile.beside(tmp_path)
    assert contents(reopened, payloads, SLOTS) == ["one", "two", "three"]
    assert payloads.read_slots == []
    assert contents(PassageFile.beside(tmp_path), payloads, SLOTS) == ["one", "two", "three"]
    assert payloads.read_slots == SLOTS
