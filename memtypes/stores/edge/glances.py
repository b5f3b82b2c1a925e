"""Light payloads that were read before, encoded and ready to be sent.

Reading a payload costs the engine several microseconds and a search needs thousands of them, which made them the
larger part of every search. The engine process is the only writer of its shards, so it knows what has changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import qdrant_edge as edge

from memtypes.ports import LIGHT_FIELDS
from memtypes.stores import steps
from memtypes.stores.conditions import Where

LIMIT = 50_000
"""Payloads of one type that are remembered: some 25 MB."""


class GlanceCache:
    """The encoded light payloads of one shard's points, by id."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._known: dict[str, msgspec.Raw] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def __len__(self) -> int:
        return len(self._known)

    def read(self, ids: Sequence[str], shard: edge.EdgeShard) -> dict[str, msgspec.Raw]:
        """The light payloads of those points that exist."""
        unread = [one for one in ids if one not in self._known]
        if unread:
            for record in shard.retrieve(list(unread), list(LIGHT_FIELDS), False):
                self._known[str(record.id)] = msgspec.Raw(self._encode(record.payload))
        found = {one: self._known[one] for one in ids if one in self._known}
        for oldest in list(self._known)[: max(0, len(self._known) - self._limit)] if unread else ():
            del self._known[oldest]
        return found

    def forget(self, change: steps.Change) -> None:
        """Drop what `change` may touch: the points that it names, or everything when it names none."""
        ids = [point.id for point in change.points] if isinstance(change, steps.Put) else named_ids(change.where)
        if ids is None:
            self._known.clear()
            return
        for one in ids:
            self._known.pop(one, None)


def named_ids(where: Where) -> list[str] | None:
    """The only ids that can meet `where`, or None when it does not say."""
    for part in where.get("must", ()):
        if "has_id" in part:
            return list(part["has_id"])
    return None
