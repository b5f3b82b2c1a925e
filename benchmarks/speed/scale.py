"""`scale`: times retrievals in a small and a large store with the same number of namespaces.

Each store has its own worker process. Both get the same questions, ten at a time. "Cold" is the
first question in a namespace, which reads pages from files; "warm" are all later questions. Texts
are synthetic, and vectors are random.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from api.settings import Settings
from benchmarks.harness.metrics import percentiles
from benchmarks.harness.options import flag
from benchmarks.harness.report import Cell, Report, Table
from benchmarks.harness.service import memory_mb, worker_of
from benchmarks.harness.stores import (
    TENANT,
    Opened,
    data_directory,
    filled,
    namespace_of,
    open_parts,
    settings_in,
)
from benchmarks.harness.synthetic import questions
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest

_ROUND = 10
_SHARES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class ScaleRequest:
    """Command-line options of the `scale` benchmark."""

    small: int = field(default=10_000, metadata=flag("memories in the small store", least=5))
    large: int = field(default=1_000_000, metadata=flag("memories in the large store", least=5))
    namespaces: int = field(default=200, metadata=flag("namespaces in each store", least=1))
    queries: int = field(default=400, metadata=flag("warm questions to each store", least=1))
    settle_s: float = field(
        default=45.0, metadata=flag("seconds for the engines to warm up", least=0)
    )
    store: Path | None = field(
        default=None, metadata=flag("keep the filled stores here for the next run", Path)
    )


@dataclass(frozen=True, slots=True)
class MeasuredStore:
    """One of the two stores. fill_s: seconds to fill it. samples: milliseconds by step, such as
    "cold: embed".
    """

    size: int
    settings: Settings
    fill_s: float
    opened: Opened
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    async def ask(self, question: str, namespace: str, phase: str) -> None:
        """Time one retrieval and its stages, and add the times to the samples of `phase` ("cold" or
        "warm").
        """
        began = time.perf_counter()
        request = RetrieveRequest(query=question, namespace=namespace)
        await self.opened.retriever.retrieve(Scope(TENANT, namespace), request)
        self.samples[phase].append((time.perf_counter() - began) * 1e3)
        for stage, milliseconds in self.opened.stages.items():
            self.samples[f"{phase}: {stage}"].append(milliseconds)

    def footprint(self) -> dict[str, float]:
        """By name: seconds to fill the store, GB on disk, and MB of engine memory with and without
        mapped files.
        """
        files = [path.lstat() for path in self.settings.data_dir.rglob("*") if path.is_file()]
        engine = worker_of(self.settings.store_path)
        return {
            "fill_s": self.fill_s,
            "disk_gb": sum(file.st_blocks * 512 for file in files) / 1e9,
            "engine_mb": memory_mb(engine),
            "anonymous_mb": memory_mb(engine, "RssAnon"),
        }


async def measure_scale(request: ScaleRequest) -> Report:
    """Time the same retrievals in a small and a large store, and return the report."""
    async with AsyncExitStack() as stack:
        stores = [await _open(request, size, stack) for size in (request.small, request.large)]
        await asyncio.sleep(request.settle_s)
        await _take_turns(
            request.namespaces, stores, "cold", questions(request.namespaces, seed=29)
        )
        await _take_turns(request.namespaces, stores, "warm", questions(request.queries, seed=23))
        return _report(request, stores)


async def _open(request: ScaleRequest, size: int, stack: AsyncExitStack) -> MeasuredStore:
    settings = settings_in(
        stack.enter_context(data_directory(request.store and request.store / str(size)))
    )
    fill_s = await filled(settings, size, request.namespaces)
    return MeasuredStore(
        size, settings, fill_s, await stack.enter_async_context(open_parts(settings))
    )


async def _take_turns(
    namespaces: int, stores: Sequence[MeasuredStore], phase: str, queries: Sequence[str]
) -> None:
    for start in range(0, len(queries), _ROUND):
        for store in stores:
            for index, question in enumerate(queries[start : start + _ROUND], start):
                await store.ask(question, namespace_of(index % namespaces), phase)


def _report(request: ScaleRequest, stores: Sequence[MeasuredStore]) -> Report:
    footprints = {store.size: store.footprint() for store in stores}
    ms = {
        store.size: {name: percentiles(times, _SHARES) for name, times in store.samples.items()}
        for store in stores
    }
    small = ms[request.small]
    large = ms[request.large]
    # Where a store had nothing to show for any of a few questions, no text was read
    phases = [phase for phase in small if phase in large]
    ratios = {
        phase: {share: large[phase][share] / small[phase][share] for share in large[phase]}
        for phase in phases
    }
    time_rows: list[tuple[Cell, ...]] = [
        (phase, *small[phase].values(), *large[phase].values(), *ratios[phase].values())
        for phase in phases
    ]
    columns = [
        f"{share}, {size}"
        for size in (f"{request.small:,}", f"{request.large:,}", "ratio")
        for share in ("p50", "p95")
    ]
    store_rows = tuple((size, *values.values()) for size, values in footprints.items())
    tables = (
        Table(
            "Stores",
            ("memories", "filled in s", "GB on disk", "engine MB", "without pages of files"),
            store_rows,
        ),
        Table("Milliseconds of a retrieval", ("namespace", *columns), tuple(time_rows)),
    )
    notes = (
        (
            f"{request.namespaces} namespaces in each store; {_ROUND} questions to each store "
            "in turn, all embedded."
        ),
        (
            f"filled in s: 0 for a kept store. Engines had {request.settle_s:g} s before the "
            "first question."
        ),
    )
    figures = {"stores": footprints, "ms": ms, "ratios": ratios}
    return Report(tables, notes, figures)
