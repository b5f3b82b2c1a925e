"""`throughput`: retrievals a second of several clients over HTTP, and of as many tasks in this process.

Both retrieve with a receipt and record accesses. They take turns, each with a service or an engine started for the
round, so that both see the same machine and equally cold caches.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from api.auth.keys import KeyRing
from api.settings import Settings
from api.wiring import open_services
from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, Table, spread_row
from benchmarks.harness.service import KeepAliveClient, running
from benchmarks.harness.stores import TENANT, data_directory, filled, namespace_of, settings_in
from benchmarks.harness.synthetic import questions
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest

Ask: TypeAlias = Callable[[int, str, str], Awaitable[object]]
"""Called with the number of the client, the namespace and the question."""


@dataclass(frozen=True, slots=True)
class ThroughputRequest:
    """Options of `throughput`."""

    size: int = field(default=100_000, metadata=flag("memories in the store", least=5))
    namespaces: int = field(default=50, metadata=flag("namespaces that they are spread over", least=1))
    clients: int = field(default=8, metadata=flag("clients at once", least=1))
    queries: int = field(default=400, metadata=flag("questions to each side in a round", least=1))
    rounds: int = field(default=3, metadata=flag("rounds", least=1))
    store: Path | None = field(default=None, metadata=flag("keep the filled store here for the next run", Path))


async def measure_throughput(request: ThroughputRequest) -> Report:
    """The report over all rounds."""
    rates: dict[str, list[float]] = {"in process": [], "HTTP": []}
    with data_directory(request.store and request.store / str(request.size)) as directory:
        settings = settings_in(directory)
        await filled(settings, request.size, request.namespaces)
        for number in range(request.rounds):
            rates["in process"].append(await _in_process(request, settings, number))
            rates["HTTP"].append(await _over_http(request, settings, number))
    ratios = [http / direct for http, direct in zip(rates["HTTP"], rates["in process"], strict=True)]
    rows = (*(spread_row(name, values) for name, values in rates.items()), spread_row("ratio", ratios))
    table = Table("Retrievals a second", ("", "median", "least", "most"), rows)
    notes = (
        f"{request.clients} clients at once, {request.size} memories in {request.namespaces} namespaces.",
        f"{request.queries} questions in each of {request.rounds} rounds; the clients run on the same cores.",
    )
    return Report((table,), notes, {"rates": rates, "ratios": ratios})


async def _in_process(request: ThroughputRequest, settings: Settings, number: int) -> float:
    async with open_services(settings, KeyRing()) as services:

        async def ask(_client: int, namespace: str, question: str) -> object:
            retrieve = RetrieveRequest(query=question, namespace=namespace)
            return await services.retriever.retrieve(Scope(TENANT, namespace), retrieve)

        return await _rate(request, ask, number)


async def _over_http(request: ThroughputRequest, settings: Settings, number: int) -> float:
    with running(settings) as service:
        async with AsyncExitStack() as stack:
            clients = [await KeepAliveClient.open(service.url) for _ in range(request.clients)]
            for client in clients:
                stack.push_async_callback(client.aclose)

            async def ask(client: int, namespace: str, question: str) -> object:
                return await clients[client].post("/v1/retrieve", {"query": question, "namespace": namespace})

            return await _rate(request, ask, number)


async def _rate(request: ThroughputRequest, ask: Ask, number: int) -> float:
    """Answers a second, after one question in every namespace."""
    spaces = [namespace_of(index) for index in range(request.namespaces)]
    await _ask_all(request, ask, zip(spaces, questions(len(spaces), seed=29), strict=True))
    asked = questions(request.queries, seed=100 + number)
    began = time.perf_counter()
    await _ask_all(request, ask, ((spaces[index % len(spaces)], question) for index, question in enumerate(asked)))
    return len(asked) / (time.perf_counter() - began)


async def _ask_all(request: ThroughputRequest, ask: Ask, asked: Iterator[tuple[str, str]]) -> None:
    async def client(place: int) -> None:
        for namespace, question in asked:  # the next free client takes the next question
            await ask(place, namespace, question)

    await asyncio.gather(*(client(place) for place in range(request.clients)))
