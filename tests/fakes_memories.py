"""An in-memory memory store without indexes, which passes the contract tests of MemoryStore.

It evaluates the most frequent filter conditions itself, and leaves others to qdrant-client's local
mode, which is slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from qdrant_client.local.payload_filters import check_filter

from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record
from memtypes.search.columns import ColumnKinds, Columns
from memtypes.search.vectors import DenseVector, SparseVector, TokenMaxima, TokenVectors
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.engine_store import Answer, EngineFunction, EngineStore, Parameters
from memtypes.stores.operations.schema import COLLECTIONS, Collection, Kind
from memtypes.stores.operations.uuids import Ids, ids_of, strings_of
from memtypes.stores.operations.vector_engine import (
    Change,
    EngineOperations,
    ExistingColumns,
    FacetCounts,
    ItemPoint,
    Keys,
    Payload,
    Point,
    PutPoints,
    QueryHits,
    RemovePoints,
    Scroll,
    ScrollOrder,
    SetFields,
    VectorQuery,
)
from memtypes.stores.qdrant.translate import to_filter
from retrieval.columns import COLUMNS

_UNIT = 127.0
"""The length of a token vector, which is stored as int8."""


class InMemoryStore(EngineStore):
    """A MemoryStore in this process, empty at first. dimensions: length of its dense vectors."""

    def __init__(self, dimensions: int = 16) -> None:
        super().__init__(dimensions)
        self.engine = InMemoryEngine()

    async def call(
        self,
        function: EngineFunction[Parameters, Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run `function` on the engine and return its answer."""
        return await function(self.engine, *arguments, **named)

    async def ping(self) -> None:
        """Return at once."""

    async def aclose(self) -> None:
        """Return at once; the memories can still be read."""


class InMemoryEngine(EngineOperations):
    """Points in dictionaries by collection and id; the engine's key of a point is that id."""

    def __init__(self, column_kinds: ColumnKinds = COLUMNS) -> None:
        super().__init__(column_kinds)
        self._points: dict[Collection, dict[str, Point]] = {kind: {} for kind in COLLECTIONS}

    @property
    def points(self) -> list[Record]:
        """The stored record of every memory."""
        return [
            point
            for points in self._points.values()
            for point in points.values()
            if isinstance(point, Record)
        ]

    def clear(self) -> None:
        """Remove all memories and items."""
        for points in self._points.values():
            points.clear()

    async def count(self, wheres: Mapping[Kind, Condition]) -> dict[Kind, int]:
        """The number of memories by type that meet the condition of this type."""
        return {kind: len(self._matching(kind, where)) for kind, where in wheres.items()}

    async def facet(
        self, field: str, wheres: Mapping[Kind, Condition], limit: int
    ) -> dict[Kind, FacetCounts]:
        """The values of a payload field by type, each with the number of memories that have it;
        most frequent first.
        """
        return {
            kind: Counter(
                _value(point.payload, field) for point in self._matching(kind, where)
            ).most_common(limit)
            for kind, where in wheres.items()
        }

    async def scroll(self, scrolls: Mapping[Kind, Scroll]) -> dict[Kind, dict[str, Payload]]:
        """Read points by each `Scroll`'s condition, in its order. Returns payloads by collection,
        then by point id.
        """
        return {kind: self._scroll(kind, scroll) for kind, scroll in scrolls.items()}

    async def search(
        self, queries: Mapping[Kind, Sequence[VectorQuery]]
    ) -> dict[Kind, list[QueryHits]]:
        """Return the hits of every query by descending score; equal scores are ordered by id."""
        return {kind: self._hits(kind, batch) for kind, batch in queries.items()}

    async def columns(self, keys: Mapping[MemoryType, Keys]) -> ExistingColumns:
        """Whether each memory exists, in the order of the keys, and the ranking columns of those
        that exist.
        """
        points = [
            self._points[kind].get(one) for kind, ids in keys.items() for one in strings_of(ids)
        ]
        exists = np.array([point is not None for point in points], dtype=np.bool_)
        payloads = [point.payload for point in points if point is not None]
        return ExistingColumns(exists, Columns.from_payloads(payloads, self.column_kinds))

    async def token_maxima(
        self, query: TokenVectors, keys: Mapping[MemoryType, Keys]
    ) -> TokenMaxima:
        """For each memory and query token, the highest cosine of the query token with any token of
        the memory.
        """
        points = (self._points[kind][one] for kind, ids in keys.items() for one in strings_of(ids))
        return token_maxima(query, [point.vectors.tokens for point in points])

    async def ids(self, keys: Mapping[Kind, Keys]) -> Ids:
        """Return the memory ids of the engine's keys. In this engine, the key of a memory is its
        id.
        """
        return np.concatenate(list(keys.values()))

    async def write(self, changes: Mapping[Kind, Sequence[Change]]) -> None:
        """Apply the changes of each type to the stored memories, in order."""
        for kind, ordered in changes.items():
            for change in ordered:
                self._write(kind, change)

    def _matching(self, kind: Collection, where: Condition) -> list[Point]:
        points = self._points[kind]
        meets = check_of(where)
        named = next((part["has_id"] for part in where.get("must", ()) if "has_id" in part), None)
        if named is not None:  # most calls name a few ids, and a filter takes long
            points = {one: points[one] for one in map(str, named) if one in points}
        return [point for point in points.values() if meets(point)]

    def _scroll(self, kind: Collection, scroll: Scroll) -> dict[str, Payload]:
        points = sorted(self._matching(kind, scroll.where), key=lambda point: point.id)
        if scroll.order is ScrollOrder.NEWEST_FIRST:
            points.sort(
                key=lambda point: np.datetime64(point.payload["created_at"].removesuffix("Z")),
                reverse=True,
            )
        if scroll.start_id is not None:
            points = [point for point in points if point.id >= scroll.start_id]
        return {point.id: _fields(point.payload, scroll.fields) for point in points[: scroll.limit]}

    def _hits(self, kind: Collection, queries: Sequence[VectorQuery]) -> list[QueryHits]:
        wheres = {str(where): where for query in queries for where in (query.where, query.corpus)}
        # Once, not for each query
        matching = {name: self._matching(kind, where) for name, where in wheres.items()}
        return [
            _best(query, matching[str(query.where)], matching[str(query.corpus)])
            for query in queries
        ]

    def _write(self, kind: Collection, change: Change) -> None:
        points = self._points[kind]
        matching = {point.id: point for point in self._matching(kind, change.where)}
        match change:
            case PutPoints(new, _):
                points |= {
                    point.id: point
                    for point in new
                    if point.id in matching or point.id not in points
                }
            case SetFields(_, fields):
                points |= {
                    one: _with_payload(point, {**point.payload, **fields})
                    for one, point in matching.items()
                }
            case RemovePoints():
                self._points[kind] = {
                    one: point for one, point in points.items() if one not in matching
                }


def check_of(where: Condition) -> Callable[[Point], bool]:
    """Return a function that checks whether a stored point meets the condition `where`."""
    match where:
        case {"must": [_, *_] as parts} if len(where) == 1:
            every = [check_of(part) for part in parts]
            return lambda point: all(check(point) for check in every)
        case {"should": [_, *_] as parts} if len(where) == 1:
            some = [check_of(part) for part in parts]
            return lambda point: any(check(point) for check in some)
        case {"must_not": [_, *_] as parts} if len(where) == 1:
            none = [check_of(part) for part in parts]
            return lambda point: not any(check(point) for check in none)
        case {"key": str(key), "match": {"value": str(text)}} if key.isidentifier():
            return lambda point: text in _texts(point.payload, key)
        case {"is_empty": {"key": str(key)}} if key.isidentifier():
            return lambda point: point.payload.get(key) in (None, [])
    condition = to_filter(where)
    return lambda point: check_filter(condition, point.payload, point.id, {})


def _texts(payload: Payload, name: str) -> Sequence[Any]:
    """The values of a field of a payload: the values of the list, or the single value as a list."""
    value = payload.get(name)
    return value if isinstance(value, list) else (value,)


def _best(query: VectorQuery, points: list[Point], corpus: list[Point]) -> QueryHits:
    if query.among is not None:
        among = set(strings_of(query.among))
        points = [point for point in points if point.id in among]
    if isinstance(query.vector, SparseVector):
        scores = _bm25(query.vector, points, corpus)
    else:
        scores = {
            point.id: _cosine(query.vector, point.vectors.dense)
            for point in points
            if len(point.vectors.dense)
        }
    best = sorted(scores, key=lambda one: (-scores[one], one))[: query.limit]
    return QueryHits(ids_of(best), np.array([scores[one] for one in best], dtype=np.float64))


def token_maxima(query: TokenVectors, memories: Sequence[TokenVectors | None]) -> TokenMaxima:
    """For each memory and query token, the highest cosine with a token of the memory; NaN without
    tokens.
    """
    best = np.full((len(memories), len(query)), np.nan, dtype=np.float32)
    for row, tokens in enumerate(memories):
        if tokens is not None and len(tokens):
            best[row] = (tokens.astype(np.float32) @ (query.astype(np.float32) / _UNIT**2).T).max(
                axis=0
            )
    return best


def _cosine(query: DenseVector, vector: DenseVector) -> float:
    product = vector @ query
    # `max` of one number takes longer than the product
    return float(product if product.ndim == 0 else product.max())


def _bm25(
    query: SparseVector, points: Iterable[Point], corpus: Iterable[Point]
) -> dict[str, float]:
    """The BM25 scores of the points that share a term with the query; IDF is computed over
    `corpus`.
    """
    texts = [
        set(point.vectors.sparse.indices.tolist())
        for point in corpus
        if len(point.vectors.sparse.indices)
    ]
    weights = {}
    for term, weight in zip(query.indices.tolist(), query.values.tolist(), strict=True):
        often = sum(term in terms for terms in texts)
        weights[term] = weight * float(np.log(1 + (len(texts) - often + 0.5) / (often + 0.5)))
    scores: dict[str, float] = {}
    for point in points:
        own = dict(
            zip(
                point.vectors.sparse.indices.tolist(),
                point.vectors.sparse.values.tolist(),
                strict=True,
            )
        )
        if shared := own.keys() & weights.keys():
            scores[point.id] = sum(weights[term] * own[term] for term in shared)
    return scores


def _with_payload(point: Point, payload: Payload) -> Point:
    if isinstance(point, Record):
        return msgspec.structs.replace(point, payload=payload)
    return ItemPoint(point.id, payload, point.vectors)


def _fields(payload: Payload, names: Container[str] | None) -> Payload:
    return {name: value for name, value in payload.items() if names is None or name in names}


def _value(payload: Payload, path: str) -> Any:
    value: Any = payload
    for name in path.split("."):
        value = value[name]
    return value
