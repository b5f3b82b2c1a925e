"""`latency`: how long retrieve and search take, stage by stage, in this process and over HTTP, over the bare floor.

The floor (see `benchmarks.floor`) queries a copy of the store with another encoder of the same kind. Rounds of the
floor, of this process and of the service take turns, with the same questions, so that all see the same machine. A
question is asked once of each, so that its vector is not remembered; to see what is left without embedding, the service
is also asked a second time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.settings import Settings
from api.wiring.resources import open_embedder
from benchmarks.bulk import TENANT, fill, namespace_of
from benchmarks.floor import BareEngine
from benchmarks.latency_report import latency_report
from benchmarks.opened import Opened, open_parts, settings_in
from benchmarks.places import data_directory
from benchmarks.processes import holders, running
from benchmarks.report import Report
from benchmarks.synthetic import questions
from memtypes.ports import Embedder
from memtypes.scope import Scope
from memtypes.vectors import Vectors
from retrieval.request import RetrieveRequest, SearchRequest

_ROUND = 10
"""Questions in a row to one of the sides."""

_WARM_UP = 20
_TIMEOUT_S = 60.0
_CLOSING_S = 60.0


@dataclass(frozen=True, slots=True)
class LatencyRequest:
    """sizes: memories in the store. namespaces: over which they are spread. queries: that are timed."""

    command: str
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    namespaces: int = 50
    queries: int = 200


@dataclass(slots=True)
class Samples:
    """Milliseconds by what was timed; recording can be off, while things warm up."""

    recording: bool = False
    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, milliseconds: float) -> None:
        """Keep one more."""
        if self.recording:
            self.ms[name].append(milliseconds)


@dataclass(slots=True)
class Stages:
    """The stages of the retrieval that came last."""

    last: Mapping[str, float] = field(default_factory=dict)

    def note(self, timings: Mapping[str, float]) -> None:
        """Told by the retriever."""
        self.last = dict(timings)


@dataclass(frozen=True, slots=True)
class Sides:
    """What is timed. stages: those of `opened`'s retriever."""

    opened: Opened
    stages: Stages
    service: httpx.AsyncClient
    bare_embedder: Embedder
    engine: BareEngine
    samples: Samples


async def measure_latency(request: LatencyRequest) -> Report:
    """The report over all sizes."""
    measured: dict[int, Mapping[str, Sequence[float]]] = {}
    for size in request.sizes:
        with data_directory() as directory:
            measured[size] = await _measure_size(request, size, directory)
    return latency_report(request.command, measured, request.namespaces)


async def _measure_size(request: LatencyRequest, size: int, directory: Path) -> Mapping[str, Sequence[float]]:
    settings, stages, samples = settings_in(directory / "data"), Stages(), Samples()
    settings.data_dir.mkdir()
    async with open_parts(settings) as opened:
        await fill(opened, size, request.namespaces)
    _copy_when_closed(settings, directory / "copy")
    bare_embedder = await open_embedder(settings)
    try:
        with BareEngine.open(directory / "copy", settings.candidate_depth) as engine, running(settings) as service:
            async with (
                open_parts(settings, stages.note) as opened,
                httpx.AsyncClient(base_url=service.url, timeout=_TIMEOUT_S) as client,
            ):
                sides = Sides(opened, stages, client, bare_embedder, engine, samples)
                await _take_turns(sides, request)
    finally:
        await bare_embedder.aclose()
    return samples.ms


def _copy_when_closed(settings: Settings, target: Path) -> None:
    """Copy the store once its last holder has let go of it."""
    end = time.monotonic() + _CLOSING_S
    while holders(settings.store_path, besides={os.getpid()}):
        if time.monotonic() > end:
            raise TimeoutError(f"{settings.store_path} is still held after {_CLOSING_S:.0f} s")
        time.sleep(0.1)
    shutil.copytree(settings.store_path, target)


async def _take_turns(sides: Sides, request: LatencyRequest) -> None:
    steps: tuple[Callable[[Sides, Scope, str], Awaitable[None]], ...] = (_floor, _retrieve, _search, _http)
    asked = questions(_WARM_UP + request.queries, seed=23)
    for start in range(0, len(asked), _ROUND):
        sides.samples.recording = start >= _WARM_UP
        for step in steps:
            for index in range(start, min(start + _ROUND, len(asked))):
                scope = Scope(TENANT, namespace_of(index % request.namespaces))
                await step(sides, scope, asked[index])


async def _floor(sides: Sides, scope: Scope, question: str) -> None:
    began = time.perf_counter()
    vector = (await sides.bare_embedder.embed_query(question)).dense
    embedded = time.perf_counter()
    vectors = Vectors(vector, sides.opened.sparse.encode_query(question))
    sides.engine.query(scope, vectors)
    ended = time.perf_counter()
    sides.engine.query(scope, vectors, ())
    without_fields = time.perf_counter()
    sides.samples.add("floor", (ended - began) * 1e3)
    sides.samples.add("floor: query embedding", (embedded - began) * 1e3)
    sides.samples.add("floor: engine queries", (ended - embedded) * 1e3)
    sides.samples.add("floor: engine queries, ids and scores alone", (without_fields - ended) * 1e3)


async def _retrieve(sides: Sides, scope: Scope, question: str) -> None:
    request = RetrieveRequest(query=question, namespace=scope.namespace)
    began = time.perf_counter()
    await sides.opened.retriever.retrieve(scope, request)
    _add_with_stages(sides, "retrieve", (time.perf_counter() - began) * 1e3)


async def _search(sides: Sides, scope: Scope, question: str) -> None:
    request = SearchRequest(query=f"{question} ", namespace=scope.namespace)
    began = time.perf_counter()
    await sides.opened.retriever.search(scope, request)
    _add_with_stages(sides, "search", (time.perf_counter() - began) * 1e3)


def _add_with_stages(sides: Sides, name: str, whole: float) -> None:
    stages = sides.stages.last
    sides.samples.add(name, whole)
    sides.samples.add(f"{name} without query embedding", whole - stages["embed"])
    for stage, taken in stages.items():
        sides.samples.add(f"{name}: {stage}", taken)


async def _http(sides: Sides, scope: Scope, question: str) -> None:
    body = {"query": question, "namespace": scope.namespace}
    await _post(sides, "retrieve", body, "HTTP retrieve")
    await _post(sides, "retrieve", body, "HTTP retrieve, query remembered")
    await _post(sides, "search", {**body, "query": f"{question} "}, "HTTP search")


async def _post(sides: Sides, call: str, body: dict[str, str], name: str) -> None:
    began = time.perf_counter()
    (await sides.service.post(f"/v1/{call}", json=body)).raise_for_status()
    sides.samples.add(name, (time.perf_counter() - began) * 1e3)
