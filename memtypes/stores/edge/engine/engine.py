"""The embedded engine: one shard a type, and every step that plans ask of it.

Synchronous, and the engine never releases the GIL, so this lives in a process of its own (see `server`). An update is
in the write-ahead log before it is acknowledged, so it survives the death of this process; syncing the log makes it
survive the death of the machine, and `flush_one` lets the log be forgotten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from memtypes.model.errors import RemembrancerError, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.search.columns import LIGHT_FIELDS
from memtypes.stores.edge.engine.errors import translated
from memtypes.stores.edge.engine.opening import indexing, open_shard
from memtypes.stores.edge.engine.reader import Payloads
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.maintenance.deletion_marker import Wear, delete_others
from memtypes.stores.edge.maintenance.shard_copy import Successor
from memtypes.stores.edge.maintenance.warm_up import read_ahead
from memtypes.stores.edge.sidecar import column_file
from memtypes.stores.edge.sidecar.column_cache import GlanceCache
from memtypes.stores.edge.sidecar.passage_cache import PassageCache
from memtypes.stores.edge.sidecar.slots import Slots
from memtypes.stores.edge.sidecar.token_matching import Matcher
from memtypes.stores.files import sync_directory
from memtypes.stores.operations import steps
from memtypes.stores.operations.messages import AnyAsk, Candidates, Passages
from memtypes.stores.operations.plans import plan_for
from memtypes.stores.operations.schema import indexes_of
from memtypes.stores.operations.searching import find_candidates

EVERY_STEP = 64
"""Memories that are embedded again in one go."""

WHOLE = 10
"""A namespace of up to so many times the depth is scored whole: its words need no query of the engine then."""

_log = logging.getLogger(__name__)


class Engine:
    """The five shards of one store."""

    def __init__(self, shards: Mapping[MemoryType, Shard], dimensions: int) -> None:
        self._shards = dict(shards)
        self._glances = {kind: GlanceCache(self._reader(kind)) for kind in shards}
        self._passages = {kind: PassageCache(self._reader(kind)) for kind in shards}
        self._successors: dict[MemoryType, Successor] = {}
        self._dimensions = dimensions
        self._matcher = Matcher()
        self._unsynced: set[MemoryType] = set()
        self._unflushed: set[MemoryType] = set()
        for kind, shard in shards.items():
            left = column_file.take(shard.path)
            if left is not None:
                self._glances[kind].recall(*left)

    @classmethod
    def open(cls, paths: Mapping[MemoryType, Path], dimensions: int) -> Engine:
        """The shards of these directories, made where there are none. Raises StoreInUse or Unavailable."""
        with translated():
            shards = {
                kind: Shard.of(path, open_shard(path, dimensions, indexes_of(kind))) for kind, path in paths.items()
            }
            return cls(shards, dimensions)

    def answer(self, ask: AnyAsk) -> Any:
        """The answer of `ask`."""
        if isinstance(ask, Passages):
            return self._passages_of(ask)
        if isinstance(ask, Candidates):
            return steps.run(find_candidates(ask, WHOLE), self._do)
        return steps.run(plan_for(ask), self._do)

    @property
    def unflushed(self) -> bool:
        """Whether something is in a log alone."""
        return bool(self._unflushed)

    def warm(self) -> Iterator[None]:
        """A step at a time, remember what ranking needs of the memories and then their passages, for first searches."""
        with translated():
            for kind, glances in self._glances.items():
                if not glances.full(self.count(kind)):
                    yield from read_ahead(self._shards[kind].reader, glances, LIGHT_FIELDS)
            for kind, passages in self._passages.items():
                yield from read_ahead(self._shards[kind].reader, passages, None)

    def every(self, kind: MemoryType) -> Iterator[list[dict[str, Any]]]:
        """The payloads of every memory of a type, of all scopes, in pieces: for building the next version alone."""
        last = -1
        while True:
            with translated():
                found = self._shards[kind].reader.after(last, EVERY_STEP, None)
            if not found:
                return
            yield [payload for _, payload in found]
            last = found[-1][0]

    def count(self, kind: MemoryType) -> int:
        """How many memories of a type there are, of all scopes."""
        with translated():
            return int(self._shards[kind].reader.read(steps.Count({})))

    def take_unsynced(self) -> list[Path]:
        """The directories of the logs that were written since the last call."""
        logs = [directory for kind in self._unsynced for directory in self._shards[kind].logs]
        self._unsynced.clear()
        return logs

    def flush_one(self) -> None:
        """Write one changed shard's segments to disk, so that its log can be forgotten."""
        kind = next(iter(self._unflushed))
        with translated():
            self._shards[kind].engine.flush()
        self._unflushed.discard(kind)

    def worn(self, removed_by: int) -> list[MemoryType]:
        """The types that still hold bytes of what was removed at this time (in nanoseconds) or before."""
        since = {kind: shard.wear.since for kind, shard in self._shards.items()}
        return [kind for kind, began in since.items() if began is not None and began <= removed_by]

    def succeed(self, kind: MemoryType, path: Path) -> Generator[None, None, Shard]:
        """A step at a time, write the shard of `kind` anew in `path`; the copy, which can take its place then."""
        self._give_up(kind)
        with translated():
            engine = open_shard(path, self._dimensions, {})
            yield from indexing(engine, indexes_of(kind))
            made = self._successors[kind] = Successor(Shard.of(path, engine, Wear(path, None)))
            while not made.fill(self._shards[kind]):
                yield
                if self._successors.get(kind) is not made:
                    raise Unavailable(f"the copy of the {kind} memories could not follow a change")
        self._unflushed.add(kind)
        return made.shard

    def replace(self, kind: MemoryType) -> None:
        """Put a finished successor in the place of its shard, and delete that and every other version."""
        made, before = self._successors.pop(kind), self._shards[kind]
        moved = made.moved(before)
        self._glances[kind].renumber(moved)
        self._passages[kind].renumber(moved)
        self._shards[kind] = made.shard
        with translated():
            before.close()
        delete_others(made.shard.path)

    def close(self) -> None:
        """Flush and let go of every shard, and leave to the next engine what is remembered of them."""
        for kind in list(self._successors):
            self._give_up(kind)
        for log in self.take_unsynced():
            sync_directory(log)
        with translated():
            for kind, shard in self._shards.items():
                shard.engine.flush()
                if len(self._glances[kind]):
                    column_file.leave(shard.path, *self._glances[kind].everything())
                shard.close()

    def _give_up(self, kind: MemoryType) -> None:
        made = self._successors.pop(kind, None)
        if made is not None:
            with translated():
                made.shard.close()

    def _do(self, kind: MemoryType, step: steps.Step) -> Any:
        with translated():
            match step:
                case steps.Write(changes):
                    for change in changes:
                        self._write(kind, change)
                    return None
                case steps.Glance(keys):
                    return self._glances[kind].read(keys)
                case steps.Late(tokens, keys):
                    return self._matcher.maxima(tokens, self._shards[kind].tokens.rows(keys))
                case _:
                    return self._shards[kind].reader.read(step)

    def _write(self, kind: MemoryType, change: steps.Change) -> None:
        self._unsynced.add(kind)
        self._unflushed.add(kind)
        caches = self._glances[kind], self._passages[kind]
        made = False
        try:
            slots = self._shards[kind].write(change)
            made = True
        finally:
            if not made:  # nobody knows what it has done
                for cache in caches:
                    cache.forget(self._shards[kind].named(change))
        for cache in caches:
            cache.follow(change, slots)
        self._follow(kind, change, slots)

    def _follow(self, kind: MemoryType, change: steps.Change, slots: Slots | None) -> None:
        """Make the change in the shard's successor as well; one that can't follow is given up, not the write."""
        successor = self._successors.get(kind)
        if successor is None:
            return
        try:
            with translated():
                successor.follow(change, slots)
        except RemembrancerError:
            _log.exception("the copy of the %s memories is given up", kind)
            self._give_up(kind)

    def _passages_of(self, ask: Passages) -> list[msgspec.Raw]:
        found: list[msgspec.Raw] = []
        for kind, ids in ask.ids.items():
            with translated():
                slots = self._shards[kind].slots.known(ids)
                found += self._passages[kind].read(ask.tenant, ask.namespace, slots.tolist())
        return found

    def _reader(self, kind: MemoryType) -> Callable[..., Payloads]:
        """What reads payloads from the shard that is current."""

        def read(slots: Slots, fields: Sequence[str] | None = None) -> Payloads:
            return self._shards[kind].reader.payloads(slots, fields)

        return read
