"""The memories of one type: the engine's shard, and beside it the slots, the terms and the token vectors of its points.

Every change of a plan is made here. What comes is written to the files before the engine's log, and what goes is taken
out of them after it: so whatever dies in between, no point is without its slot, and none loses its vectors.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import qdrant_edge as edge

from memtypes.stores.edge.engine.reader import Reader
from memtypes.stores.edge.engine.vendor import Translator, to_point
from memtypes.stores.edge.maintenance.deletion_marker import Wear
from memtypes.stores.edge.sidecar.slots import SlotFile, Slots, slots_of
from memtypes.stores.edge.sidecar.sparse_index import TermFile
from memtypes.stores.edge.sidecar.token_vectors import TokenFile
from memtypes.stores.files import sync_directory
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.engine import (
    Change,
    DropFields,
    EnginePoint,
    PutPoints,
    RemovePoints,
    SetFields,
)

_ID = "id"
"""Where a memory names itself in its payload."""

_MENDED_AT_ONCE = 1_000
_TOLD = 10_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """One type's memories in a directory."""

    path: Path
    engine: edge.EdgeShard
    slots: SlotFile
    tokens: TokenFile
    terms: TermFile
    wear: Wear
    reader: Reader

    @classmethod
    def of(cls, path: Path, engine: edge.EdgeShard, wear: Wear | None = None) -> Shard:
        """The shard in `path`, which the engine has open, and its files, made where there are none."""
        slots, terms = SlotFile(path), TermFile.beside(path)
        reader = Reader.of(engine, slots, terms)
        shard = cls(path, engine, slots, TokenFile.beside(path), terms, wear or Wear.of(path), reader)
        shard._mend()
        shard._fill_terms()
        return shard

    @property
    def logs(self) -> tuple[Path, ...]:
        """The directories of what is written with each change."""
        return self.path / "wal", self.slots.directory, self.tokens.directory, self.terms.directory

    def write(self, change: Change) -> Slots | None:
        """The slots of what `change` was about, once it is made; None where only the engine knows."""
        where = Translator(self.slots).filter(change.where)
        self.reader.namespaces.forget(change)
        match change:
            case PutPoints(points):
                return self._put(points, where)
            case RemovePoints():
                return self._remove(self.reader.matching(change.where), where)
            case SetFields(_, fields):
                self.engine.update(edge.UpdateOperation.set_payload_by_filter(where, fields))
            case DropFields(_, keys):
                self.engine.update(edge.UpdateOperation.delete_payload_by_filter(where, list(keys)))
        return self.named(change)

    def named(self, change: Change) -> Slots | None:
        """The slots of the memories that `change` names: all that it can be about; None where it names none."""
        if isinstance(change, PutPoints):
            return self.slots.known([point.id for point in change.points])
        ids = _named_in(change.where)
        return None if ids is None else self.slots.known(ids)

    def close(self) -> None:
        """Let go of the files."""
        self.engine.close()
        self.tokens.close()
        self.terms.close()
        self.slots.close()

    def _put(self, points: Sequence[EnginePoint], where: edge.Filter) -> Slots:
        """Its plan has made sure that no other scope's points are meant, so their token vectors may go first."""
        slots = self.slots.claim([point.id for point in points])
        tokens = [point.vectors.tokens for point in points]
        rich = np.array([one is not None and len(one) > 0 for one in tokens], dtype=np.bool_)
        self.tokens.put(slots[rich], [one for one in tokens if one is not None and len(one)])
        self.terms.put(slots, [point.vectors.sparse for point in points])
        made = [to_point(point, slot) for point, slot in zip(points, slots.tolist(), strict=True)]
        self.engine.update(edge.UpdateOperation.upsert_points(made, condition=where))
        self.tokens.remove(slots[~rich])
        return slots

    def _remove(self, gone: Slots, where: edge.Filter) -> Slots:
        if len(gone):
            self.wear.note(time.time_ns())
        self.engine.update(edge.UpdateOperation.delete_points_by_filter(where))
        self.tokens.remove(gone)
        self.terms.remove(gone)
        self.slots.remove(gone)
        return gone

    def _mend(self) -> None:
        """Make the slots say what the engine has: of the last second a power cut may keep the one and not the other.

        Asked for are the points of slots without an id, and those beyond the last slot. A memory names itself.
        """
        doubtful = self.slots.doubtful()
        known = self.reader.payloads(doubtful, (_ID,))
        last = len(self.slots) - 1
        while more := self.reader.after(last, _MENDED_AT_ONCE, (_ID,)):
            known.update(more)
            last = more[-1][0]
        self.slots.settle(doubtful, {slot: payload[_ID] for slot, payload in known.items()})

    def _fill_terms(self) -> None:
        """Have the terms of every point: one of an earlier version has none, and a power cut may have taken some."""
        lacking = self.terms.lacking(self.slots.used())
        if len(lacking) > _TOLD:
            _log.warning("the terms of %d memories are read, which takes a few seconds for some 100,000", len(lacking))
        for start in range(0, len(lacking), _MENDED_AT_ONCE):
            slots = lacking[start : start + _MENDED_AT_ONCE]
            vectors = self.reader.sparse_vectors(slots)
            self.terms.put(slots_of(vectors), list(vectors.values()))
        if len(lacking):
            sync_directory(self.terms.directory)


def _named_in(where: Condition) -> list[str] | None:
    """The only ids that can meet `where`, or None when it does not say."""
    for part in where.get("must", ()):
        if "has_id" in part:
            ids: list[str] = part["has_id"]
            return ids
    return None
