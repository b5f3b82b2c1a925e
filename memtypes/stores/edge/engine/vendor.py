"""Adapter to Qdrant Edge: opens shards; converts conditions, queries and points to its classes, and
errors back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, TypeAlias, TypeVar

import msgspec
import numpy as np
import qdrant_edge as edge

from memtypes.model.errors import InvalidRequest, StoreInUse, Unavailable
from memtypes.search.vectors import SparseVector
from memtypes.stores.edge.sidecar.slots import SlotFile, Slots
from memtypes.stores.operations.conditions import Condition
from memtypes.stores.operations.schema import DENSE, SPARSE, Index
from memtypes.stores.operations.vector_engine import Point, VectorQuery

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")

SharedFilters: TypeAlias = dict[bytes, edge.Filter]
"""The engine's filters by their conditions, which are encoded as MessagePack."""

_CONFIG_FILE = "edge_config.json"
"""Name of the engine's file in each shard's directory. A directory without this file is not a
shard.
"""

_NO_GRAPH = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
"""No HNSW graph: an exact scan of one namespace takes a millisecond or two."""

_INDEX_PARAMS: Mapping[Index, Any] = MappingProxyType(
    {
        Index.TENANT: edge.KeywordIndexParams(is_tenant=True),
        Index.KEYWORD: edge.KeywordIndexParams(),
        Index.TIME: edge.DatetimeIndexParams(),
        Index.INTEGER: edge.IntegerIndexParams(lookup=True, range=True),
    }
)


def engine_call(
    operation: Callable[_Arguments, _Answer],
    *arguments: _Arguments.args,
    **named: _Arguments.kwargs,
) -> _Answer:
    """Call the engine. Raises StoreInUse if another process has opened the shard, InvalidRequest,
    or Unavailable.
    """
    try:
        return operation(*arguments, **named)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the embedded engine refused the request: {error}") from error
    except Exception as error:
        if "WouldBlock" in str(error):
            raise StoreInUse(str(error)) from error
        raise Unavailable(f"the embedded engine failed: {error}") from error


def open_shard(
    path: Path, dimensions: int, indexes: Mapping[str, Index], *, texts: bool = False
) -> edge.EdgeShard:
    """Open the engine's shard in `path`. Creates it or missing `indexes`. texts: True for a dense
    vector per text.
    """
    max_sim = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if texts else None
    dense = edge.EdgeVectorParams(
        dimensions, edge.Distance.Cosine, multivector_config=max_sim, hnsw_config=_NO_GRAPH
    )
    config = edge.EdgeConfig(
        vectors={DENSE: dense},
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        # With one segment, other threads only spin, which costs as much as the search
        max_search_threads=1,
        wal_enabled=True,
    )
    if (path / _CONFIG_FILE).exists():
        shard = engine_call(edge.EdgeShard.load, str(path), config)
    else:
        path.mkdir(parents=True, exist_ok=True)
        shard = engine_call(edge.EdgeShard.create, str(path), config)
    for _ in create_indexes(shard, indexes):
        pass
    return shard


def create_indexes(shard: edge.EdgeShard, indexes: Mapping[str, Index]) -> Iterator[None]:
    """Create the payload indexes that the shard lacks. Yields after each: one may take 0.1 to 0.2 s
    on a busy disk.
    """
    present = engine_call(shard.info).payload_schema
    for name, index in indexes.items():
        if name not in present:
            engine_call(
                shard.update, edge.UpdateOperation.create_field_index(name, _INDEX_PARAMS[index])
            )
            yield


@dataclass(frozen=True, slots=True)
class Translator:
    """Converts conditions and queries to the engine's. slots: point numbers by id. shared: cache of
    filters.
    """

    slots: SlotFile
    shared: SharedFilters = field(default_factory=dict)

    def filter(self, where: Condition, among: Slots | None = None) -> edge.Filter:
        """Convert a condition to the engine's filter. among: slots (point numbers) that may match;
        None for all.
        """
        clauses = where if where.keys() <= {"must", "should", "must_not"} else {"must": [where]}
        among_ids = [] if among is None else [edge.HasIdCondition(set(among.tolist()))]
        return edge.Filter(
            must=[*map(self._condition, clauses.get("must", ())), *among_ids],
            should=[*map(self._condition, clauses.get("should", ()))],
            must_not=[*map(self._condition, clauses.get("must_not", ()))],
        )

    def query(self, query: VectorQuery) -> edge.QueryRequest:
        """Convert a VectorQuery to the engine's query, whose hits have no payloads."""
        where = (
            self._shared(query.where)
            if query.among is None
            else self.filter(query.where, query.among)
        )
        if isinstance(query.vector, SparseVector):
            params = edge.SearchParams(idf=edge.IdfParams(self._shared(query.corpus)))
            nearest = edge.Query.Nearest(_sparse(query.vector), SPARSE)
        else:
            params = edge.SearchParams(exact=query.among is not None)
            nearest = edge.Query.Nearest(query.vector.tolist(), DENSE)
        return edge.QueryRequest(
            query.limit, query=nearest, filter=where, params=params, with_payload=False
        )

    def _shared(self, where: Condition) -> edge.Filter:
        key = msgspec.msgpack.encode(where)
        if b"has_id" in key:
            return self.filter(where)
        if key not in self.shared:
            self.shared[key] = self.filter(where)
        return self.shared[key]

    def _condition(self, where: Condition) -> Any:
        # Not by `match`: mapping patterns take five times as long, and a search has a hundred
        # conditions.
        if "has_id" in where:
            return edge.HasIdCondition(set(self.slots.existing(where["has_id"]).tolist()))
        if "is_empty" in where:
            return edge.IsEmptyCondition(where["is_empty"]["key"])
        if "range" in where:
            ends = where["range"]
            timed = any(isinstance(end, str) for end in ends.values())
            ranged = edge.RangeDateTime(**ends) if timed else edge.RangeFloat(**ends)
            return edge.FieldCondition(where["key"], range=ranged)
        if "match" in where:
            match = where["match"]
            value = where["match"].get("value")
            # The engine reads bool as 1 or 0
            exact: Any = np.bool_(value) if isinstance(value, bool) else value
            matched = edge.MatchAny(match["any"]) if "any" in match else edge.MatchValue(exact)
            return edge.FieldCondition(where["key"], match=matched)
        return self.filter(where)


def to_point(point: Point, slot: int) -> edge.Point:
    """Convert a point, without its token vectors. Without terms it has no sparse vector, without
    texts no dense one.
    """
    vectors: dict[str, Any] = (
        {DENSE: point.vectors.dense.tolist()} if len(point.vectors.dense) else {}
    )
    if len(point.vectors.sparse.indices):
        vectors[SPARSE] = _sparse(point.vectors.sparse)
    return edge.Point(slot, vectors, point.payload)


def _sparse(vector: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(vector.indices.tolist(), vector.values.tolist())
