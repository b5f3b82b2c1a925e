"""The cache of passages: each is read once, forgotten when it changes, and evicted beyond a size in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from memtypes.model.policy import MemoryType
from memtypes.stores.edge.sidecar.passage_cache import LARGEST, PassageCache
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations.engine import RemovePoints, SetFields
from tests.builders import SCOPE, make_memory


class Shelf:
    """Payloads by slot, in place of a shard. asked: the slots that were read."""

    def __init__(self, *contents: str) -> None:
        self.memories = [make_memory(MemoryType.SEMANTIC, content) for content in contents]
        self.payloads = {10 + number: one.to_payload() for number, one in enumerate(self.memories)}
        self.slots = list(self.payloads)
        self.asked: list[int] = []

    def read(self, slots: Slots) -> Mapping[int, dict[str, Any]]:
        """The payloads of those of `slots` that exist."""
        self.asked += slots.tolist()
        return {one: self.payloads[one] for one in slots.tolist() if one in self.payloads}


def contents(cache: PassageCache, slots: Sequence[int]) -> list[str]:
    """The contents of the passages that the cache returns for these slots."""
    return [passage.content for passage in cache.read(SCOPE, slots)]


def test_a_passage_is_read_once() -> None:
    """Passages are returned in the requested order; slots without a memory are looked up each time."""
    shelf = Shelf("one", "two")
    cache = PassageCache(shelf.read)
    assert contents(cache, [shelf.slots[1], 5, shelf.slots[0]]) == ["two", "one"]
    assert contents(cache, [*shelf.slots, 5]) == ["one", "two"]
    assert shelf.asked == [shelf.slots[1], 5, shelf.slots[0], 5]


def test_changes_forget_passages_and_uses_do_not() -> None:
    """A changed memory is read again, after a change of unknown memories every one."""
    shelf = Shelf("one", "two", "three")
    cache = PassageCache(shelf.read)
    contents(cache, shelf.slots)
    shelf.asked.clear()
    first = slots_of(shelf.slots[:1])
    cache.follow(SetFields({}, {"access_count": 3, "accessed_at": "2026-03-01T09:30:00Z"}), first)
    assert len(cache) == 3
    cache.follow(SetFields({}, {"access_count": 3, "content": "x"}), first)
    assert len(cache) == 2
    cache.follow(RemovePoints({"must": []}), None)
    assert len(cache) == 0
    assert shelf.asked == []


def test_passages_move_with_a_shard_rewrite() -> None:
    """Each passage is cached under its new slot, a removed one under none."""
    shelf = Shelf("one", "two")
    cache = PassageCache(shelf.read)
    contents(cache, shelf.slots)
    shelf.asked.clear()
    moved = np.full(12, -1)
    moved[11] = 0
    cache.renumber(moved)
    assert len(cache) == 1
    assert contents(cache, [0]) == ["two"]
    assert shelf.asked == []


def test_the_oldest_passages_are_evicted() -> None:
    """Recently read passages stay; a passage that is too large is not cached."""
    shelf = Shelf(*(f"number {number} " + "x" * 600 for number in range(9)), "y" * LARGEST)
    cache = PassageCache(shelf.read, limit=7_000)
    assert len(contents(cache, shelf.slots[:3])) == 3
    contents(cache, shelf.slots[:1])
    assert len(contents(cache, shelf.slots)) == 10
    contents(cache, shelf.slots[:1])
    assert 3 <= len(cache) <= 5
    contents(cache, shelf.slots[1:5])
    before = len(shelf.asked)
    assert contents(cache, [shelf.slots[-1]]) == ["y" * LARGEST]
    assert contents(cache, [shelf.slots[4]])
    assert shelf.asked[before:] == [shelf.slots[-1]]
