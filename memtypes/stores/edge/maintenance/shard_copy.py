"""A shard's successor: a copy of what lives in it, filled a piece at a time while the shard goes on being written.

The engine keeps removed bytes in its segments and its log until it happens to write over them; a copy has none of them.
It holds exactly the points up to the slot that was copied last, as each change of the shard is made in it as well. Its
slots are its own, without the gaps of what was removed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import qdrant_edge as edge

from memtypes.stores.edge.engine.reader import slots_in
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.operations.engine import Change, PutPoints

PIECE = 32
"""Points that are copied in one go: a few milliseconds, in which nobody else is answered."""

_NONE = -1
_ALL = sys.maxsize


@dataclass(slots=True)
class Successor:
    """A copy under way. passed: the last slot of the source that has been copied."""

    shard: Shard
    passed: int = _NONE

    def fill(self, source: Shard) -> bool:
        """Whether everything is copied now: the next points of `source` were, with their vectors and token vectors."""
        request = edge.ScrollRequest(offset=self.passed + 1, limit=PIECE + 1, with_payload=True, with_vector=True)
        records, _ = source.engine.scroll(request)
        old = slots_in(records)
        if records:
            new = self.shard.slots.claim_ids(source.slots.ids(old))
            self.shard.tokens.copy(source.tokens, old, new)
            self.shard.terms.copy(source.terms, old, new)
            points = [
                edge.Point(n, one.vector or {}, one.payload) for n, one in zip(new.tolist(), records, strict=True)
            ]
            self.shard.engine.update(edge.UpdateOperation.upsert_points(points))
        done = len(records) <= PIECE
        self.passed = _ALL if done else int(old[-1])
        return done

    def follow(self, change: Change, slots: Slots | None) -> None:
        """Make a change of the source here, as far as it is about what has been copied. slots: of what it was about."""
        if isinstance(change, PutPoints) and slots is not None:
            passed = np.flatnonzero(slots <= self.passed).tolist()
            change = PutPoints(tuple(change.points[place] for place in passed), change.where)
            if not change.points:
                return
        self.shard.write(change)

    def moved(self, source: Shard) -> Slots:
        """The slot here of each slot of the source; -1 for one whose memory is gone."""
        return self.shard.slots.places(source.slots.ids(np.arange(len(source.slots))))
