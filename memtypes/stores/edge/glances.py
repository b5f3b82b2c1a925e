"""Light payloads that were read or written before, encoded and ready to be sent.

Reading a payload costs the engine several microseconds and a search needs thousands of them, which made them the
larger part of every search. The engine process is the only writer of its shards, so it knows what has changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from memtypes.ports import LIGHT_FIELDS
from memtypes.stores import steps
from memtypes.stores.conditions import Where

LIMIT = 50_000
"""Payloads of one type that are remembered: some 25 MB."""

ReadPayloads: TypeAlias = Callable[[list[str], list[str]], Mapping[str, dict[str, Any]]]
"""Payloads by id, of these ids and with these fields."""


class GlanceCache:
    """The encoded light payloads of one shard's points, by id. read_payloads: how those that are unknown are read."""

    def __init__(self, read_payloads: ReadPayloads, limit: int = LIMIT) -> None:
        self._read_payloads = read_payloads
        self._limit = limit
        self._known: dict[str, msgspec.Raw] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def __len__(self) -> int:
        return len(self._known)

    def read(self, ids: Sequence[str]) -> dict[str, msgspec.Raw]:
        """The light payloads of those points that exist."""
        unread = [one for one in ids if one not in self._known]
        if unread:
            for one, payload in self._read_payloads(unread, list(LIGHT_FIELDS)).items():
                self._known[one] = msgspec.Raw(self._encode(payload))
        found = {one: self._known[one] for one in ids if one in self._known}
        self._drop_oldest()
        return found

    def learn(self, payloads: Iterable[tuple[str, Mapping[str, Any]]]) -> bool:
        """Whether there is room for more, once these whole payloads by id are remembered."""
        for one, payload in payloads:
            light = {field: payload[field] for field in LIGHT_FIELDS if field in payload}
            self._known[one] = msgspec.Raw(self._encode(light))
        room = len(self._known) < self._limit
        self._drop_oldest()
        return room

    def forget(self, change: steps.Change) -> None:
        """Drop what `change` may touch: the points that it names, or everything when it names none."""
        ids = [point.id for point in change.points] if isinstance(change, steps.Put) else named_ids(change.where)
        if ids is None:
            self._known.clear()
            return
        for one in ids:
            self._known.pop(one, None)

    def _drop_oldest(self) -> None:
        for one in list(itertools.islice(self._known, max(0, len(self._known) - self._limit))):
            del self._known[one]


def named_ids(where: Where) -> list[str] | None:
    """The only ids that can meet `where`, or None when it does not say."""
    for part in where.get("must", ()):
        if "has_id" in part:
            return list(part["has_id"])
    return None
