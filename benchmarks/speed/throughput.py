"""`throughput`: retrievals a second that several clients get over HTTP, over the same work done in this process.

The same work: retrieval with its receipt and its notes of use, asked the same questions by as many tasks at once. The
two take turns, each with a service or an engine started anew, so that both see one machine and equally cold caches.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from api.auth.keys import KeyRing
from api.settings import Settings
from api.wiring import open_services
from benchmarks.apparatus.bulk import TENANT, filled, namespace_of
from benchmarks.apparatus.lean import LeanClient
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import running
from benchmarks.apparatus.report import Cell, Report, Table
from benchmarks.apparatus.synthetic import questions
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest

Ask: TypeAlias = Callable[[int, str, str], Awaitable[object]]
"""Takes the number of the client, the namespace and the question."""


@dataclass(frozen=True, slots=True)
class ThroughputRequest:
    """size: memories. clients: at once. queries: in a round of either side. store: where the filled store is kept."""

    command: str
    size: int = 100_000
    namespaces: int = 50
    clients: int = 8
    queries: int = 400
    rounds: int = 3
    store: Path | None = None


async def measure_throughput(request: ThroughputRequest) -> Report:
    """The report over all rounds."""
    rates: dict[str, list[float]] = {"in process": [], "HTTP": []}
    with data_directory(request.store and request.store / str(request.size)) as directory:
        settings = settings_in(directory)
        await filled(settings, request.size, request.namespaces)
        for number in range(request.rounds):
            rates["in process"].append(await _in_process(request, settings, number))
            rates["HTTP"].append(await _over_http(request, settings, number))
    return _report(request, rates)


async def _in_process(request: ThroughputRequest, settings: Settings, number: int) -> float:
    async with open_services(settings, KeyRing()) as services:

        async def ask(_client: int, namespace: str, question: str) -> object:
            asked = RetrieveRequest(query=question, namespace=namespace)
            return await services.retriever.retrieve(Scope(TENANT, namespace), asked)

        return await _rate(request, ask, number)


async def _over_http(request: ThroughputRequest, settings: Settings, number: int) -> float:
    with running(settings) as service:
        async with AsyncExitStack() as opened:
            clients = [await LeanClient.open(service.url) for _ in range(request.clients)]
            for client in clients:
                opened.push_async_callback(client.aclose)

            async def ask(client: int, namespace: str, question: str) -> object:
                return await clients[client].post("/v1/retrieve", {"query": question, "namespace": namespace})

            return await _rate(request, ask, number)


async def _rate(request: ThroughputRequest, ask: Ask, number: int) -> float:
    """Questions answered a second, after one in every namespace."""
    spaces = [namespace_of(index) for index in range(request.namespaces)]
    await _all_asked(request, ask, zip(spaces, questions(len(spaces), seed=29), strict=True))
    asked = questions(request.queries, seed=100 + number)
    began = time.perf_counter()
    await _all_asked(request, ask, ((spaces[index % len(spaces)], one) for index, one in enumerate(asked)))
    return len(asked) / (time.perf_counter() - began)


async def _all_asked(request: ThroughputRequest, ask: Ask, asked: Iterator[tuple[str, str]]) -> None:
    async def client(place: int) -> None:
        for namespace, question in asked:  # whoever is free takes the next
            await ask(place, namespace, question)

    await asyncio.gather(*(client(place) for place in range(request.clients)))


def _report(request: ThroughputRequest, rates: dict[str, list[float]]) -> Report:
    ratios = [over / under for over, under in zip(rates["HTTP"], rates["in process"], strict=True)]
    columns = ("", "median", "least", "most")
    told = Table("Retrievals a second", columns, tuple(_row(name, own, 1) for name, own in rates.items()))
    ratio = Table("Ratio", columns, (_row("HTTP over in process", ratios, 2),))
    notes = (
        f"{request.clients} clients at once, {request.size} memories in {request.namespaces} namespaces.",
        f"{request.queries} questions in each of {request.rounds} rounds; the clients run on the same cores.",
    )
    return Report(request.command, (told, ratio), notes, {"rates": rates, "ratios": ratios})


def _row(name: str, values: list[float], places: int) -> tuple[Cell, ...]:
    return (name, *(round(one, places) for one in (statistics.median(values), min(values), max(values))))
