"""`sidecar`: measures the time saved by each index or cache that the service keeps beside the
embedded engine.

Runs the engine in this process, without encoder, HTTP or ranking: with all indexes and caches, or
without one of them. A request searches a namespace for candidates of all memory types, with late
interaction (token-level matching). Then it reads the fields of 150 candidates that a context shows.
Vectors are random.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from api.settings import Settings
from benchmarks.harness.metrics import percentile
from benchmarks.harness.options import flag
from benchmarks.harness.report import Cell, Report, Table
from benchmarks.harness.stores import (
    DIMENSIONS,
    TENANT,
    TOKEN_DIMENSIONS,
    data_directory,
    filled,
    namespace_of,
    settings_in,
)
from benchmarks.harness.synthetic import questions
from benchmarks.speed.bare_engine import BareEngine
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.search.vectors import Vectors
from memtypes.stores.edge.engine.edge_engine import EdgeEngine
from memtypes.stores.edge.engine.shard import Shard
from memtypes.stores.edge.engine.vendor import open_shard
from memtypes.stores.edge.layout import Layout
from memtypes.stores.edge.sidecar.sparse_search import NamespaceCache
from memtypes.stores.operations.schema import ITEMS, Collection, indexes_of
from memtypes.stores.operations.searching import TypedSearch, find_candidates
from retrieval.columns import COLUMNS
from retrieval.context.entries import EntryFields

WINNERS = 150
_QUERY_TOKENS = 10
EngineRequest = tuple[Scope, TypedSearch]


@dataclass(frozen=True, slots=True)
class SidecarRequest:
    """Command-line options of the `sidecar` benchmark."""

    sizes: tuple[int, ...] = field(
        default=(10_000, 100_000), metadata=flag("memories in each store", int, least=5)
    )
    namespaces: int = field(
        default=50, metadata=flag("namespaces that they are spread over", least=1)
    )
    queries: int = field(default=100, metadata=flag("timed requests", least=1))
    store: Path | None = field(
        default=None, metadata=flag("keep the filled stores here for the next run", Path)
    )


async def measure_sidecar(request: SidecarRequest) -> Report:
    """Time searches with and without each index or cache, on a store of each size, and return the
    report.
    """
    figures: dict[int, dict[str, float]] = {}
    for size in request.sizes:
        with data_directory(request.store and request.store / str(size)) as directory:
            settings = settings_in(directory)
            await filled(settings, size, request.namespaces)
            figures[size] = await _measure_size(request, settings)
    names = next(iter(figures.values()))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *(measured[name] for measured in figures.values())) for name in names
    )
    columns = ("p50, ms", *(f"{size:,} memories" for size in figures))
    notes = (
        (
            f"{request.queries} requests over {request.namespaces} namespaces; caches are warm "
            "unless off."
        ),
    )
    return Report(
        (Table("Parts beside the embedded engine", columns, rows),),
        notes,
        {str(k): v for k, v in figures.items()},
    )


async def _measure_size(request: SidecarRequest, settings: Settings) -> dict[str, float]:
    paths = Layout(settings.store_path).shard_paths()
    requests = _requests(request, settings.candidate_depth)
    engine = EdgeEngine.open(paths, DIMENSIONS, COLUMNS)
    complete = Measured(engine, requests)
    measured = {
        "candidates": await complete.candidates(),
        "candidates, column cache off": await complete.candidates(cold=True),
        f"shown fields of {WINNERS}": await complete.fields(),
        f"shown fields of {WINNERS}, from their payloads": await complete.fields(payloads=True),
    }
    engine.close()
    engine = EdgeEngine(
        {kind: without_keyword_search(kind, path) for kind, path in paths.items()},
        DIMENSIONS,
        COLUMNS,
    )
    measured["candidates, keyword search off"] = await Measured(engine, requests).candidates()
    engine.close()
    with BareEngine.open(settings.store_path, settings.candidate_depth) as shards:

        async def bare(scope: Scope, search: TypedSearch) -> None:
            if search.dense is not None and search.sparse is not None:
                shards.query(scope, Vectors(search.dense, search.sparse), ())

        measured["bare queries, ids and scores alone"] = await p50(requests, bare)
    return measured


def _requests(request: SidecarRequest, depth: int) -> list[EngineRequest]:
    rng = np.random.default_rng(2)
    encoder = Bm25Encoder()
    where = {"must": [{"key": "visibility", "match": {"value": "namespace"}}]}
    requests = []
    for index, question in enumerate(questions(request.queries, seed=23)):
        dense = rng.standard_normal(DIMENSIONS).astype(np.float32)
        tokens = np.clip(
            rng.standard_normal((_QUERY_TOKENS, TOKEN_DIMENSIONS)) * 11, -127, 127
        ).astype(np.int8)
        search = TypedSearch(
            dict.fromkeys(MemoryType, where),
            dense / np.linalg.norm(dense),
            encoder.encode_query(question),
            depth,
            tokens,
        )
        requests.append((Scope(TENANT, namespace_of(index % request.namespaces)), search))
    return requests


async def p50(
    requests: list[EngineRequest], answer: Callable[[Scope, TypedSearch], Awaitable[object]]
) -> float:
    """Call `answer` with all requests, twice. Returns the median milliseconds of the second calls,
    with warm caches.
    """
    times = []
    for warm in (False, True):
        for request in requests:
            began = time.perf_counter()
            await answer(*request)
            if warm:
                times.append((time.perf_counter() - began) * 1e3)
    return percentile(times, 0.5)


class Measured:
    """Times steps of search requests on one engine. Each method returns the median milliseconds of
    its step.
    """

    def __init__(self, engine: EdgeEngine, requests: list[EngineRequest]) -> None:
        self._engine = engine
        self._requests = requests
        self._winners: dict[str, dict[MemoryType, list[str]]] = {}

    async def candidates(self, *, cold: bool = False) -> float:
        """Median milliseconds of a candidate search. cold: drop the cache of payload fields before
        each search.
        """

        async def find(scope: Scope, search: TypedSearch) -> None:
            if cold:
                self._engine.forget_columns()
            (candidates,) = await find_candidates(self._engine, scope=scope, searches=[search])
            if scope.namespace not in self._winners:
                winners = self._winners[scope.namespace] = defaultdict(list)
                for hit in list(candidates)[:WINNERS]:
                    winners[hit.type].append(hit.id)

        return await p50(self._requests, find)

    async def fields(self, *, payloads: bool = False) -> float:
        """Median milliseconds to read the fields of candidates that a context shows. payloads: from
        the engine, not from the files with these fields.
        """
        names = EntryFields.__struct_fields__

        async def show(scope: Scope, _: TypedSearch) -> None:
            ids = self._winners[scope.namespace]
            if payloads:
                await self._engine.payloads(scope, ids)
            else:
                await self._engine.fields(scope, ids, names)

        return await p50(self._requests, show)


def without_keyword_search(kind: Collection, path: Path) -> Shard:
    """Open the shard in `path` so that the engine runs keyword searches itself, without the
    service's own index.
    """
    shard = Shard.opened(path, open_shard(path, DIMENSIONS, indexes_of(kind), texts=kind is ITEMS))
    sizes = shard.reader.namespaces  # not reader.count, which asks the cache that is set here
    shard.reader.namespaces = NamespaceCache(
        lambda _where, limit: np.arange(limit), lambda where: sizes.count(where) or 0, small=0
    )
    return shard
