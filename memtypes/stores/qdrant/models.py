"""Conditions, vectors and changes as the Qdrant client's models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from memtypes.search.vectors import SparseVector
from memtypes.stores.operations import steps
from memtypes.stores.operations.codec import dense_of, sparse_of, tokens_of, unit_tokens
from memtypes.stores.operations.conditions import Where
from memtypes.stores.operations.keys import Keys, strings_of
from memtypes.stores.operations.messages import Point
from memtypes.stores.operations.schema import DENSE, SPARSE, TOKENS


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
    bounds = [to_filter(query.where)] if query.among is None else [to_filter(query.where), _only(query.among)]
    among = models.Filter(must=bounds)
    return asked.model_copy(update={"filter": among, "limit": query.limit, "with_payload": False})


def _only(keys: Keys) -> models.Filter:
    return models.Filter(must=[models.HasIdCondition(has_id=strings_of(keys))])


def to_token_queries(late: steps.Late) -> list[models.QueryRequest]:
    """One query a token: its best cosine in each of the memories that have token vectors."""
    among = _only(late.keys)
    return [
        models.QueryRequest(query=[token], using=TOKENS, filter=among, limit=len(late.keys), with_payload=False)
        for token in unit_tokens(late.tokens).tolist()
    ]


def to_maxima(late: steps.Late, answers: Sequence[models.QueryResponse]) -> NDArray[np.float32]:
    """The answers of `to_token_queries` as the step wants them; see `memtypes.stores.operations.maxsim`."""
    place = {one: row for row, one in enumerate(strings_of(late.keys))}
    best = np.full((len(late.keys), len(late.tokens)), np.nan, dtype=np.float32)
    for column, answer in enumerate(answers):
        for hit in answer.points:
            best[place[str(hit.id)], column] = hit.score
    return best


def _dense_params(query: steps.Nearest) -> models.SearchParams:
    """Scores come from the vectors themselves, whether or not there is a quantized copy to find candidates with."""
    rescored = models.QuantizationSearchParams(rescore=True, oversampling=2.0, ignore=query.among is not None)
    return models.SearchParams(exact=query.among is not None, quantization=rescored)


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
        vectors[TOKENS] = unit_tokens(tokens_of(point.tokens)).tolist()
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
