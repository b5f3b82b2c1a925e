"""`scale`: retrieval in a small store and in a large one with as many namespaces, in turns, on one machine.

Both stores have an engine process of their own and are asked the same questions, ten to one and ten to the other. Each
namespace is asked once by an engine that was just opened and has read ahead, which is told apart from all that follows:
whoever meets a namespace for the first time waits for its pages too. Texts are made up and vectors random (see
`benchmarks.apparatus.bulk`), so that nothing is embedded but the questions.
"""

from __future__ import annotations

import asyncio
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
from benchmarks.apparatus.processes import holders, rss_mb, status_mb
from benchmarks.apparatus.report import Cell, Report, Table
from benchmarks.apparatus.synthetic import questions
from benchmarks.speed.samples import Samples, Stages
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest
from retrieval.retriever import Retriever

_ROUND = 10
_SHARES = {"p50": 0.5, "p95": 0.95}
_SETTLE_S = 45.0
"""In which the engines read ahead of the questions; a service that was just started has such a time too."""

FIRST, AGAIN = "met for the first time", "met again"


@dataclass(frozen=True, slots=True)
class ScaleRequest:
    """small, large: memories in each store. namespaces: in each. queries: of each, of namespaces that were met before.

    store: where both are kept. settle_s: before the first question.
    """

    command: str
    small: int = 10_000
    large: int = 1_000_000
    namespaces: int = 200
    queries: int = 400
    store: Path | None = None
    settle_s: float = _SETTLE_S


@dataclass(frozen=True, slots=True)
class Side:
    """One store. fill_s: how long filling it took, 0 when it was kept. samples: of each retrieval and its stages."""

    size: int
    settings: Settings
    fill_s: float
    retriever: Retriever
    stages: Stages
    samples: Samples

    async def ask(self, question: str, namespace: str, meeting: str) -> None:
        """Time one retrieval."""
        began = time.perf_counter()
        await self.retriever.retrieve(Scope(TENANT, namespace), RetrieveRequest(query=question, namespace=namespace))
        self.samples.add(meeting, (time.perf_counter() - began) * 1e3)
        for stage, taken in self.stages.last.items():
            self.samples.add(f"{meeting}: {stage}", taken)

    def told(self) -> dict[str, float]:
        """What it took: seconds, GB on the disk, MB in the engine's memory and of it, milliseconds when met again."""
        found = [path.lstat() for path in self.settings.data_dir.rglob("*") if path.is_file()]
        engine = holders(self.settings.store_path, besides={os.getpid()})
        return {
            "fill_s": self.fill_s,
            "disk_gb": sum(one.st_blocks * 512 for one in found) / 1e9,
            "engine_mb": sum(map(rss_mb, engine)),
            "engine_own_mb": sum(status_mb(pid, "RssAnon") for pid in engine),
            **{f"{name}_ms": percentile(self.samples.ms[AGAIN], share) for name, share in _SHARES.items()},
        }


async def measure_scale(request: ScaleRequest) -> Report:
    """The report over both sizes."""
    async with AsyncExitStack() as opened:
        sides = [await _open(request, size, opened) for size in (request.small, request.large)]
        await asyncio.sleep(request.settle_s)
        await _take_turns(request, sides, FIRST, questions(request.namespaces, seed=29))
        await _take_turns(request, sides, AGAIN, questions(request.queries, seed=23))
        return _report(request, sides)


async def _open(request: ScaleRequest, size: int, opened: AsyncExitStack) -> Side:
    directory = opened.enter_context(data_directory(request.store and request.store / str(size)))
    settings, stages = settings_in(directory), Stages()
    fill_s = await filled(settings, size, request.namespaces)
    parts = await opened.enter_async_context(open_parts(settings, stages.note))
    return Side(size, settings, fill_s, parts.retriever, stages, Samples(recording=True))


async def _take_turns(request: ScaleRequest, sides: Sequence[Side], meeting: str, asked: Sequence[str]) -> None:
    """Ask each side in one namespace after the other, _ROUND questions in a row."""
    for start in range(0, len(asked), _ROUND):
        for side in sides:
            for index, question in enumerate(asked[start : start + _ROUND], start):
                await side.ask(question, namespace_of(index % request.namespaces), meeting)


def _report(request: ScaleRequest, sides: Sequence[Side]) -> Report:
    """The tables; the figures of each size and the ratios are those of what was met again, and beside them of FIRST."""
    told = {side.size: side.told() for side in sides}
    ms = {side.size: {name: _percentiles(taken) for name, taken in side.samples.ms.items()} for side in sides}
    ratios = {
        meeting: {share: ms[request.large][meeting][share] / ms[request.small][meeting][share] for share in _SHARES}
        for meeting in (FIRST, AGAIN)
    }
    stores = tuple((size, *(round(value, 2) for value in list(own.values())[:4])) for size, own in told.items())
    times: list[tuple[Cell, ...]] = [
        (name, size, len(side.samples.ms[name]), *(round(value, 2) for value in ms[size][name].values()))
        for name in ms[request.small]
        for size, side in zip(ms, sides, strict=True)
    ]
    tables = (
        Table("Stores", ("memories", "filled in s", "GB on disk", "engine MB", "of it its own"), stores),
        Table("Retrieval by size, ms", ("namespace", "memories", "n", *_SHARES), tuple(times)),
        Table(
            "Large over small",
            ("namespace", *_SHARES),
            tuple((meeting, *(round(value, 2) for value in own.values())) for meeting, own in ratios.items()),
        ),
    )
    notes = (
        f"{request.namespaces} namespaces in each store; questions to each in turns of {_ROUND}.",
        "filled in s: 0 for a kept store. Every question is embedded, so both sides pay for that.",
        "engine MB: with pages of files, which the system takes back when it wants them; its own are those without.",
        f"Engines that were just opened had {request.settle_s:g} s to read ahead; then each namespace was asked once.",
    )
    figures = {"sizes": told, "ms": ms, "ratios": {**ratios[AGAIN], "first": ratios[FIRST]}}
    return Report(request.command, tables, notes, figures)


def _percentiles(taken: Sequence[float]) -> dict[str, float]:
    return {name: percentile(taken, share) for name, share in _SHARES.items()}
