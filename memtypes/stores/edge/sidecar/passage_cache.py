"""Cache of passages, the parts of memories that an answer shows: one answer reads hundreds of them.

Reading a payload and making its passage takes some 20 microseconds, a cached passage less than one. The engine process
is the only writer of its shards, so it knows which passages have changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from memtypes.model.scope import Scope
from memtypes.search.passage import Passage, passage_in
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations.engine import Change, Payload, SetFields

LIMIT = 24 << 20
"""Most bytes of the cached passages of one memory type."""

LARGEST = 1 << 16
"""Most bytes of a passage that is cached; a larger one would evict hundreds of others."""

OVERHEAD = 900
"""Bytes that a cached passage takes in addition to its texts."""

USE_FIELDS = frozenset({"access_count", "accessed_at"})
"""Payload fields that change with every answer and are in no passage: changing them keeps the cache valid."""

ReadPayloads: TypeAlias = Callable[[Slots], Mapping[int, Payload]]


class _Entry(NamedTuple):
    """A cached passage, with the tenant and the namespace of its memory."""

    tenant: str
    namespace: str
    passage: Passage

    @property
    def size(self) -> int:
        """Approximate size in bytes."""
        return OVERHEAD + len(self.passage.content) + len(self.passage.said or "")


class PassageCache:
    """The passages of one shard's memories by slot. read_payloads: reads the payloads of slots that are not cached."""

    def __init__(self, read_payloads: ReadPayloads, limit: int = LIMIT) -> None:
        self._read_payloads = read_payloads
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[int, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, scope: Scope, slots: Sequence[int]) -> list[Passage]:
        """The passages of those of `slots` whose memory exists in the scope, in the order of `slots`."""
        unread = [slot for slot in slots if slot not in self._entries]
        read = (
            {slot: _entry(payload) for slot, payload in self._read_payloads(slots_of(unread)).items()} if unread else {}
        )
        entries = [read.get(slot) or self._entries.get(slot) for slot in slots]
        for slot in slots:
            if slot in self._entries:
                self._entries.move_to_end(slot)
        self._add(read)
        bounds = (scope.tenant, scope.namespace)
        return [entry.passage for entry in entries if entry is not None and entry[:2] == bounds]

    def follow(self, change: Change, slots: Slots | None) -> None:
        """Drop the passages that a change may have changed. slots: of the changed memories; None if unknown."""
        if not isinstance(change, SetFields) or not USE_FIELDS.issuperset(change.fields):
            self.forget(slots)

    def forget(self, slots: Slots | None) -> None:
        """Drop the cached passages of these slots; all passages for None."""
        for slot in list(self._entries) if slots is None else slots.tolist():
            self._drop(slot)

    def renumber(self, moved: Slots) -> None:
        """Move the cached passages to the slots of a rewritten shard. moved: new slot of each old slot, -1 for none."""
        entries = ((int(moved[slot]), entry) for slot, entry in self._entries.items())
        self._entries = OrderedDict((slot, entry) for slot, entry in entries if slot >= 0)
        self._size = sum(entry.size for entry in self._entries.values())

    def _add(self, entries: Mapping[int, _Entry]) -> None:
        for slot, entry in entries.items():
            if entry.size <= LARGEST:
                self._drop(slot)
                self._entries[slot] = entry
                self._size += entry.size
        while self._size > self._limit:
            self._drop(next(iter(self._entries)))

    def _drop(self, slot: int) -> None:
        entry = self._entries.pop(slot, None)
        self._size -= entry.size if entry is not None else 0


def _entry(payload: Payload) -> _Entry:
    return _Entry(payload["tenant"], payload["namespace"], passage_in(payload))
