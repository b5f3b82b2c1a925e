"""`scale`: retrieval in a small store and in a large one with as many namespaces, in turns, on one machine.

Both stores have an engine process of their own and are asked the same questions, ten to one and ten to the other. Texts
are made up and vectors random (see `benchmarks.apparatus.bulk`), so that nothing is embedded but the questions.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from api.settings import Settings
from benchmarks.apparatus.bulk import TENANT, filled, namespace_of
from benchmarks.apparatus.metrics import percentile
from benchmarks.apparatus.opened import open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import holders, rss_mb
from benchmarks.apparatus.report import Report, Table
from benchmarks.apparatus.synthetic import questions
from memtypes.scope import Scope
from retrieval.request import RetrieveRequest
from retrieval.retriever import Retriever

_ROUND = 10
_SHARES = (0.5, 0.95)


@dataclass(frozen=True, slots=True)
class ScaleRequest:
    """small, large: memories in each store. namespaces: in each. queries: of each. store: where both are kept."""

    command: str
    small: int = 10_000
    large: int = 1_000_000
    namespaces: int = 200
    queries: int = 200
    store: Path | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One store. fill_s: how long filling it took, 0 when it was kept. ms: of each retrieval."""

    size: int
    settings: Settings
    fill_s: float
    retriever: Retriever
    ms: list[float]

    async def ask(self, question: str, namespace: str) -> float:
        """The milliseconds of one retrieval."""
        began = time.perf_counter()
        await self.retriever.retrieve(Scope(TENANT, namespace), RetrieveRequest(query=question, namespace=namespace))
        return (time.perf_counter() - began) * 1e3

    def told(self) -> dict[str, float]:
        """What it took: seconds, GB on the disk, MB in the engine's memory, milliseconds."""
        found = [path.lstat() for path in self.settings.data_dir.rglob("*") if path.is_file()]
        engine = holders(self.settings.store_path, besides={os.getpid()})
        p50, p95 = (percentile(self.ms, share) for share in _SHARES)
        return {
            "fill_s": self.fill_s,
            "disk_gb": sum(one.st_blocks * 512 for one in found) / 1e9,
            "engine_mb": sum(map(rss_mb, engine)),
            "p50_ms": p50,
            "p95_ms": p95,
        }


async def measure_scale(request: ScaleRequest) -> Report:
    """The report over both sizes."""
    async with AsyncExitStack() as opened:
        sides = [await _open(request, size, opened) for size in (request.small, request.large)]
        await _take_turns(request, sides)
        return _report(request, {side.size: side.told() for side in sides})


async def _open(request: ScaleRequest, size: int, opened: AsyncExitStack) -> Side:
    directory = opened.enter_context(data_directory(request.store and request.store / str(size)))
    settings = settings_in(directory)
    fill_s = await filled(settings, size, request.namespaces)
    parts = await opened.enter_async_context(open_parts(settings))
    return Side(size, settings, fill_s, parts.retriever, [])


async def _take_turns(request: ScaleRequest, sides: Sequence[Side]) -> None:
    """Ask each side in every namespace once, so that its engine has read ahead, and then in turns."""
    spaces = [namespace_of(index) for index in range(request.namespaces)]
    for side in sides:
        for space, question in zip(spaces, questions(len(spaces), seed=29), strict=True):
            await side.ask(question, space)
    asked = questions(request.queries, seed=23)
    for start in range(0, len(asked), _ROUND):
        for side in sides:
            for index, question in enumerate(asked[start : start + _ROUND], start):
                side.ms.append(await side.ask(question, spaces[index % len(spaces)]))


def _report(request: ScaleRequest, found: dict[int, dict[str, float]]) -> Report:
    small, large = found[request.small], found[request.large]
    ratios = {name: large[f"{name}_ms"] / small[f"{name}_ms"] for name in ("p50", "p95")}
    columns = ("memories", "filled in s", "GB on disk", "engine MB", "p50 ms", "p95 ms")
    rows = tuple((size, *(round(value, 2) for value in told.values())) for size, told in found.items())
    tables = (
        Table("Retrieval by size", columns, rows),
        Table("Large over small", tuple(ratios), (tuple(round(ratio, 2) for ratio in ratios.values()),)),
    )
    notes = (
        f"{request.namespaces} namespaces in each store; {request.queries} questions of each, ten in turns.",
        "filled in s: 0 for a kept store. Every question is embedded, so both sides pay for that.",
    )
    return Report(request.command, tables, notes, {"sizes": found, "ratios": ratios})
