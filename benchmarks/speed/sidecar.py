"""`python -m benchmarks.speed.sidecar`: what each part beside the embedded engine saves, by switching it off.

Runs the engine in this process on random vectors: no encoder, no socket, no ranking. A request asks for the candidates
of one namespace in all long-term types, with late interaction; then for the passages of 150 of them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from qdrant_edge import EdgeShard

from benchmarks.speed.bare_engine import BareEngine
from memtypes.model.ids import content_hash, memory_id
from memtypes.model.memory import TokenCount
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import system_clock
from memtypes.model.types import MEMORY_CLASSES
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import SparseVector, TokenVectors, Vectors
from memtypes.stores.edge.engine.engine import EdgeEngine
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.engine.vendor import open_shard
from memtypes.stores.edge.sidecar.sparse_search import NamespaceCache
from memtypes.stores.operations.schema import indexes_of
from memtypes.stores.operations.searching import FindCandidates, TypedSearch
from memtypes.stores.operations.writes import MAX_RECORDS, Upsert, point_of

DIMENSIONS = 384
DEPTH = 200
WINNERS = 150


class RandomVectors:
    """Random vectors of the default encoder's shapes, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def vectors(self, terms: int, tokens: int) -> Vectors:
        """Vectors of a text with about so many terms and so many tokens."""
        dense = self._rng.standard_normal(DIMENSIONS).astype(np.float32)
        numbers = np.unique((self._rng.zipf(1.3, terms) % 20_000).astype(np.uint32))
        sparse = SparseVector(numbers, self._rng.uniform(0.5, 3, len(numbers)).astype(np.float32))
        return Vectors(dense / np.linalg.norm(dense), sparse, self._tokens(tokens))

    def _tokens(self, count: int) -> TokenVectors:
        drawn = self._rng.standard_normal((count, 128))
        tokens: TokenVectors = np.rint(drawn / np.linalg.norm(drawn, axis=1, keepdims=True) * 127).astype(np.int8)
        return tokens


async def fill(engine: EdgeEngine, namespaces: int, per_type: int) -> None:
    """Write the memories of every namespace."""
    random = RandomVectors(1)
    for scope in (_scope(number) for number in range(namespaces)):
        for kind in LONG_TERM:
            records = [_record(scope, kind, f"{kind} number {n}", random) for n in range(per_type)]
            for start in range(0, per_type, MAX_RECORDS):
                points = [point_of(record) for record in records[start : start + MAX_RECORDS]]
                await Upsert(scope=scope, type=kind, points=points).run(engine)


def _record(scope: Scope, kind: MemoryType, content: str, random: RandomVectors) -> Record:
    now = system_clock()
    fields = {
        "id": memory_id(scope, kind, (content,)),
        "tenant": scope.tenant,
        "namespace": scope.namespace,
        "content": content,
        "content_hash": content_hash(content),
        "visibility": "namespace",
        "tokens": TokenCount(count=4, tokenizer="words"),
        **dict.fromkeys(("created_at", "updated_at", "valid_from"), now),
    }
    return Record(MEMORY_CLASSES[kind].model_validate(fields), random.vectors(30, 25))


def _scope(number: int) -> Scope:
    return Scope("tenant", f"namespace-{number}")


def request_of(number: int, random: RandomVectors) -> FindCandidates:
    """A request in one namespace."""
    query = random.vectors(8, 10)
    wheres = {kind: {"must": [{"key": "visibility", "match": {"value": "namespace"}}]} for kind in MemoryType}
    search = TypedSearch(wheres, query.dense, query.sparse, DEPTH, query.tokens)
    return FindCandidates(scope=_scope(number), searches=[search])


async def p50(requests: list[FindCandidates], answer: Callable[[FindCandidates], Awaitable[object]]) -> float:
    """The median time of an answer in milliseconds, after one round to fill caches."""
    times = []
    for warm in (False, True):
        for request in requests:
            began = time.perf_counter()
            await answer(request)
            if warm:
                times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


class Measured:
    """The requests that are timed against one engine."""

    def __init__(self, engine: EdgeEngine, requests: list[FindCandidates]) -> None:
        self._engine = engine
        self._requests = requests
        self._winners: dict[str, dict[MemoryType, list[str]]] = {}

    async def candidates(self) -> float:
        """Milliseconds of a search with warm caches."""
        return await p50(self._requests, self._find)

    async def candidates_without_columns(self) -> float:
        """Milliseconds of a search that reads every payload."""
        return await p50(self._requests, self._find_cold)

    async def passages(self) -> float:
        """Milliseconds for the passages of the winners."""
        return await p50(self._requests, self._show)

    async def passages_without_cache(self) -> float:
        """Milliseconds for the passages of the winners, read from their payloads."""
        return await p50(self._requests, self._show_cold)

    async def _find(self, request: FindCandidates) -> None:
        (candidates,) = await request.run(self._engine)
        winners: dict[MemoryType, list[str]] = {}
        for hit in list(candidates[:WINNERS]) if request.scope.namespace not in self._winners else ():
            winners.setdefault(hit.type, []).append(hit.id)
        self._winners.setdefault(request.scope.namespace, winners)

    async def _find_cold(self, request: FindCandidates) -> None:
        self._engine.forget_caches()
        await self._find(request)

    async def _show(self, request: FindCandidates) -> None:
        await self._engine.passages(request.scope, self._winners[request.scope.namespace])

    async def _show_cold(self, request: FindCandidates) -> None:
        self._engine.forget_caches()
        await self._show(request)


async def measure(directory: Path, namespaces: int, per_type: int) -> dict[str, float]:
    """The figures by name, in milliseconds."""
    paths = {kind: directory / kind for kind in MemoryType}
    engine = EdgeEngine.open(paths, DIMENSIONS)
    await fill(engine, namespaces, per_type)
    engine.close()
    random = RandomVectors(2)
    requests = [request_of(number % namespaces, random) for number in range(max(60, 2 * namespaces))]
    engine = EdgeEngine.open(paths, DIMENSIONS)
    whole = Measured(engine, requests)
    measured = {
        "candidates": await whole.candidates(),
        "candidates, column cache off": await whole.candidates_without_columns(),
        f"passages of {WINNERS}": await whole.passages(),
        f"passages of {WINNERS}, cache off": await whole.passages_without_cache(),
    }
    engine.close()
    engine = EdgeEngine({kind: without_keyword_search(kind, path) for kind, path in paths.items()}, DIMENSIONS)
    measured["candidates, keyword search off"] = await Measured(engine, requests).candidates()
    engine.close()
    with BareEngine([EdgeShard.load(str(path)) for path in paths.values()], DEPTH) as shards:

        async def bare(request: FindCandidates) -> None:
            (search,) = request.searches
            if search.dense is not None and search.sparse is not None:
                shards.query(request.scope, Vectors(search.dense, search.sparse), ())

        measured["bare queries, ids and scores alone"] = await p50(requests, bare)
    return measured


def without_keyword_search(kind: MemoryType, path: Path) -> Shard:
    """The shard in `path`, with every keyword search in the engine."""
    shard = Shard.of(path, open_shard(path, DIMENSIONS, indexes_of(kind)))
    namespaces = NamespaceCache(lambda _where, limit: np.arange(limit), small=0)
    return replace(shard, reader=replace(shard.reader, namespaces=namespaces))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.sidecar", description=__doc__)
    parser.add_argument("--namespaces", type=int, default=10, help="to fill (default: 10)")
    parser.add_argument("--per-type", type=int, nargs="+", default=[50, 500], help="memories of a type in each")
    options = parser.parse_args()
    for per_type in options.per_type:
        with tempfile.TemporaryDirectory() as scratch:
            measured = asyncio.run(measure(Path(scratch), options.namespaces, per_type))
        print(f"{per_type} memories of a type in a namespace")
        for name, milliseconds in measured.items():
            print(f"  {name:<40} {milliseconds:8.2f} ms")


if __name__ == "__main__":
    main()
