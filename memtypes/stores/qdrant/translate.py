"""Converts conditions, queries, points and changes to the Qdrant client's classes; converts hits
and errors back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.search.vectors import SparseVector, TokenMaxima, TokenVectors
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.schema import DENSE, SPARSE, TOKENS
from memtypes.stores.operations.uuids import ids_of, strings_of
from memtypes.stores.operations.vector_engine import (
    Change,
    Keys,
    Point,
    PutPoints,
    QueryHits,
    RemovePoints,
    SetFields,
    VectorQuery,
)


def to_filter(where: Condition) -> models.Filter:
    """Convert a condition to the Qdrant client's filter."""
    clauses = where if where.keys() <= {"must", "should", "must_not"} else {"must": [where]}
    return models.Filter.model_validate(clauses)


def to_query(query: VectorQuery, *, local: bool, texts: bool = False) -> models.QueryRequest:
    """Convert a query for the client. local: True for its local mode. texts: True if a point has a
    vector per text.
    """
    if isinstance(query.vector, SparseVector):
        params = models.SearchParams(idf=models.IdfCorpusParams(corpus=to_filter(query.corpus)))
        request = models.QueryRequest(query=_sparse(query.vector), using=SPARSE, params=params)
    else:
        dense = [query.vector.tolist()] if texts else query.vector.tolist()
        exact = query.among is not None
        # Hits are found by quantized vectors if there are any, and scored by the original vectors.
        rescoring = models.QuantizationSearchParams(rescore=True, oversampling=2.0, ignore=exact)
        params = models.SearchParams(exact=exact, quantization=rescoring)
        request = models.QueryRequest(query=dense, using=DENSE, params=None if local else params)
    conditions = (
        [to_filter(query.where)]
        if query.among is None
        else [to_filter(query.where), _has_ids(query.among)]
    )
    where = models.Filter(must=conditions)
    return request.model_copy(update={"filter": where, "limit": query.limit, "with_payload": False})


def to_hits(points: Sequence[models.ScoredPoint]) -> QueryHits:
    """Convert the Qdrant client's hits to QueryHits, with the UUIDs of the points as keys."""
    scores = np.array([point.score for point in points], dtype=np.float64)
    return QueryHits(ids_of(str(point.id) for point in points), scores)


def to_token_queries(query: TokenVectors, keys: Keys) -> list[models.QueryRequest]:
    """One query for each token of `query`: its hits' scores are the token's best cosines with the
    memories `keys`.
    """
    where = _has_ids(keys)
    return [
        models.QueryRequest(
            query=[token], using=TOKENS, filter=where, limit=len(keys), with_payload=False
        )
        for token in unit_tokens(query).tolist()
    ]


def to_token_maxima(keys: Keys, answers: Sequence[models.QueryResponse]) -> TokenMaxima:
    """The best cosines in the answers to `to_token_queries`: a row for each key, NaN without token
    vectors.
    """
    rows = {memory_id: row for row, memory_id in enumerate(strings_of(keys))}
    best = np.full((len(keys), len(answers)), np.nan, dtype=np.float32)
    for column, answer in enumerate(answers):
        for hit in answer.points:
            best[rows[str(hit.id)], column] = hit.score
    return best


def unit_tokens(tokens: TokenVectors) -> NDArray[np.float32]:
    """int8 token vectors as floats of unit length."""
    return tokens.astype(np.float32) / np.float32(127.0)


def to_operation(change: Change) -> models.UpdateOperation:
    """Convert a change to the Qdrant client's operation."""
    where = to_filter(change.where)
    match change:
        case PutPoints(points, _):
            return models.UpsertOperation(
                upsert=models.PointsList(
                    points=[to_point(point) for point in points], update_filter=where
                )
            )
        case SetFields(_, fields):
            return models.SetPayloadOperation(
                set_payload=models.SetPayload(payload=fields, filter=where)
            )
        case RemovePoints():
            return models.DeleteOperation(delete=models.FilterSelector(filter=where))


def to_point(point: Point) -> models.PointStruct:
    """Convert a point. A memory without terms gets no sparse vector, an item without texts gets no
    dense vector.
    """
    vectors: dict[str, Any] = (
        {DENSE: point.vectors.dense.tolist()} if len(point.vectors.dense) else {}
    )
    if len(point.vectors.sparse.indices):
        vectors[SPARSE] = _sparse(point.vectors.sparse)
    if point.vectors.tokens is not None and len(point.vectors.tokens):
        vectors[TOKENS] = unit_tokens(point.vectors.tokens).tolist()
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())


def _has_ids(keys: Keys) -> models.Filter:
    return models.Filter(must=[models.HasIdCondition(has_id=strings_of(keys))])


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Context manager that translates the Qdrant client's errors to InvalidRequest or Unavailable
    with the url.
    """
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code in (401, 403):
            message = (
                f"the Qdrant server at {url} refused the API key ({error.status_code}); "
                "set the server's key"
            )
            raise Unavailable(message) from error
        detail = error.content[:200].decode("utf-8", "replace").strip() or error.reason_phrase
        if error.status_code in (400, 422):
            raise InvalidRequest(
                f"the Qdrant server at {url} refused the request: {detail}"
            ) from error
        raise Unavailable(
            f"the Qdrant server at {url} answered {error.status_code}: {detail}"
        ) from error
    except ResponseHandlingException as error:
        raise _unreachable(url, error.source) from error
    # Raised by the client for an unexpected answer
    except (json.JSONDecodeError, AssertionError) as error:
        raise _unreachable(url, error) from error
    except ResourceExhaustedResponse as error:
        wait = max(1, math.ceil(error.retry_after_s))
        raise Unavailable(
            f"the Qdrant server at {url} is overloaded", retry_after_s=wait
        ) from error


def _unreachable(url: str, cause: Exception) -> Unavailable:
    if isinstance(cause, httpx.TimeoutException):
        return Unavailable(f"the Qdrant server at {url} did not answer in time")
    if isinstance(cause, httpx.TransportError):
        return Unavailable(f"the Qdrant server at {url} can't be reached: {cause}")
    return Unavailable(f"the server at {url} does not answer like Qdrant: {cause}")
