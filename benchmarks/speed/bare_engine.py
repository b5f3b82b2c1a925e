"""Runs only the engine queries of a retrieval, without HTTP or ranking, as a baseline for retrieval
times.

Opens the shards of a store in this process. In each shard it runs a dense and a sparse query,
limited to one tenant and namespace, for as many points as a retrieval asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
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
from memtypes.search.columns import payload_fields
from memtypes.search.vectors import Vectors
from memtypes.stores.edge.layout import Layout
from retrieval.columns import COLUMNS

_FIELDS = payload_fields(COLUMNS)
"""The payload fields that retrieval reads of each candidate."""


class BareEngine:
    """The open Qdrant shards of a store, one for each memory type. depth: maximum number of points
    a query returns.
    """

    def __init__(self, shards: list[EdgeShard], depth: int) -> None:
        self._shards = shards
        self._depth = depth

    @classmethod
    @contextmanager
    def open(cls, store_path: Path, depth: int) -> Iterator[Self]:
        """Open the shards in `store_path`, which no other process may have open; close them when
        the context ends.
        """
        with ExitStack() as stack:
            # Items may have none
            paths = [path for path in Layout(store_path).shard_paths().values() if path.exists()]
            yield cls(
                [stack.enter_context(closing(EdgeShard.load(str(path)))) for path in paths], depth
            )

    def query(self, scope: Scope, question: Vectors, fields: tuple[str, ...] = _FIELDS) -> int:
        """Run a dense and a sparse query on each shard. Returns the number of points. fields:
        payload to read.
        """
        scoped = Filter(
            must=[_equals("tenant", scope.tenant), _equals("namespace", scope.namespace)]
        )
        terms = EdgeSparseVector(question.sparse.indices.tolist(), question.sparse.values.tolist())
        # Word statistics are those of the namespace
        namespace_idf = SearchParams(idf=IdfParams(scoped))
        legs = (
            (Query.Nearest(question.dense.tolist(), "dense"), None),
            (Query.Nearest(terms, "sparse"), namespace_idf),
        )
        requests = [
            QueryRequest(
                self._depth,
                query=query,
                filter=scoped,
                with_payload=list(fields) or False,
                params=params,
            )
            for query, params in legs
        ]
        return sum(len(shard.query(request)) for shard in self._shards for request in requests)


def _equals(field: str, value: str) -> FieldCondition:
    return FieldCondition(field, match=MatchValue(value))
