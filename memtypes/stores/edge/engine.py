"""The embedded engine: one shard a type, and every step that plans ask of it.

Synchronous, and the engine never releases the GIL, so this lives in a process of its own (see `server`). An update is
in the write-ahead log before it is acknowledged, so it survives the death of this process; syncing the log makes it
survive the death of the machine, and `flush_one` lets the log be forgotten.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import qdrant_edge as edge

from memtypes.errors import RemembrancerError, Unavailable
from memtypes.light import LIGHT_FIELDS
from memtypes.policy import MemoryType
from memtypes.stores import steps
from memtypes.stores.asks import AnyAsk, Passages
from memtypes.stores.edge.ahead import read_ahead
from memtypes.stores.edge.errors import translated
from memtypes.stores.edge.glances import GlanceCache
from memtypes.stores.edge.matching import Matcher
from memtypes.stores.edge.passages import PassageCache
from memtypes.stores.edge.shards import CONFIG_FILE, Payloads, indexing, open_shard, operation, payloads, read, scroll
from memtypes.stores.edge.successor import Successor
from memtypes.stores.edge.tokens import TokenFile
from memtypes.stores.edge.translate import to_filter
from memtypes.stores.edge.wear import Wear, delete_others
from memtypes.stores.keys import Key, key_of
from memtypes.stores.plans import plan_for
from memtypes.stores.schema import indexes_of

EVERY_STEP = 64
"""Memories that are embedded again in one go."""

_log = logging.getLogger(__name__)


class Engine:
    """The five shards of one store."""

    def __init__(
        self, shards: Mapping[MemoryType, edge.EdgeShard], paths: Mapping[MemoryType, Path], dimensions: int
    ) -> None:
        self._shards = dict(shards)
        self._paths = dict(paths)
        self._tokens = {kind: TokenFile.beside(path) for kind, path in paths.items()}
        self._glances = {kind: GlanceCache(partial(self._payloads, kind)) for kind in shards}
        self._passages = {kind: PassageCache(partial(self._payloads, kind)) for kind in shards}
        self._wear = {kind: Wear.of(path) for kind, path in paths.items()}
        self._successors: dict[MemoryType, Successor] = {}
        self._dimensions = dimensions
        self._matcher = Matcher()
        self._unsynced: set[MemoryType] = set()
        self._unflushed: set[MemoryType] = set()

    @classmethod
    def open(cls, paths: Mapping[MemoryType, Path], dimensions: int) -> Engine:
        """The shards of these directories, made where there are none. Raises StoreInUse or Unavailable."""
        with translated():
            shards = {kind: open_shard(path, dimensions, indexes_of(kind)) for kind, path in paths.items()}
            return cls(shards, paths, dimensions)

    @classmethod
    def as_kept(cls, paths: Mapping[MemoryType, Path], dimensions: int) -> Engine:
        """The same, where the shards may have been made by an earlier version: each keeps the form that it has."""
        with translated():
            shards = {}
            for kind, path in paths.items():
                known = (path / CONFIG_FILE).exists()
                shards[kind] = edge.EdgeShard.load(str(path)) if known else open_shard(path, dimensions, {})
            return cls(shards, paths, dimensions)

    def answer(self, ask: AnyAsk) -> Any:
        """The answer of `ask`."""
        if isinstance(ask, Passages):
            return self._passages_of(ask)
        return steps.run(plan_for(ask), self._do)

    @property
    def unflushed(self) -> bool:
        """Whether something is in a log alone."""
        return bool(self._unflushed)

    def warm(self) -> Iterator[None]:
        """A step at a time, remember what ranking needs of the memories and then their passages, for first searches."""
        with translated():
            yield from read_ahead(self._shards, self._glances, LIGHT_FIELDS)
            yield from read_ahead(self._shards, self._passages, None)

    def every(self, kind: MemoryType) -> Iterator[list[dict[str, Any]]]:
        """The payloads of every memory of a type, of all scopes, in pieces: for building the next version alone."""
        start: str | None = None
        while True:
            with translated():
                found = scroll(self._shards[kind], steps.Scroll({}, EVERY_STEP + 1, None, start))
            if found:
                yield [payload for _, payload in found[:EVERY_STEP]]
            if len(found) <= EVERY_STEP:
                return
            start = found[-1][0]

    def count(self, kind: MemoryType) -> int:
        """How many memories of a type there are, of all scopes."""
        with translated():
            return int(read(self._shards[kind], steps.Count({})))

    def take_unsynced(self) -> list[Path]:
        """The directories of the logs that were written since the last call."""
        written = [(self._paths[kind] / "wal", self._tokens[kind].directory) for kind in self._unsynced]
        logs = [directory for pair in written for directory in pair]
        self._unsynced.clear()
        return logs

    def flush_one(self) -> None:
        """Write one changed shard's segments to disk, so that its log can be forgotten."""
        kind = next(iter(self._unflushed))
        with translated():
            self._shards[kind].flush()
        self._unflushed.discard(kind)

    def worn(self, removed_by: int) -> list[MemoryType]:
        """The types that still hold bytes of what was removed at this time (in nanoseconds) or before."""
        return [kind for kind, wear in self._wear.items() if wear.since is not None and wear.since <= removed_by]

    def succeed(self, kind: MemoryType, path: Path) -> Iterator[None]:
        """A step at a time, write the shard of `kind` anew in `path`, until the copy can take its place (`replace`)."""
        self._give_up(kind)
        with translated():
            shard = open_shard(path, self._dimensions, {})
            yield from indexing(shard, indexes_of(kind))
            made = self._successors[kind] = Successor(path, shard, TokenFile.beside(path), Wear(path, None))
            while not made.fill(self._shards[kind], self._tokens[kind]):
                yield
                if self._successors.get(kind) is not made:
                    raise Unavailable(f"the copy of the {kind} memories could not follow a change")
        self._unflushed.add(kind)

    def replace(self, kind: MemoryType) -> None:
        """Put a finished successor in the place of its shard, and delete that and every other version."""
        made = self._successors.pop(kind)
        with translated():
            self._shards[kind].close()
        self._tokens[kind].close()
        self._shards[kind], self._paths[kind], self._tokens[kind] = made.shard, made.path, made.tokens
        delete_others(made.path)
        self._wear[kind] = made.wear

    def _give_up(self, kind: MemoryType) -> None:
        made = self._successors.pop(kind, None)
        if made is not None:
            with translated():
                made.close()

    def close(self) -> None:
        """Flush and let go of every shard."""
        for kind in list(self._successors):
            self._give_up(kind)
        with translated():
            for shard in self._shards.values():
                shard.flush()
                shard.close()
        for tokens in self._tokens.values():
            tokens.close()

    def _do(self, kind: MemoryType, step: steps.Step) -> Any:
        with translated():
            if isinstance(step, steps.Write):
                return self._write(kind, step)
            if isinstance(step, steps.Glance):
                return self._glances[kind].read(step.keys)
            if isinstance(step, steps.Late):
                return self._matcher.maxima(step.tokens, self._tokens[kind].rows(step.keys))
            return read(self._shards[kind], step)

    def _write(self, kind: MemoryType, step: steps.Write) -> None:
        self._unsynced.add(kind)
        self._unflushed.add(kind)
        for change in step.changes:
            if isinstance(change, steps.Put):  # its plan has made sure that no other scope's points are meant
                self._tokens[kind].put((point.id, point.tokens) for point in change.points if point.tokens)
            gone = self._without_tokens(kind, change)
            if gone and isinstance(change, steps.Remove):
                self._wear[kind].note(time.time_ns())
            self._update(kind, change)
            self._tokens[kind].remove(gone)
            self._follow(kind, change, gone)
            if isinstance(change, steps.Put):
                self._glances[kind].learn((key_of(point.id), point.payload) for point in change.points)

    def _follow(self, kind: MemoryType, change: steps.Change, gone: list[str]) -> None:
        """Make the change in the shard's successor as well; one that can't follow is given up, not the write."""
        successor = self._successors.get(kind)
        if successor is None:
            return
        try:
            with translated():
                successor.follow(change, gone)
        except RemembrancerError:
            _log.exception("the copy of the %s memories is given up", kind)
            self._give_up(kind)

    def _update(self, kind: MemoryType, change: steps.Change) -> None:
        self._passages[kind].forget(change)
        made = False
        try:
            self._shards[kind].update(operation(change))
            made = True
        finally:
            if made:
                self._glances[kind].follow(change)
            else:
                self._glances[kind].forget(change)

    def _without_tokens(self, kind: MemoryType, change: steps.Change) -> list[str]:
        """The ids that will have no token vectors after `change`: what it removes, and what it keeps without any."""
        if isinstance(change, steps.Put):
            return [point.id for point in change.points if not point.tokens]
        if not isinstance(change, steps.Remove):
            return []
        count = self._shards[kind].count(edge.CountRequest(exact=True, filter=to_filter(change.where)))
        return [one for one, _ in scroll(self._shards[kind], steps.Scroll(change.where, max(count, 1), ()))]

    def _passages_of(self, ask: Passages) -> list[msgspec.Raw]:
        found: list[msgspec.Raw] = []
        for kind, ids in ask.ids.items():
            with translated():
                found += self._passages[kind].read(ask.tenant, ask.namespace, [key_of(one) for one in ids])
        return found

    def _payloads(self, kind: MemoryType, keys: Sequence[Key], fields: list[str] | None = None) -> Payloads:
        """The payloads that the caches read, from the shard that is current."""
        return payloads(self._shards[kind], keys, fields)
