"""Conditions, vectors and changes as the Qdrant client's models."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

from memtypes.stores import steps
from memtypes.stores.asks import Point
from memtypes.stores.codec import dense_of, shifted_tokens, sparse_of
from memtypes.stores.conditions import Where
from memtypes.stores.schema import DENSE, SPARSE, TOKENS
from memtypes.vectors import SparseVector


def to_filter(where: Where) -> models.Filter:
    """The client's filter for `where`."""
    clauses = where if where.keys() <= {"must", "should", "must_not"} else {"must": [where]}
    return models.Filter.model_validate(clauses)


def to_query(query: steps.Nearest, *, local: bool) -> models.QueryRequest:
    """The client's query. Payloads are read once, for the union of the legs. local: the client's own exact mode."""
    if isinstance(query.vector, SparseVector):
        vector: Any = _sparse(query.vector)
        params = models.SearchParams(idf=models.IdfCorpusParams(corpus=to_filter(query.corpus)))
        asked = models.QueryRequest(query=vector, using=SPARSE, params=params)
    else:
        vector = query.vector.tolist()
        asked = models.QueryRequest(query=vector, using=DENSE, params=None if local else _dense_params(query))
    return asked.model_copy(update={"filter": to_filter(query.where), "limit": query.limit, "with_payload": False})


def _dense_params(query: steps.Nearest) -> models.SearchParams:
    """Scores come from the vectors themselves, whether or not there is a quantized copy to find candidates with."""
    rescored = models.QuantizationSearchParams(rescore=True, oversampling=2.0, ignore=query.exact)
    return models.SearchParams(exact=query.exact, quantization=rescored)


def to_operation(change: steps.Change) -> models.UpdateOperation:
    """The client's operation for `change`."""
    where = to_filter(change.where)
    match change:
        case steps.Put(points, _):
            return models.UpsertOperation(
                upsert=models.PointsList(points=[to_point(point) for point in points], update_filter=where)
            )
        case steps.SetFields(_, fields):
            return models.SetPayloadOperation(set_payload=models.SetPayload(payload=fields, filter=where))
        case steps.DropFields(_, keys):
            return models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=list(keys), filter=where))
        case steps.Remove():
            return models.DeleteOperation(delete=models.FilterSelector(filter=where))


def to_point(point: Point) -> models.PointStruct:
    """The client's point. Without terms there is no sparse vector, so a text without words counts for no IDF."""
    vectors: dict[str, Any] = {DENSE: dense_of(point.dense).tolist()}
    if point.terms:
        vectors[SPARSE] = _sparse(sparse_of(point.terms, point.weights))
    if point.tokens:
        vectors[TOKENS] = shifted_tokens(point.tokens).tolist()
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
