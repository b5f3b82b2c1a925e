"""Copies of shards, without the deleted bytes that the engine keeps in its segments and its log.

A copy is filled a batch at a time while its source is still written to. It always contains the source's points up to
and including the last one copied, because every change of the source is applied to the copy too. Its points have new
numbers (slots), without the gaps of removed memories.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import qdrant_edge as edge

from memtypes.stores.edge.engine.reader import slots_in
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.engine.vendor import engine_call
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.operations.engine import Change, PutPoints

BATCH = 32
"""Points copied at once: this takes a few milliseconds, in which no request is answered."""

_NONE = -1
_ALL = sys.maxsize


@dataclass(slots=True)
class ShardCopy:
    """A copy of a shard in progress. shard: the copy. copied: number (slot) of the source's last point copied."""

    shard: Shard
    copied: int = _NONE

    def copy_batch(self, source: Shard) -> bool:
        """Copy the next BATCH points of `source` with all their vectors; True if the copy is now complete."""
        request = edge.ScrollRequest(offset=self.copied + 1, limit=BATCH + 1, with_payload=True, with_vector=True)
        records, _ = engine_call(source.engine.scroll, request)
        old = slots_in(records)
        if records:
            new = self.shard.slots.claim_ids(source.slots.ids(old))
            self.shard.tokens.copy(source.tokens, old, new)
            self.shard.terms.copy(source.terms, old, new)
            self.shard.passages.copy(source.passages, old, new)
            pairs = zip(new.tolist(), records, strict=True)
            points = [edge.Point(slot, record.vector or {}, record.payload) for slot, record in pairs]
            engine_call(self.shard.engine.update, edge.UpdateOperation.upsert_points(points))
        complete = len(records) <= BATCH
        self.copied = _ALL if complete else int(old[-1])
        return complete

    def follow(self, change: Change, slots: Slots | None) -> None:
        """Apply a change of the source to the points already copied. slots: numbers of the changed source points."""
        if isinstance(change, PutPoints) and slots is not None:
            copied = np.flatnonzero(slots <= self.copied).tolist()
            change = PutPoints(tuple(change.points[place] for place in copied), change.where)
            if not change.points:
                return
        self.shard.write(change)

    def new_slots(self, source: Shard) -> Slots:
        """For each point number (slot) of `source`, the number in the copy; -1 where the memory was removed."""
        return self.shard.slots.places(source.slots.ids(np.arange(len(source.slots))))
