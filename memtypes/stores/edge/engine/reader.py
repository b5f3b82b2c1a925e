"""Reads one shard: searches, scrolls and counts. Converts memory ids to the engine's point numbers
and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import qdrant_edge as edge

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.engine.vendor import SharedFilters, Translator, engine_call
from memtypes.stores.edge.sidecar.slots import SlotFile, Slots, slots_of
from memtypes.stores.edge.sidecar.sparse_search import NamespaceCache, TermFile, shard_hits
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.schema import SPARSE
from memtypes.stores.operations.uuids import ids_of, strings_of
from memtypes.stores.operations.vector_engine import (
    FacetCounts,
    Payload,
    QueryHits,
    Scroll,
    ScrollOrder,
    VectorQuery,
)

SlotPayloads: TypeAlias = dict[int, Payload]
"""Payloads of memories by slot (point number)."""

_NEWEST_FIRST = edge.OrderBy("created_at", edge.Direction.Desc)


class Reader:
    """Reads one shard. namespaces: caches the sizes of namespaces, and the inverted indexes of
    small ones.
    """

    def __init__(self, engine: edge.EdgeShard, slots: SlotFile, terms: TermFile) -> None:
        self._engine = engine
        self._slots = slots
        self._terms = terms
        self.namespaces = NamespaceCache(self.matching, self._count)

    def search(self, queries: Sequence[VectorQuery], shared: SharedFilters) -> list[QueryHits]:
        """The hits of each query. Keyword queries in small namespaces are answered by inverted
        indexes if possible.
        """
        return shard_hits(
            queries, self.namespaces, self._terms, partial(self.engine_hits, shared=shared)
        )

    def engine_hits(self, queries: Sequence[VectorQuery], shared: SharedFilters) -> list[QueryHits]:
        """The engine's hits of each query, without the use of inverted indexes. shared: caches
        converted filters.
        """
        translator = Translator(self._slots, shared)
        requests = edge.QueryBatchRequest([translator.query(query) for query in queries])
        return [
            QueryHits(slots_in(hits), np.array([hit.score for hit in hits], dtype=np.float64))
            for hits in engine_call(self._engine.query_batch, requests)
        ]

    def scroll(self, scroll: Scroll) -> dict[str, Payload]:
        """Read points by condition. Returns their payloads by point id, in the order that `scroll`
        names.
        """
        if scroll.order is ScrollOrder.BY_ID:
            return self._scroll_by_id(scroll)
        request = edge.ScrollRequest(
            limit=scroll.limit,
            filter=self._filter(scroll.where),
            with_payload=_selected(scroll.fields),
            order_by=_NEWEST_FIRST if scroll.order is ScrollOrder.NEWEST_FIRST else None,
        )
        records = self._records(request)
        ids = strings_of(self._slots.ids(slots_in(records)))
        return {
            memory_id: record.payload or {} for memory_id, record in zip(ids, records, strict=True)
        }

    def count(self, where: Condition) -> int:
        """The number of points that meet a condition."""
        cached = self.namespaces.count(where)
        return self._count(where) if cached is None else cached

    def facet(self, field: str, where: Condition, limit: int) -> FacetCounts:
        """The values of a payload field, each with the number of memories that have it; at most
        `limit` values.
        """
        facets = engine_call(
            self._engine.facet,
            edge.FacetRequest(field, limit, exact=True, filter=self._filter(where)),
        )
        return [(hit.value, hit.count) for hit in facets.hits]

    def payloads(self, slots: Slots, fields: Sequence[str] | None = None) -> SlotPayloads:
        """The payloads of the existing points with these slots (point numbers), by slot. fields:
        None to read all.
        """
        records = engine_call(self._engine.retrieve, slots.tolist(), _selected(fields), False)
        return {_slot(record): record.payload or {} for record in records}

    def sparse_vectors(self, slots: Slots) -> dict[int, SparseVector]:
        """The sparse vectors of the points with these slots (point numbers), by slot; empty for
        texts without terms.
        """
        records = engine_call(self._engine.retrieve, slots.tolist(), False, [SPARSE])
        return {_slot(record): _sparse(record.vector) for record in records}

    def after(
        self, slot: int, limit: int, fields: Sequence[str] | None
    ) -> list[tuple[int, Payload]]:
        """The slot and payload of the next `limit` points after `slot`, ascending by slot. fields:
        None for all.
        """
        request = edge.ScrollRequest(offset=slot + 1, limit=limit, with_payload=_selected(fields))
        return [(_slot(record), record.payload or {}) for record in self._records(request)]

    def matching(self, where: Condition, limit: int | None = None) -> Slots:
        """The slots of the points that meet a condition, ascending. limit: maximum number of slots;
        None for all.
        """
        limit = max(1, len(self._slots)) if limit is None else limit
        return slots_in(
            self._records(
                edge.ScrollRequest(limit=limit, filter=self._filter(where), with_payload=False)
            )
        )

    def _count(self, where: Condition) -> int:
        return engine_call(
            self._engine.count, edge.CountRequest(exact=True, filter=self._filter(where))
        )

    def _filter(self, where: Condition) -> edge.Filter:
        return Translator(self._slots).filter(where)

    def _records(self, request: edge.ScrollRequest) -> list[edge.Record]:
        records, _ = engine_call(self._engine.scroll, request)
        return records

    def _scroll_by_id(self, scroll: Scroll) -> dict[str, Payload]:
        """The payloads of points that meet a condition, ordered by id. Sorts all matching ids, as
        the engine can't.
        """
        slots = self.matching(scroll.where)
        ids = self._slots.ids(slots)
        order = np.argsort(ids)
        if scroll.start_id is not None:
            order = order[ids[order] >= ids_of([scroll.start_id])]
        selected = slots[order[: scroll.limit]]
        payloads = self.payloads(selected, scroll.fields)
        ids_in_order = strings_of(self._slots.ids(selected))
        return {
            memory_id: payloads[slot]
            for slot, memory_id in zip(selected.tolist(), ids_in_order, strict=True)
        }


def _selected(fields: Sequence[str] | None) -> bool | list[str]:
    """The engine's `with_payload` argument for the payload fields to read; None for all fields."""
    return True if fields is None else list(fields) or False


def slots_in(points: Iterable[Any]) -> Slots:
    """The slots (point numbers) of the engine's points or hits, in their order."""
    return slots_of([point.id for point in points])


def _slot(point: edge.Record) -> int:
    slot: Any = point.id  # every id of a shard is a number
    return int(slot)


def _sparse(vectors: Any) -> SparseVector:
    sparse = vectors.get(SPARSE) if isinstance(vectors, dict) else None
    if sparse is None:
        return SparseVector(np.empty(0, np.uint32), np.empty(0, np.float32))
    return SparseVector(np.array(sparse.indices, np.uint32), np.array(sparse.values, np.float32))
