"""Conditions, vectors and points in the embedded engine's own classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import qdrant_edge as edge

from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.sidecar.slots import SlotFile, Slots
from memtypes.stores.operations.codec import dense_of, sparse_of
from memtypes.stores.operations.conditions import Where
from memtypes.stores.operations.messages import Point
from memtypes.stores.operations.schema import DENSE, SPARSE
from memtypes.stores.operations.steps import Nearest


@dataclass(frozen=True, slots=True)
class Translator:
    """What plans say, as the engine of one shard is told it: ids are its slots there."""

    slots: SlotFile

    def filter(self, where: Where, among: Slots | None = None) -> edge.Filter:
        """The engine's filter for `where`, and for nothing but the points `among`."""
        clauses = where if where.keys() <= {"must", "should", "must_not"} else {"must": [where]}
        only = [] if among is None else [edge.HasIdCondition(set(among.tolist()))]
        return edge.Filter(
            must=[*map(self._condition, clauses.get("must", ())), *only],
            should=[*map(self._condition, clauses.get("should", ()))],
            must_not=[*map(self._condition, clauses.get("must_not", ()))],
        )

    def queries(self, queries: Sequence[Nearest]) -> list[edge.QueryRequest]:
        """The engine's queries; a condition that several have in common is made once."""
        wheres = {id(where): where for query in queries for where in (query.where, query.corpus)}
        made = {one: self.filter(where) for one, where in wheres.items()}
        return [self._query(query, made) for query in queries]

    def _query(self, query: Nearest, made: Mapping[int, edge.Filter]) -> edge.QueryRequest:
        """The engine's query. Payloads are read once, for the union of the legs."""
        where = made[id(query.where)] if query.among is None else self.filter(query.where, query.among)
        if isinstance(query.vector, SparseVector):
            params = edge.SearchParams(idf=edge.IdfParams(made[id(query.corpus)]))
            nearest = edge.Query.Nearest(_sparse(query.vector), SPARSE)
        else:
            params = edge.SearchParams(exact=query.among is not None)
            nearest = edge.Query.Nearest(query.vector.tolist(), DENSE)
        return edge.QueryRequest(query.limit, query=nearest, filter=where, params=params, with_payload=False)

    def _condition(self, where: Where) -> Any:
        match where:
            case {"has_id": ids}:
                return edge.HasIdCondition(set(self.slots.known(ids).tolist()))
            case {"is_empty": {"key": key}}:
                return edge.IsEmptyCondition(key)
            case {"key": key, "match": {"any": values}}:
                return edge.FieldCondition(key, match=edge.MatchAny(values))
            case {"key": key, "match": {"value": value}}:
                return edge.FieldCondition(key, match=edge.MatchValue(_unmistakable(value)))
            case {"key": key, "range": ends}:
                timed = any(isinstance(end, str) for end in ends.values())
                return edge.FieldCondition(key, range=edge.RangeDateTime(**ends) if timed else edge.RangeFloat(**ends))
            case _:
                return self.filter(where)


def _unmistakable(value: str | int) -> Any:
    """`value`, a flag as numpy's: the engine's binding would take Python's own for the number 1 or 0."""
    return np.bool_(value) if isinstance(value, bool) else value


def to_point(point: Point, slot: int) -> edge.Point:
    """The engine's point, without its token vectors, which are kept in a file (see `tokens`).

    Without terms there is no sparse vector, so a text without words counts for no IDF.
    """
    vectors: dict[str, Any] = {DENSE: dense_of(point.dense).tolist()}
    if point.terms:
        vectors[SPARSE] = _sparse(sparse_of(point.terms, point.weights))
    return edge.Point(slot, vectors, point.payload)


def _sparse(vector: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(vector.indices.tolist(), vector.values.tolist())
