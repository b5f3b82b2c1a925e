"""A shard's successor: a copy of what lives in it, filled a piece at a time while the shard goes on being written.

The engine keeps removed bytes in its segments and its log until it happens to write over them; a copy has none of them.
It holds exactly the points up to the id that was copied last, as each change of the shard is made in it as well.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import qdrant_edge as edge

from memtypes.stores import steps
from memtypes.stores.edge.shards import operation
from memtypes.stores.edge.tokens import TokenFile
from memtypes.stores.edge.wear import Wear

PIECE = 32
"""Points that are copied in one go: a few milliseconds, in which nobody else is answered."""

_NONE = ""
_ALL = "g"
"""Before and after every id, which is a UUID in lower case."""


@dataclass(slots=True)
class Successor:
    """A copy under way. passed: the last id that has been copied."""

    path: Path
    shard: edge.EdgeShard
    tokens: TokenFile
    wear: Wear
    passed: str = _NONE

    def fill(self, shard: edge.EdgeShard, tokens: TokenFile) -> bool:
        """Whether everything is copied now: the next points of `shard` were, with their vectors and token vectors."""
        request = edge.ScrollRequest(
            offset=self.passed or None, limit=PIECE + 1, filter=edge.Filter(), with_payload=True, with_vector=True
        )
        records, _ = shard.scroll(request)
        points = [edge.Point(one.id, one.vector or {}, one.payload) for one in records]
        if points:
            self.tokens.put(tokens.records(str(one.id) for one in records))
            self.shard.update(edge.UpdateOperation.upsert_points(points))
        done = len(records) <= PIECE
        self.passed = _ALL if done else str(records[-1].id)
        return done

    def follow(self, change: steps.Change, gone: Sequence[str]) -> None:
        """Make a change of the shard here, as far as it is about what has been copied. gone: see the engine."""
        if isinstance(change, steps.Put):
            change = steps.Put(tuple(one for one in change.points if one.id <= self.passed), change.where)
            self.tokens.put((one.id, one.tokens) for one in change.points if one.tokens)
            if not change.points:
                return
        elif isinstance(change, steps.Remove) and any(one <= self.passed for one in gone):
            self.wear.note(time.time_ns())
        self.shard.update(operation(change))
        self.tokens.remove(gone)

    def close(self) -> None:
        """Let go of the files."""
        self.shard.close()
        self.tokens.close()
