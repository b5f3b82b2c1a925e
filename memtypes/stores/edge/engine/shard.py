"""The points of one collection: the engine's shard, and this program's own files beside it, called
the sidecar.

The sidecar's files are indexed by slot, which is the number of a point. They are written before the
point is written to the engine, and cleared after it is removed. So even if the process dies in
between, every point has its rows.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import qdrant_edge as edge

from memtypes.ports.memory_store import Record
from memtypes.stores.edge.engine.reader import Reader, slots_in
from memtypes.stores.edge.engine.vendor import Translator, engine_call, to_point
from memtypes.stores.edge.sidecar.field_file import FieldFile
from memtypes.stores.edge.sidecar.slots import SlotFile, Slots, slots_of
from memtypes.stores.edge.sidecar.sparse_search import TermFile
from memtypes.stores.edge.sidecar.token_vectors import TokenFile
from memtypes.stores.files import sync_directory
from memtypes.stores.operations.uuids import ids_of
from memtypes.stores.operations.vector_engine import (
    Change,
    Point,
    PutPoints,
    RemovePoints,
    SetFields,
)

_ID = "id"
"""The payload field with the memory's id."""

_MARK = "removed"
"""Name of a file in a shard's directory that marks the shard as having bytes of removed points."""

_REPAIR_BATCH = 1_000
COPY_BATCH = 32
"""Points in each batch when a shard is copied. Copying a batch takes some milliseconds; no request
runs meanwhile.
"""

_WARN_ABOVE = 10_000
"""Repairing the terms of more memories than this logs a warning, as it takes seconds."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Shard:
    """The points of one collection in the directory `path`: the engine's shard, index files beside
    it, and a reader.

    deleted_since: time in ns of the first removal, since which the shard contains bytes of removed
    points; 0 if there are such bytes but the time is unknown; None if there are none.
    """

    path: Path
    engine: edge.EdgeShard
    slots: SlotFile
    tokens: TokenFile
    terms: TermFile
    fields: FieldFile
    reader: Reader
    deleted_since: int | None

    @classmethod
    def opened(cls, path: Path, engine: edge.EdgeShard, *, is_copy: bool = False) -> Shard:
        """Open the index files of the shard in `path`, which is already open as `engine`. Creates
        or repairs them.

        is_copy: True for a new copy of a shard, which has no bytes of deleted points. Any other
        shard has `deleted_since` 0 (unknown) if a file marks it as having such bytes, or if another
        version of it exists, which may have them.
        """
        slots = SlotFile(path)
        terms = TermFile.beside(path)
        tokens = TokenFile.beside(path)
        fields = FieldFile.beside(path)
        marked = (path / _MARK).exists() or any(
            version != path for version in path.parent.iterdir()
        )
        deleted_since = 0 if marked and not is_copy else None
        shard = cls(
            path,
            engine,
            slots,
            tokens,
            terms,
            fields,
            Reader(engine, slots, terms),
            deleted_since,
        )
        shard._repair_slots()
        shard._repair_terms()
        return shard

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories to sync after a change: the log and the index files. The field file is
        only a cache.
        """
        return self.path / "wal", self.slots.directory, self.tokens.directory, self.terms.directory

    def write(self, change: Change) -> Slots | None:
        """Apply a change to the shard and its index files. Returns the slots of the changed points;
        None if unknown.
        """
        where = Translator(self.slots).filter(change.where)
        self.reader.namespaces.invalidate(change)
        match change:
            case PutPoints(points):
                return self._put(points, where)
            case RemovePoints():
                return self._remove(self.reader.matching(change.where), where)
            case SetFields(_, values):
                self._forget_fields(change)
                engine_call(
                    self.engine.update, edge.UpdateOperation.set_payload_by_filter(where, values)
                )
        return self.listed_slots(change)

    def listed_slots(self, change: Change) -> Slots | None:
        """The slots (point numbers) of the points whose ids a change lists; None if it selects
        points otherwise.
        """
        if isinstance(change, PutPoints):
            return self.slots.existing([point.id for point in change.points])
        for clause in change.where.get("must", ()):
            if "has_id" in clause:
                return self.slots.existing(clause["has_id"])
        return None

    def close(self) -> None:
        """Close the engine's shard and the index files beside it."""
        engine_call(self.engine.close)
        self.tokens.close()
        self.terms.close()
        self.fields.close()
        self.slots.close()

    def delete_other_versions(self) -> None:
        """Delete the directories of all other versions of this shard, such as the one that it
        replaced.
        """
        for version in self.path.parent.iterdir():
            if version != self.path:
                shutil.rmtree(version)

    def _put(self, points: Sequence[Point], where: edge.Filter) -> Slots:
        # The request has checked that no point belongs to another scope, so the index files may be
        # overwritten first.
        slots = self.slots.claim(ids_of(point.id for point in points))
        self.tokens.put(slots, [point.vectors.tokens for point in points])
        self.terms.put(slots, [point.vectors.sparse for point in points])
        self.fields.remove(slots)
        converted = [
            to_point(point, slot) for point, slot in zip(points, slots.tolist(), strict=True)
        ]
        engine_call(
            self.engine.update, edge.UpdateOperation.upsert_points(converted, condition=where)
        )
        written = zip(slots.tolist(), points, strict=True)
        self.fields.put(
            {slot: point.payload for slot, point in written if isinstance(point, Record)}
        )
        return slots

    def _remove(self, slots: Slots, where: edge.Filter) -> Slots:
        if len(slots) and self.deleted_since is None:
            self._mark_deleted()
        engine_call(self.engine.update, edge.UpdateOperation.delete_points_by_filter(where))
        self.tokens.remove(slots)
        self.terms.remove(slots)
        self.fields.remove(slots)
        self.slots.remove(slots)
        return slots

    def _mark_deleted(self) -> None:
        """Record in `deleted_since`, and in a file for later processes, that the shard will contain
        deleted bytes.
        """
        self.deleted_since = time.time_ns()
        handle = os.open(self.path / _MARK, os.O_WRONLY | os.O_CREAT, 0o600)
        os.fsync(handle)
        os.close(handle)

    def _forget_fields(self, change: SetFields) -> None:
        if self.fields.holds_any(change.fields):
            slots = self.listed_slots(change)
            self.fields.remove(self.reader.matching(change.where) if slots is None else slots)

    def _repair_slots(self) -> None:
        """Make the slot file agree with the engine after a power cut: its doubtful slots, and those
        that it lost.
        """
        doubtful = self.slots.doubtful()
        payloads = self.reader.payloads(doubtful, (_ID,))
        last = len(self.slots) - 1
        while batch := self.reader.after(last, _REPAIR_BATCH, (_ID,)):
            payloads.update(batch)
            last = batch[-1][0]
        self.slots.repair(doubtful, {slot: payload[_ID] for slot, payload in payloads.items()})

    def _repair_terms(self) -> None:
        """Copy the sparse vectors that the term file lacks (as after a power cut) from the engine
        to the file.
        """
        without_terms = self.terms.slots_without(self.slots.used())
        if len(without_terms) > _WARN_ABOVE:
            _log.warning(
                "reading the terms of %d memories; 100,000 take a few seconds", len(without_terms)
            )
        for start in range(0, len(without_terms), _REPAIR_BATCH):
            vectors = self.reader.sparse_vectors(without_terms[start : start + _REPAIR_BATCH])
            self.terms.put(slots_of(vectors), list(vectors.values()))
        if len(without_terms):
            sync_directory(self.terms.directory)


@dataclass(slots=True)
class ShardCopy:
    """A copy of a shard, without the bytes of deleted points that the engine keeps in its segments
    and its log.

    It is filled in batches while the source is still written to. copied: the slot (point number) of
    the last source point that was copied. Every later change of the source is applied to both, so
    up to `copied` both have the same points. The points of the copy get new slots, without gaps.
    """

    shard: Shard
    copied: int = -1

    def copy_batch(self, source: Shard) -> bool:
        """Copy the next points of `source`, with all their vectors. Returns True if the copy is now
        complete.
        """
        request = edge.ScrollRequest(
            offset=self.copied + 1, limit=COPY_BATCH + 1, with_payload=True, with_vector=True
        )
        records, _ = engine_call(source.engine.scroll, request)
        old = slots_in(records)
        if records:
            new = self.shard.slots.claim(source.slots.ids(old))
            self.shard.tokens.copy(source.tokens, old, new)
            self.shard.terms.copy(source.terms, old, new)
            self.shard.fields.copy(source.fields, old, new)
            pairs = zip(new.tolist(), records, strict=True)
            points = [
                edge.Point(slot, record.vector or {}, record.payload) for slot, record in pairs
            ]
            engine_call(self.shard.engine.update, edge.UpdateOperation.upsert_points(points))
        complete = len(records) <= COPY_BATCH
        self.copied = sys.maxsize if complete else int(old[-1])
        return complete

    def apply(self, change: Change, slots: Slots | None) -> None:
        """Apply a change of the source shard to the points copied so far. slots: what the source's
        `write` returned.
        """
        if isinstance(change, PutPoints) and slots is not None:
            copied = np.flatnonzero(slots <= self.copied).tolist()
            change = PutPoints(tuple(change.points[position] for position in copied), change.where)
            if not change.points:
                return
        self.shard.write(change)

    def new_slots(self, source: Shard) -> Slots:
        """For each slot (point number) of `source`, the slot of the same point in this copy; -1 if
        it was removed.
        """
        return self.shard.slots.lookup(source.slots.ids(np.arange(len(source.slots))))
