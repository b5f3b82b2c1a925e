"""What is read of one shard of the engine: each step of a plan that changes nothing, and points by slot.

Here ids become slots and slots ids: plans know the ones, the engine knows the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import qdrant_edge as edge

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.engine.translate import Translator
from memtypes.stores.edge.sidecar.namespace_cache import Scopes
from memtypes.stores.edge.sidecar.slots import SlotFile, Slots, slots_of
from memtypes.stores.edge.sidecar.sparse_index import TermFile
from memtypes.stores.edge.sidecar.sparse_search import Searches
from memtypes.stores.operations import steps
from memtypes.stores.operations.conditions import Where
from memtypes.stores.operations.keys import Ids, ids_of, strings_of
from memtypes.stores.operations.schema import SPARSE

Payloads: TypeAlias = dict[int, dict[str, Any]]
"""Payloads by slot."""

Pairs: TypeAlias = list[tuple[str, dict[str, Any]]]
"""Ids and payloads."""

_NEWEST_FIRST = edge.OrderBy("created_at", edge.Direction.Desc)


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Reads one shard."""

    engine: edge.EdgeShard
    slots: SlotFile
    terms: TermFile
    scopes: Scopes

    @classmethod
    def of(cls, engine: edge.EdgeShard, slots: SlotFile, terms: TermFile) -> Reader:
        """What reads the shard that consists of these."""
        return cls(engine, slots, terms, Scopes(partial(_matching, engine, slots)))

    def read(self, step: steps.Step) -> Any:
        """The answer of a step that needs nothing but this shard."""
        return _READ[type(step)](self, step)

    def payloads(self, slots: Slots, fields: Sequence[str] | None = None) -> Payloads:
        """The payloads of those points that exist, whole or with these fields alone."""
        return {_slot(record): record.payload or {} for record in self._retrieve(slots, fields)}

    def sparse_vectors(self, slots: Slots) -> dict[int, SparseVector]:
        """The sparse vectors of those points that exist, by slot; one without terms has an empty one."""
        records = self.engine.retrieve(slots.tolist(), False, [SPARSE])
        return {_slot(record): _sparse(record.vector) for record in records}

    def after(self, slot: int, limit: int, fields: Sequence[str] | None) -> list[tuple[int, dict[str, Any]]]:
        """The first points after a slot with their payloads, whole or with these fields alone."""
        request = edge.ScrollRequest(offset=slot + 1, limit=limit, with_payload=_selected(fields))
        return [(_slot(record), record.payload or {}) for record in self._records(request)]

    def matching(self, where: Where) -> Slots:
        """The slots of every point that meets a condition."""
        return _matching(self.engine, self.slots, where, max(1, len(self.slots)))

    @property
    def _to(self) -> Translator:
        return Translator(self.slots)

    def search(self, step: steps.Search) -> list[steps.Hits]:
        """For each query what it found."""
        return Searches(self.scopes, self.terms, self.by_engine).hits(step.queries)

    def scroll(self, step: steps.Scroll) -> Pairs:
        """Points that meet a condition."""
        request = edge.ScrollRequest(
            limit=step.limit,
            filter=self._to.filter(step.where),
            with_payload=_selected(step.fields),
            order_by=_NEWEST_FIRST if step.newest_first else None,
        )
        return self._named(self._records(request))

    def by_id(self, step: steps.ById) -> Pairs:
        """Points in the order of ids; slots are in another, so all that meet the condition are put in order."""
        slots = self.matching(step.where)
        ids = self.slots.ids(slots)
        order = np.argsort(ids)
        if step.start is not None:
            order = order[ids[order] >= ids_of([step.start])]
        chosen = slots[order[: step.limit]]
        found = self.payloads(chosen, step.fields)
        return [(name, found[slot]) for slot, name in zip(chosen.tolist(), self._names(chosen), strict=True)]

    def fetch(self, step: steps.Fetch) -> dict[str, dict[str, Any]]:
        """Whole payloads by id."""
        return dict(self._named(self._retrieve(self.slots.known(step.ids), None)))

    def count(self, step: steps.Count) -> int:
        """How many points meet a condition."""
        members = self.scopes.members(step.where)
        if members is not None:
            return len(members)
        return self.engine.count(edge.CountRequest(exact=True, filter=self._to.filter(step.where)))

    def facet(self, step: steps.Facet) -> list[tuple[Any, int]]:
        """The values of a field, and how often each occurs."""
        where = self._to.filter(step.where)
        facets = self.engine.facet(edge.FacetRequest(step.key, step.limit, exact=True, filter=where))
        return [(hit.value, hit.count) for hit in facets.hits]

    def keys_of(self, step: steps.KeysOf) -> Slots:
        """The slots of ids."""
        return self.slots.find(step.ids)

    def ids_of_slots(self, step: steps.IdsOf) -> Ids:
        """The ids of slots."""
        return self.slots.ids(step.keys)

    def by_engine(self, queries: Sequence[steps.Nearest]) -> list[steps.Hits]:
        """The engine's hits of each query."""
        return [_hits(hits) for hits in self.engine.query_batch(edge.QueryBatchRequest(self._to.queries(queries)))]

    def _records(self, request: edge.ScrollRequest) -> list[edge.Record]:
        records, _ = self.engine.scroll(request)
        return records

    def _retrieve(self, slots: Slots, fields: Sequence[str] | None) -> list[edge.Record]:
        return self.engine.retrieve(slots.tolist(), _selected(fields), False)

    def _named(self, records: Sequence[edge.Record]) -> Pairs:
        names = self._names(slots_in(records))
        return [(name, record.payload or {}) for name, record in zip(names, records, strict=True)]

    def _names(self, slots: Slots) -> list[str]:
        return strings_of(self.slots.ids(slots))


_READ: Mapping[type[Any], Callable[[Reader, Any], Any]] = MappingProxyType(
    {
        steps.Search: Reader.search,
        steps.Scroll: Reader.scroll,
        steps.ById: Reader.by_id,
        steps.Fetch: Reader.fetch,
        steps.Count: Reader.count,
        steps.Facet: Reader.facet,
        steps.KeysOf: Reader.keys_of,
        steps.IdsOf: Reader.ids_of_slots,
    }
)


def _selected(fields: Sequence[str] | None) -> bool | list[str]:
    """Which of a payload is read, in the vendor's form; fields: None for all."""
    return True if fields is None else list(fields) or False


def _matching(engine: edge.EdgeShard, slots: SlotFile, where: Where, limit: int) -> Slots:
    """The slots of the points that meet a condition, so many at most, in the order of slots."""
    request = edge.ScrollRequest(limit=limit, filter=Translator(slots).filter(where), with_payload=False)
    return slots_in(engine.scroll(request)[0])


def slots_in(points: Iterable[Any]) -> Slots:
    """The slots of points or hits."""
    return slots_of([point.id for point in points])


def _slot(point: edge.Record) -> int:
    slot: Any = point.id  # every id is a number: the store makes no others
    return int(slot)


def _sparse(vectors: Any) -> SparseVector:
    """The sparse one of a point's vectors, in ascending order of terms."""
    own = vectors.get(SPARSE) if isinstance(vectors, dict) else None
    if own is None:
        return SparseVector(np.empty(0, np.uint32), np.empty(0, np.float32))
    return SparseVector(np.array(own.indices, np.uint32), np.array(own.values, np.float32))


def _hits(hits: Sequence[edge.ScoredPoint]) -> steps.Hits:
    scores = np.array([hit.score for hit in hits], dtype=np.float64)
    return steps.Hits(slots_in(hits), scores)
