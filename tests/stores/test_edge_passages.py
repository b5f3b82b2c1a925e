"""Passages that are remembered: read once, forgotten in time, and bounded in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from memtypes.passage import Passage
from memtypes.policy import MemoryType
from memtypes.stores import steps
from memtypes.stores.conditions import has_ids
from memtypes.stores.edge.passages import LARGEST, PassageCache
from memtypes.stores.keys import Key, key_of
from tests.builders import SCOPE, make_memory


class Shelf:
    """Payloads by key; asked: the keys that were read."""

    def __init__(self, *contents: str) -> None:
        self.memories = [make_memory(MemoryType.SEMANTIC, content) for content in contents]
        self.payloads = {key_of(one.id): one.to_payload() for one in self.memories}
        self.keys = list(self.payloads)
        self.asked: list[Key] = []

    def read(self, keys: Sequence[Key]) -> Mapping[Key, Mapping[str, Any]]:
        """Those that there are."""
        self.asked += keys
        return {one: self.payloads[one] for one in keys if one in self.payloads}


def contents(cache: PassageCache, keys: Sequence[Key]) -> list[str]:
    """What is read, as texts."""
    found = cache.read(SCOPE.tenant, SCOPE.namespace, keys)
    return [one.content for one in msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=list[Passage])]


def test_a_passage_is_read_once() -> None:
    """In the order that is asked for; what does not exist is left out, and asked for again."""
    shelf = Shelf("one", "two")
    cache = PassageCache(shelf.read)
    assert contents(cache, [shelf.keys[1], 5, shelf.keys[0]]) == ["two", "one"]
    assert contents(cache, [*shelf.keys, 5]) == ["one", "two"]
    assert shelf.asked == [shelf.keys[1], 5, shelf.keys[0], 5]


def test_a_change_of_named_points_forgets_those_and_a_use_none() -> None:
    """A condition without ids may mean any."""
    shelf = Shelf("one", "two", "three")
    cache = PassageCache(shelf.read)
    assert cache.learn(shelf.payloads.items())
    where = has_ids([shelf.memories[0].id])
    cache.forget(steps.SetFields({"must": [where]}, {"access_count": 3, "accessed_at": "2026-03-01T09:30:00Z"}))
    assert len(cache) == 3
    cache.forget(steps.SetFields({"must": [where]}, {"access_count": 3, "content": "x"}))
    assert len(cache) == 2
    cache.forget(steps.Remove({"must": []}))
    assert len(cache) == 0
    assert shelf.asked == []


def test_the_oldest_leave_when_there_is_no_room() -> None:
    """What was read last stays; what is too large is told and not kept."""
    shelf = Shelf(*(f"number {number} " + "x" * 600 for number in range(9)), "y" * LARGEST)
    cache = PassageCache(shelf.read, limit=5_000)
    assert len(contents(cache, shelf.keys[:3])) == 3
    contents(cache, shelf.keys[:1])
    assert len(contents(cache, shelf.keys)) == 10
    contents(cache, shelf.keys[:1])
    assert 3 <= len(cache) <= 5
    assert not cache.learn([(key, shelf.payloads[key]) for key in shelf.keys[1:5]])
    before = len(shelf.asked)
    assert contents(cache, [shelf.keys[-1]]) == ["y" * LARGEST]
    assert contents(cache, [shelf.keys[4]])
    assert shelf.asked[before:] == [shelf.keys[-1]]
