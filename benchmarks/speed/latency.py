"""`latency`: how long retrieve and search take, stage by stage, in this process and over HTTP, over the bare floor.

The floor (see `benchmarks.speed.floor`) queries a copy of the store with another encoder of the same kind. Rounds of
the floor, of this process and of the service take turns, with the same questions, so that all see the same machine. A
question is asked once of each, so that its vector is not remembered; to see what is left without embedding, the
service is also asked a second time. What late interaction adds is measured in pairs: the same question with and without
it, now one first and now the other. The client of the service takes next to no time itself. A receipt is written behind
its answer, so what it costs may fall on the answer after it: ten questions in a row have one, and then ten have none.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from api.settings import Settings
from api.wiring.resources import open_embedder
from benchmarks.apparatus.bulk import TENANT, filled, namespace_of
from benchmarks.apparatus.lean import LeanClient
from benchmarks.apparatus.opened import Opened, open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import holders, running
from benchmarks.apparatus.report import Report
from benchmarks.apparatus.synthetic import questions
from benchmarks.quality.variants import Tokenless
from benchmarks.speed.floor import BareEngine
from benchmarks.speed.latency_report import WITHOUT_LATE, WITHOUT_RECEIPT, latency_report
from benchmarks.speed.samples import Samples, Stages
from memtypes.model.scope import Scope
from memtypes.ports.encoders import Embedder
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import Vectors
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.retriever import Retriever

_SETTLE_S = 30.0
"""In which an engine that was just opened reads ahead; it does so in pauses, which a benchmark has none of."""

_ROUND = 10
"""Questions in a row to one of the sides."""

_WARM_UP = 20

FEW = 1_000
COMPUTED = "retrieve: score, budget and render"
_CLOSING_S = 60.0


@dataclass(frozen=True, slots=True)
class LatencyRequest:
    """sizes: memories in the store. namespaces: over which they are spread. queries: that are timed.

    store: where filled stores are kept; None for a temporary one.
    """

    command: str
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    namespaces: int = 50
    queries: int = 200
    store: Path | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """What is timed. plain: without late interaction. few: ranks FEW candidates. stages: of any of them."""

    opened: Opened
    plain: Retriever
    few: Retriever
    stages: Stages
    service: LeanClient
    bare_embedder: Embedder
    engine: BareEngine
    samples: Samples


Step: TypeAlias = Callable[[Sides, Scope, str], Awaitable[None]]


async def measure_latency(request: LatencyRequest) -> Report:
    """The report over all sizes."""
    measured: dict[int, Mapping[str, Sequence[float]]] = {}
    for size in request.sizes:
        with data_directory(request.store and request.store / str(size)) as kept, data_directory() as scratch:
            measured[size] = await _measure_size(request, size, kept, scratch)
    return latency_report(request.command, measured, request.namespaces)


async def _measure_size(request: LatencyRequest, size: int, kept: Path, scratch: Path) -> Mapping[str, Sequence[float]]:
    settings, stages, samples = settings_in(kept), Stages(), Samples()
    await filled(settings, size, request.namespaces)
    _copy_when_closed(settings, scratch / "copy")
    bare_embedder = await open_embedder(settings)
    try:
        with BareEngine.open(scratch / "copy", settings.candidate_depth) as engine, running(settings) as service:
            async with open_parts(settings, stages.note) as opened:
                await _read_ahead(opened, request.namespaces)
                plain = Retriever(replace(opened.parts, embedder=Tokenless(opened.embedder)))
                few = Retriever(replace(opened.parts, adjust=_few))
                async with aclosing(await LeanClient.open(service.url)) as client:
                    sides = Sides(opened, plain, few, stages, client, bare_embedder, engine, samples)
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
    shutil.copytree(settings.store_path, target, ignore=shutil.ignore_patterns("tokens", "terms"))


async def _read_ahead(opened: Opened, namespaces: int) -> None:
    """Ask in every namespace once: an engine that has run for a while has read ahead what ranking needs."""
    for index, question in enumerate(questions(namespaces, seed=29)):
        name = namespace_of(index)
        await opened.retriever.retrieve(Scope(TENANT, name), RetrieveRequest(query=question, namespace=name))
    await asyncio.sleep(_SETTLE_S)


async def _take_turns(sides: Sides, request: LatencyRequest) -> None:
    steps: tuple[Step, ...] = (_floor, _retrieve, _retrieve_few, _search, _http, _http_with_receipt, _http_without)
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
    pair = (_retrieve_whole, _retrieve_plainly)
    for step in _either_first(pair, question):
        await step(sides, scope, question)


async def _retrieve_whole(sides: Sides, scope: Scope, question: str) -> None:
    began = time.perf_counter()
    await sides.opened.retriever.retrieve(scope, RetrieveRequest(query=question, namespace=scope.namespace))
    _add_with_stages(sides, "retrieve", (time.perf_counter() - began) * 1e3)


async def _retrieve_plainly(sides: Sides, scope: Scope, question: str) -> None:
    began = time.perf_counter()
    await sides.plain.retrieve(scope, RetrieveRequest(query=f"{question}?", namespace=scope.namespace))
    sides.samples.add(WITHOUT_LATE, (time.perf_counter() - began) * 1e3 - sides.stages.last["embed"])


async def _retrieve_few(sides: Sides, scope: Scope, question: str) -> None:
    await sides.few.retrieve(scope, RetrieveRequest(query=question, namespace=scope.namespace))
    sides.samples.add(f"{COMPUTED}, of {FEW} candidates", _computed(sides.stages.last))


def _few(found: Candidates) -> Candidates:
    """FEW of the candidates, of every type as many as it has a part of them."""
    return found.take(np.linspace(0, len(found) - 1, FEW).astype(np.intp)) if len(found) > FEW else found


def _computed(stages: Mapping[str, float]) -> float:
    return sum(stages[stage] for stage in ("score", "budget", "render"))


def _either_first(pair: tuple[Step, Step], question: str) -> tuple[Step, Step]:
    """The pair, every other time the other way round: what comes second finds caches warm."""
    return pair if len(question) % 2 else (pair[1], pair[0])


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
    if "budget" in stages:
        sides.samples.add(COMPUTED, _computed(stages))


async def _http(sides: Sides, scope: Scope, question: str) -> None:
    body: dict[str, Any] = {"query": question, "namespace": scope.namespace}
    await _post(sides, "retrieve", body, "HTTP retrieve")
    await _post(sides, "search", {**body, "query": f"{question} "}, "HTTP search")


async def _http_with_receipt(sides: Sides, scope: Scope, question: str) -> None:
    body = {"query": question, "namespace": scope.namespace}
    await _post(sides, "retrieve", body, "HTTP retrieve, query remembered")


async def _http_without(sides: Sides, scope: Scope, question: str) -> None:
    body = {"query": question, "namespace": scope.namespace, "receipt": False}
    await _post(sides, "retrieve", body, WITHOUT_RECEIPT)


async def _post(sides: Sides, call: str, body: dict[str, Any], name: str) -> None:
    began = time.perf_counter()
    await sides.service.post(f"/v1/{call}", body)
    sides.samples.add(name, (time.perf_counter() - began) * 1e3)
