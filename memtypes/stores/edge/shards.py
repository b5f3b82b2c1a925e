"""One shard of the embedded engine: how it is opened, what each step reads from it, and how a change is told to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

import qdrant_edge as edge

from memtypes.stores import steps
from memtypes.stores.edge.translate import to_filter, to_point, to_queries
from memtypes.stores.keys import Key
from memtypes.stores.schema import DENSE, SPARSE, Index

Payloads: TypeAlias = dict[Key, dict[str, Any]]

CONFIG_FILE = "edge_config.json"
"""In a shard's directory; a directory without it holds no shard."""

_NO_GRAPH = edge.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
"""Exact scans: within one namespace they take a millisecond or two."""

_INDEX_PARAMS: Mapping[Index, Any] = MappingProxyType(
    {
        Index.TENANT: edge.KeywordIndexParams(is_tenant=True),
        Index.KEYWORD: edge.KeywordIndexParams(),
        Index.TIME: edge.DatetimeIndexParams(),
        Index.INTEGER: edge.IntegerIndexParams(lookup=True, range=True),
    }
)


def open_shard(path: Path, dimensions: int, indexes: Mapping[str, Index]) -> edge.EdgeShard:
    """The shard in `path`, made where there is none, with these fields indexed."""
    config = _config(dimensions)
    if (path / CONFIG_FILE).exists():
        shard = edge.EdgeShard.load(str(path), config)
    else:
        path.mkdir(parents=True, exist_ok=True)
        shard = edge.EdgeShard.create(str(path), config)
    for _ in indexing(shard, indexes):
        pass
    return shard


def indexing(shard: edge.EdgeShard, indexes: Mapping[str, Index]) -> Iterator[None]:
    """Make the indexes that are missing, one a step: on a busy disk each takes a tenth of a second or two."""
    present = shard.info().payload_schema
    for field, index in indexes.items():
        if field not in present:
            shard.update(edge.UpdateOperation.create_field_index(field, _INDEX_PARAMS[index]))
            yield


def _config(dimensions: int) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={DENSE: edge.EdgeVectorParams(dimensions, edge.Distance.Cosine, hnsw_config=_NO_GRAPH)},
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        wal_enabled=True,
    )


def read(shard: edge.EdgeShard, step: steps.Search | steps.Scroll | steps.Fetch | steps.Count | steps.Facet) -> Any:
    """The answer of a reading step."""
    match step:
        case steps.Search(queries):
            found = shard.query_batch(edge.QueryBatchRequest(to_queries(queries)))
            # As numbers: a UUID is hashed in Python each time that a dictionary sees it.
            return [[(_key(hit.id), hit.score) for hit in hits] for hits in found]
        case steps.Scroll():
            return scroll(shard, step)
        case steps.Fetch(ids):
            return _payloads(shard, list(ids), fields=True)
        case steps.Count(where):
            return shard.count(edge.CountRequest(exact=True, filter=to_filter(where)))
        case steps.Facet(key, where, limit):
            facets = shard.facet(edge.FacetRequest(key, limit, exact=True, filter=to_filter(where)))
            return [(hit.value, hit.count) for hit in facets.hits]


def _key(point_id: Any) -> Key:
    key: Key = point_id.int  # every id is a UUID: the store refuses others
    return key


def payloads(shard: edge.EdgeShard, keys: Sequence[Key], fields: list[str] | None = None) -> Payloads:
    """The payloads of those points that exist, whole or with these fields alone."""
    found = shard.retrieve([UUID(int=key) for key in keys], True if fields is None else fields, False)
    return {_key(record.id): record.payload or {} for record in found}


def _payloads(shard: edge.EdgeShard, ids: list[str], fields: bool | list[str]) -> dict[str, dict[str, Any]]:  # noqa: FBT001 - the vendor's own form of a selection
    return {str(record.id): record.payload or {} for record in shard.retrieve(list(ids), fields, False)}


def scroll(shard: edge.EdgeShard, step: steps.Scroll) -> list[tuple[Any, dict[str, Any]]]:
    """The points that meet a condition, with their payloads."""
    request = edge.ScrollRequest(
        offset=step.start,
        limit=step.limit,
        filter=to_filter(step.where),
        with_payload=True if step.fields is None else list(step.fields) or False,
        with_vector=False,
        order_by=edge.OrderBy("created_at", edge.Direction.Desc) if step.newest_first else None,
    )
    records, _ = shard.scroll(request)
    return [(str(record.id), record.payload or {}) for record in records]


def operation(change: steps.Change) -> edge.UpdateOperation:
    """The engine's operation for `change`."""
    where = to_filter(change.where)
    match change:
        case steps.Put(points, _):
            return edge.UpdateOperation.upsert_points([to_point(point) for point in points], condition=where)
        case steps.SetFields(_, fields):
            return edge.UpdateOperation.set_payload_by_filter(where, fields)
        case steps.DropFields(_, keys):
            return edge.UpdateOperation.delete_payload_by_filter(where, list(keys))
        case steps.Remove():
            return edge.UpdateOperation.delete_points_by_filter(where)
