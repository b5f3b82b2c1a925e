"""Passages that were read before: an answer shows hundreds of them.

Reading a payload and making its passage takes some 20 microseconds, finding it here less than one. The engine process
is the only writer of its shards, so it knows what has changed.
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
"""Bytes of the cached passages of one type."""

LARGEST = 1 << 16
"""Bytes of a passage that is cached; a larger one would evict hundreds of others."""

OVERHEAD = 900
"""Bytes that a passage takes besides its texts."""

USE_FIELDS = frozenset({"access_count", "accessed_at"})
"""Fields that no passage has; they change with every answer."""

ReadPayloads: TypeAlias = Callable[[Slots], Mapping[int, Payload]]


class _Entry(NamedTuple):
    """A passage with the tenant and the namespace of its memory."""

    tenant: str
    namespace: str
    passage: Passage

    @property
    def size(self) -> int:
        """Bytes, about."""
        return OVERHEAD + len(self.passage.content) + len(self.passage.said or "")


class PassageCache:
    """The passages of one shard's points. read_payloads: reads those that are not cached."""

    def __init__(self, read_payloads: ReadPayloads, limit: int = LIMIT) -> None:
        self._read_payloads = read_payloads
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[int, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, scope: Scope, slots: Sequence[int]) -> list[Passage]:
        """The passages of those of `slots` that exist in the scope, in this order."""
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
        """Drop what a change may have touched. slots: of the changed points; None where they are unknown."""
        if not isinstance(change, SetFields) or not USE_FIELDS.issuperset(change.fields):
            self.forget(slots)

    def forget(self, slots: Slots | None) -> None:
        """Drop the passages of these slots; all of them for None."""
        for slot in list(self._entries) if slots is None else slots.tolist():
            self._drop(slot)

    def renumber(self, moved: Slots) -> None:
        """Use the slots of a rewritten shard. moved: the new slot of each old one, -1 for none."""
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
