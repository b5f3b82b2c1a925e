"""The embedded engine: one shard a type, and every step that plans ask of it.

Synchronous, and the engine never releases the GIL, so this lives in a process of its own (see `server`). An update is
in the write-ahead log before it is acknowledged, so it survives the death of this process; `sync_log` makes it survive
the death of the machine, and `flush_one` lets the log be forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from memtypes.errors import InvalidRequest, RemembrancerError, StoreInUse, Unavailable
from memtypes.light import LIGHT_FIELDS
from memtypes.policy import MemoryType
from memtypes.stores import steps
from memtypes.stores.asks import AnyAsk
from memtypes.stores.edge.glances import GlanceCache
from memtypes.stores.edge.matching import Matcher
from memtypes.stores.edge.shards import CONFIG_FILE, light_payloads, open_shard, operation, read, scroll
from memtypes.stores.edge.tokens import TokenFile
from memtypes.stores.edge.translate import to_filter
from memtypes.stores.keys import key_of
from memtypes.stores.plans import plan_for
from memtypes.stores.schema import indexes_of

WARM_STEP = 100
"""Memories that are read ahead in one go: one or two milliseconds."""

EVERY_STEP = 64
"""Memories that are embedded again in one go."""


@contextmanager
def translated() -> Iterator[None]:
    """Let the engine's errors out as ours. It raises bare Exception for all but arguments of a wrong form."""
    try:
        yield
    except RemembrancerError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the embedded engine refused the request: {error}") from error
    except Exception as error:
        if "WouldBlock" in str(error):
            raise StoreInUse(str(error)) from error
        raise Unavailable(f"the embedded engine failed: {error}") from error


class Engine:
    """The five shards of one store."""

    def __init__(self, shards: Mapping[MemoryType, edge.EdgeShard], paths: Mapping[MemoryType, Path]) -> None:
        self._shards = shards
        self._paths = paths
        self._tokens = {kind: TokenFile(path / "tokens" / "vectors.bin") for kind, path in paths.items()}
        self._glances = {kind: GlanceCache(partial(light_payloads, shard)) for kind, shard in shards.items()}
        self._matcher = Matcher()
        self._unsynced: set[MemoryType] = set()
        self._unflushed: set[MemoryType] = set()

    @classmethod
    def open(cls, paths: Mapping[MemoryType, Path], dimensions: int) -> Engine:
        """The shards of these directories, made where there are none. Raises StoreInUse or Unavailable."""
        with translated():
            return cls({kind: open_shard(path, dimensions, indexes_of(kind)) for kind, path in paths.items()}, paths)

    @classmethod
    def as_kept(cls, paths: Mapping[MemoryType, Path], dimensions: int) -> Engine:
        """The same, where the shards may have been made by an earlier version: each keeps the form that it has."""
        with translated():
            shards = {}
            for kind, path in paths.items():
                known = (path / CONFIG_FILE).exists()
                shards[kind] = edge.EdgeShard.load(str(path)) if known else open_shard(path, dimensions, {})
            return cls(shards, paths)

    def answer(self, ask: AnyAsk) -> Any:
        """The answer of `ask`."""
        return steps.run(plan_for(ask), self._do)

    @property
    def unflushed(self) -> bool:
        """Whether something is in a log alone."""
        return bool(self._unflushed)

    def warm(self) -> Iterator[None]:
        """A step at a time, remember what ranking needs of the memories, so that first searches find it."""
        for kind, shard in self._shards.items():
            start: str | None = None
            while True:
                with translated():
                    found = scroll(shard, steps.Scroll({}, WARM_STEP, LIGHT_FIELDS, start))
                room = self._glances[kind].learn((key_of(one), payload) for one, payload in found)
                yield
                if not room or len(found) < WARM_STEP:
                    break
                start = found[-1][0]

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

    def close(self) -> None:
        """Flush and let go of every shard."""
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
            self._update(kind, change)
            self._tokens[kind].remove(gone)
            if isinstance(change, steps.Put):
                self._glances[kind].learn((key_of(point.id), point.payload) for point in change.points)

    def _update(self, kind: MemoryType, change: steps.Change) -> None:
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


def sync_log(directory: Path) -> None:
    """Return when a log is on the disk. Releases the GIL, unlike a flush, so it may run in a thread."""
    for path in (directory, *directory.iterdir()):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
