"""Stores whose engine knew memories by their ids: opened as any other, with all that they hold."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge

from memtypes.policy import MemoryType
from memtypes.ports import CandidateSearch, Record
from memtypes.scope import Scope
from memtypes.stores.codec import dense_of, sparse_of, tokens_bytes
from memtypes.stores.edge import EdgeStore
from memtypes.stores.edge.layout import Layout, make_directory
from memtypes.stores.edge.opening import open_shard
from memtypes.stores.keys import ids_of
from memtypes.stores.points import point_of
from memtypes.stores.schema import DENSE, SPARSE
from memtypes.vectors import TokenVectors, Vectors
from tests.builders import DIMENSIONS, SCOPE, make_memory, make_record
from tests.stores.engines import settings_for

pytestmark = pytest.mark.anyio

OTHER = Scope("other", "shop")


def tokens_of(seed: int, count: int) -> TokenVectors:
    """Random token vectors."""
    return np.random.default_rng(seed).integers(-127, 128, (count, 128)).astype(np.int8)


def records_of(count: int) -> list[Record]:
    """Facts of two tenants; every third has no token vectors."""
    made = []
    for number in range(count):
        scope = SCOPE if number % 2 else OTHER
        record = make_record(make_memory(MemoryType.SEMANTIC, f"fact {number}", scope))
        tokens = tokens_of(number, 1 + number % 4) if number % 3 else None
        made.append(Record(record.memory, Vectors(record.vectors.dense, record.vectors.sparse, tokens)))
    return made


def made_before(directory: Path, records: list[Record]) -> Layout:
    """A store as the earlier version has left it: points by their ids, and token vectors behind heads with ids."""
    layout = make_directory(directory)
    layout.prepare("test-embedder", DIMENSIONS)
    for kind, path in layout.shard_paths().items():
        shard = open_shard(path, DIMENSIONS, {})
        own = [one for one in records if one.memory.type is kind]
        if own:
            shard.update(edge.UpdateOperation.upsert_points([_point(one) for one in own]))
            (path / "tokens").mkdir()
            heads = [(one, one.vectors.tokens) for one in own if one.vectors.tokens is not None]
            content = b"".join(_head(one.memory.id, len(tokens)) + tokens_bytes(tokens) for one, tokens in heads)
            (path / "tokens" / "vectors.bin").write_bytes(content + _head(own[0].memory.id, 1) + b"torn")
        shard.flush()
        shard.close()
    return layout


def _point(record: Record) -> edge.Point:
    point = point_of(record)
    sparse = sparse_of(point.terms, point.weights)
    terms = edge.SparseVector(sparse.indices.tolist(), sparse.values.tolist())
    return edge.Point(point.id, {DENSE: dense_of(point.dense).tolist(), SPARSE: terms}, point.payload)


def _head(one: str, count: int) -> bytes:
    return struct.pack("<16sI", ids_of([one]).tobytes(), count)


async def found_in(
    store: EdgeStore, scope: Scope, record: Record
) -> dict[str, tuple[float | None, float | None, float]]:
    """The scores of every fact, those of late interaction included."""
    search = CandidateSearch(
        MemoryType.SEMANTIC, record.vectors.dense, record.vectors.sparse, 500, tokens=tokens_of(99, 3)
    )
    (found,) = await store.candidates(scope, [search])
    assert found.late is not None
    late = np.nan_to_num(found.late, nan=-2.0).sum(axis=1).tolist()
    return {one.id: (one.dense, one.sparse, own) for one, own in zip(found, late, strict=True)}


async def test_everything_is_there_and_scores_the_same(tmp_path: Path) -> None:
    """Payloads, vectors and token vectors of every tenant, as in a store that has never been of another form."""
    records = records_of(300)
    layout = made_before(tmp_path / "before", records)
    (tmp_path / "before" / "semantic" / "v2" / "left").mkdir(parents=True)  # of one that did not end
    before, new = [await EdgeStore.open(settings_for(tmp_path / name)) for name in ("before", "new")]
    for scope in (SCOPE, OTHER):
        own = [one for one in records if one.memory.tenant == scope.tenant]
        await new.upsert(scope, own)
        ids = [one.memory.id for one in own]
        assert await before.get(scope, ids) == {one.memory.id: one.memory for one in own}
        told, expected = await found_in(before, scope, own[0]), await found_in(new, scope, own[0])
        assert told.keys() == expected.keys() == set(ids)
        assert all(told[one] == pytest.approx(expected[one]) for one in ids)
    assert layout.existing_alias().current[MemoryType.SEMANTIC] == "v2"
    assert layout.existing_alias().current[MemoryType.WORKING] == "v1"
    assert [one.name for one in (layout.directory / "semantic").iterdir()] == ["v2"]
    await before.upsert(SCOPE, [make_record(make_memory(MemoryType.SEMANTIC, "another"))])
    assert (await before.stats(SCOPE))[MemoryType.SEMANTIC].count == 151
    await before.aclose()
    await new.aclose()
