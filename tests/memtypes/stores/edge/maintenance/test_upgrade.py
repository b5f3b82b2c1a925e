"""Stores whose engine knew memories by their ids: brought to the form of today with all that they hold."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.vectors import DenseVector, SparseVector
from memtypes.stores.edge.engine.opening import as_kept, open_shard
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.layout import Layout, make_directory
from memtypes.stores.edge.maintenance.upgrade import upgrade
from memtypes.stores.operations.codec import dense_of, sparse_of, tokens_bytes
from memtypes.stores.operations.conditions import EVERYTHING
from memtypes.stores.operations.keys import ids_of
from memtypes.stores.operations.messages import Point
from memtypes.stores.operations.points import point_of
from memtypes.stores.operations.schema import DENSE, SPARSE
from memtypes.stores.operations.steps import Nearest, Put, Search
from tests.builders import DIMENSIONS, SCOPE, make_dense, make_memory, make_record, make_sparse

OTHER = Scope("other", "shop")


def points_of(count: int) -> tuple[Point, ...]:
    """Facts of two tenants; every third has no token vectors."""
    rng = np.random.default_rng(3)
    made = []
    for number in range(count):
        point = point_of(make_record(make_memory(MemoryType.SEMANTIC, f"fact {number}", (SCOPE, OTHER)[number % 2])))
        tokens = tokens_bytes(rng.integers(-127, 128, (1 + number % 4, 128)).astype(np.int8)) if number % 3 else None
        made.append(Point(point.id, point.dense, point.terms, point.weights, tokens, point.payload))
    return tuple(made)


def made_before(directory: Path, points: tuple[Point, ...]) -> Layout:
    """A store as the earlier version has left it: points by their ids, and token vectors behind heads with ids."""
    layout = make_directory(directory)
    layout.prepare("test-embedder", DIMENSIONS)
    path = layout.shard_paths()[MemoryType.SEMANTIC]
    shard = open_shard(path, DIMENSIONS, {})
    shard.update(edge.UpdateOperation.upsert_points([as_before(one) for one in points]))
    shard.close()
    (path / "tokens").mkdir()
    heads = [struct.pack("<16sI", ids_of([one.id]).tobytes(), len(one.tokens or b"") // 128) for one in points]
    content = b"".join(head + (one.tokens or b"") for head, one in zip(heads, points, strict=True))
    (path / "tokens" / "vectors.bin").write_bytes(content + heads[1] + b"torn")
    return layout


def as_before(point: Point) -> edge.Point:
    """The engine's point under the memory's own id."""
    sparse = sparse_of(point.terms, point.weights)
    terms = edge.SparseVector(sparse.indices.tolist(), sparse.values.tolist())
    return edge.Point(point.id, {DENSE: dense_of(point.dense).tolist(), SPARSE: terms}, point.payload)


def told(shard: Shard, points: tuple[Point, ...]) -> dict[str, Any]:
    """What a shard has of each of `points`: its payload, its scores and its token vectors."""
    ids = [one.id for one in points]
    slots = shard.slots.find(ids)
    payloads = shard.reader.payloads(slots)
    scores = [scores_by(shard, vector, len(ids)) for vector in (make_dense(5), make_sparse([1, 2, 3]))]
    rows = shard.tokens.rows(slots)
    tokens = [rows.portion(slice(place, place + 1)).tobytes() for place in range(len(ids))]
    return {
        one: (payloads[slot], *(own.get(slot) for own in scores), own_tokens)
        for one, slot, own_tokens in zip(ids, slots.tolist(), tokens, strict=True)
    }


def scores_by(shard: Shard, vector: DenseVector | SparseVector, limit: int) -> dict[int, Any]:
    """The score of each slot by one vector."""
    (hits,) = shard.reader.read(Search((Nearest(vector, limit, EVERYTHING, EVERYTHING),)))
    return dict(zip(hits.keys.tolist(), map(pytest.approx, hits.scores.tolist()), strict=True))


def test_everything_is_there_and_scores_the_same(tmp_path: Path) -> None:
    """Payloads, vectors and token vectors of every tenant are as in a shard that has never been of another form."""
    points = points_of(300)
    layout = made_before(tmp_path / "store", points)
    (layout.directory / "semantic" / "v2" / "left").mkdir(parents=True)  # of one that did not end
    upgrade(layout)
    path = layout.shard_paths()[MemoryType.SEMANTIC]
    upgraded = Shard.of(path, as_kept(path, DIMENSIONS))
    new = Shard.of(tmp_path / "new", open_shard(tmp_path / "new", DIMENSIONS, {}))
    new.write(Put(points, EVERYTHING))
    assert told(upgraded, points) == told(new, points)
    assert len(upgraded.slots) == 300
    upgraded.close()
    new.close()
    assert [one.name for one in (layout.directory / "semantic").iterdir()] == ["v2"]
    upgrade(layout)
    current = layout.existing_alias().current
    assert (current[MemoryType.SEMANTIC], current[MemoryType.WORKING]) == ("v2", "v1")
