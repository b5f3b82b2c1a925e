"""Passages that were read before, in the form in which they travel: an answer shows hundreds of them.

To read a payload and make a passage of it takes some 20 microseconds, to find it here less than one. The engine
process is the only writer of its shards, so it knows what has changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from memtypes.search.passage import passage_in
from memtypes.stores.edge.sidecar.slots import Slots, slots_of
from memtypes.stores.operations import steps

LIMIT = 24 << 20
"""Bytes of one type's passages that are remembered."""

LARGEST = 1 << 16
"""Bytes of a passage that is remembered; a larger one would put hundreds of others out."""

OVERHEAD = 400
"""Bytes that a passage takes besides its own."""

USES = frozenset({"access_count", "accessed_at"})
"""What says nothing to a passage; it changes with every answer."""

ReadPayloads: TypeAlias = Callable[[Slots], Mapping[int, Mapping[str, Any]]]

_encode = msgspec.msgpack.Encoder().encode


class _Kept(NamedTuple):
    tenant: str
    namespace: str
    raw: bytes

    @property
    def size(self) -> int:
        return OVERHEAD + len(self.raw)


class PassageCache:
    """The passages of one shard's points. read_payloads: how those that are unknown are read."""

    def __init__(self, read_payloads: ReadPayloads, limit: int = LIMIT) -> None:
        self._read_payloads = read_payloads
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, tenant: str, namespace: str, slots: Sequence[int]) -> list[msgspec.Raw]:
        """The passages of those of `slots` that exist in the scope, encoded, in this order."""
        unread = [one for one in slots if one not in self._kept]
        read = {one: _made(payload) for one, payload in self._read_payloads(slots_of(unread)).items()} if unread else {}
        found = [read.get(one) or self._kept.get(one) for one in slots]
        for one in slots:
            if one in self._kept:
                self._kept.move_to_end(one)
        self._add(read)
        own = (tenant, namespace)
        return [msgspec.Raw(kept.raw) for kept in found if kept is not None and kept[:2] == own]

    def learn(self, payloads: Iterable[tuple[int, Mapping[str, Any]]]) -> bool:
        """Whether there is room for more, once the passages of these whole payloads are remembered."""
        return self._add({one: _made(payload) for one, payload in payloads if one not in self._kept})

    def follow(self, change: steps.Change, slots: Slots | None) -> None:
        """Drop what `change` may have touched. slots: of what it was about; None where nobody knows."""
        if not isinstance(change, steps.SetFields) or not USES.issuperset(change.fields):
            self.forget(slots)

    def forget(self, slots: Slots | None) -> None:
        """Drop the passages of these slots; of all where it is None."""
        for one in list(self._kept) if slots is None else slots.tolist():
            self._drop(one)

    def renumber(self, moved: Slots) -> None:
        """Take the slots of a shard that was written anew. moved: the new one of each old one, -1 for none."""
        kept = ((int(moved[slot]), one) for slot, one in self._kept.items())
        self._kept = OrderedDict((slot, one) for slot, one in kept if slot >= 0)
        self._size = sum(one.size for one in self._kept.values())

    def _add(self, made: Mapping[int, _Kept]) -> bool:
        """Whether there was room for all."""
        for one, kept in made.items():
            if len(kept.raw) <= LARGEST:
                self._drop(one)
                self._kept[one] = kept
                self._size += kept.size
        room = self._size <= self._limit
        while self._size > self._limit:
            self._drop(next(iter(self._kept)))
        return room

    def _drop(self, one: int) -> None:
        kept = self._kept.pop(one, None)
        self._size -= kept.size if kept is not None else 0


def _made(payload: Mapping[str, Any]) -> _Kept:
    return _Kept(payload["tenant"], payload["namespace"], _encode(passage_in(payload)))
