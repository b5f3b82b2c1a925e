"""How a shard of the embedded engine is made and opened: its vectors and its indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import qdrant_edge as edge

from memtypes.stores.operations.schema import DENSE, SPARSE, Index

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
