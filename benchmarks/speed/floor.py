"""The least that a retrieval over all types must cost: one query embedding and the engine's own queries.

Opens the shards of a closed store in this process, so there is no socket, no encoding, no ranking: only the engine. The
queries are those that retrieval needs: a dense and a sparse one for each type, in the scope, to the same depth, with
the fields that ranking reads. Knows the embedded store's layout, and nothing else of it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from qdrant_edge import (
    EdgeShard,
    FieldCondition,
    Filter,
    IdfParams,
    MatchValue,
    Query,
    QueryRequest,
    SearchParams,
)
from qdrant_edge import SparseVector as EdgeSparseVector

from memtypes.model.scope import Scope
from memtypes.search.columns import COLUMN_FIELDS
from memtypes.search.vectors import Vectors
from memtypes.stores.edge.layout import Layout


class BareEngine:
    """The shards of a store, one a type, that no one else has open."""

    def __init__(self, shards: list[EdgeShard], depth: int) -> None:
        self._shards = shards
        self._depth = depth

    @classmethod
    def open(cls, store_path: Path, depth: int) -> Self:
        """The engine over the shards of the store in `store_path`; depth: points that a query gives at most."""
        return cls([EdgeShard.load(str(path)) for path in Layout(store_path).shard_paths().values()], depth)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every shard."""
        for shard in self._shards:
            shard.close()

    def query(self, scope: Scope, question: Vectors, fields: tuple[str, ...] = COLUMN_FIELDS) -> int:
        """How many points the queries of one retrieval gave, each with `fields`."""
        here = Filter(must=[_equals("tenant", scope.tenant), _equals("namespace", scope.namespace)])
        terms = EdgeSparseVector(question.sparse.indices.tolist(), question.sparse.values.tolist())
        namespace_idf = SearchParams(idf=IdfParams(here))
        by_vector = self._request(Query.Nearest(question.dense.tolist(), "dense"), here, fields)
        by_words = self._request(Query.Nearest(terms, "sparse"), here, fields, namespace_idf)
        return sum(len(shard.query(request)) for shard in self._shards for request in (by_vector, by_words))

    def _request(
        self, query: Query, here: Filter, fields: tuple[str, ...], params: SearchParams | None = None
    ) -> QueryRequest:
        """A query of one leg; the population of word statistics is the namespace, as for retrieval."""
        payload = list(fields) or False
        return QueryRequest(self._depth, query=query, filter=here, with_payload=payload, params=params)


def _equals(field: str, value: str) -> FieldCondition:
    return FieldCondition(field, match=MatchValue(value))
