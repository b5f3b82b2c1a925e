"""`throughput`: measures the rate and time of calls by several clients at once, in this process and
over HTTP.

The calls retrieve contexts, append turns to threads, and add events to workflows. Retrievals write
receipts and count as uses of memories. Rounds in this process and over HTTP alternate, each with
newly started services, so that both begin with cold caches. Retrievals during batch writes come
last, because the writes add memories.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import anyio

from api.settings import Settings
from api.wiring.services import open_services
from benchmarks.harness.metrics import percentiles
from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, Table, spread_table
from benchmarks.harness.service import KeepAliveClient, running
from benchmarks.harness.stores import TENANT, data_directory, filled, namespace_of, settings_in
from benchmarks.harness.synthetic import questions, turns
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest

_BATCH = 100
DIRECT = "in process"
HTTP = "HTTP"
WRITING = "HTTP while a batch is written"
TURNS = "turns appended over HTTP"
EVENTS = "workflow events over HTTP"
_SENT = {
    TURNS: {"role": "user", "content": "The build is green."},
    EVENTS: {"type": "note", "output": "all tests pass"},
}

Ask: TypeAlias = Callable[[int, str, str], Awaitable[object]]
"""A function that retrieves for a client (given by number) in a namespace, with a question."""


@dataclass(frozen=True, slots=True)
class ThroughputRequest:
    """Command-line options of the `throughput` benchmark."""

    size: int = field(default=100_000, metadata=flag("memories in the store", least=5))
    namespaces: int = field(
        default=50, metadata=flag("namespaces that they are spread over", least=1)
    )
    clients: int = field(default=8, metadata=flag("clients at once", least=1))
    queries: int = field(default=400, metadata=flag("questions to each side in a round", least=1))
    rounds: int = field(default=3, metadata=flag("rounds", least=1))
    store: Path | None = field(
        default=None, metadata=flag("keep the filled store here for the next run", Path)
    )


@dataclass(slots=True)
class CallTimes:
    """Times of one kind of call, such as over HTTP. ms: milliseconds of each call. rates:
    retrievals/s by round.
    """

    rates: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


async def measure_throughput(request: ThroughputRequest) -> Report:
    """Time retrievals, appends to threads and events of workflows by several clients at once, and
    return the report.
    """
    calls = {name: CallTimes() for name in (DIRECT, HTTP, WRITING, TURNS, EVENTS)}
    with data_directory(request.store and request.store / str(request.size)) as directory:
        settings = settings_in(directory)
        await filled(settings, request.size, request.namespaces)
        for number in range(request.rounds):
            await _in_process(request, settings, number, calls[DIRECT])
            await _over_http(request, settings, number, calls)
        for number in range(request.rounds):  # last, because they add memories
            await _over_http(request, settings, number, calls, writing=True)
    return _report(request, calls)


async def _in_process(
    request: ThroughputRequest, settings: Settings, number: int, times: CallTimes
) -> None:
    async with open_services(settings) as services:

        async def ask(_client: int, namespace: str, question: str) -> object:
            retrieve = RetrieveRequest(query=question, namespace=namespace)
            return await services.retriever.retrieve(Scope(TENANT, namespace), retrieve)

        await _measure(request, ask, number, times)


async def _over_http(
    request: ThroughputRequest,
    settings: Settings,
    number: int,
    calls: dict[str, CallTimes],
    *,
    writing: bool = False,
) -> None:
    with running(settings) as service:
        async with AsyncExitStack() as stack:
            clients = [await KeepAliveClient.open(service.url) for _ in range(request.clients)]
            for client in clients:
                stack.push_async_callback(client.aclose)
            if writing:
                await stack.enter_async_context(_writing(service.url))

            async def ask(client: int, namespace: str, question: str) -> object:
                return await clients[client].post(
                    "/v1/retrieve", {"query": question, "namespace": namespace}
                )

            await _measure(request, ask, number, calls[WRITING if writing else HTTP])
            if not writing:
                count = request.queries // len(clients)
                await asyncio.gather(*(_live_state(client, count, calls) for client in clients))


async def _live_state(client: KeepAliveClient, count: int, calls: dict[str, CallTimes]) -> None:
    """Append `count` turns to a new thread and `count` events to a new workflow. Adds the times to
    `calls`.
    """
    for kind, key, member, name in (
        ("threads", "id", "turns", TURNS),
        ("workflows", "workflow_id", "events", EVENTS),
    ):
        created_id = json.loads(await client.post(f"/v1/{kind}", {"namespace": "live"}))[key]
        for _ in range(count):
            began = time.perf_counter()
            await client.post(f"/v1/{kind}/{created_id}/{member}?namespace=live", _SENT[name])
            calls[name].ms.append((time.perf_counter() - began) * 1e3)


@asynccontextmanager
async def _writing(url: str) -> AsyncIterator[None]:
    """Write batches of new texts to the service at `url` in the background, until the context
    ends.
    """
    texts = turns(1 << 40, seed=time.time_ns() % 2**31)

    async def write(client: KeepAliveClient) -> None:
        while True:
            items = [{"type": "episodic", "content": next(texts).text} for _ in range(_BATCH)]
            await client.post("/v1/memories/batch", {"namespace": "written", "items": items})

    async with (
        aclosing(await KeepAliveClient.open(url)) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(write, client)
        yield
        tasks.cancel_scope.cancel()


async def _measure(request: ThroughputRequest, ask: Ask, number: int, times: CallTimes) -> None:
    """Ask once in every namespace to fill caches. Then time the questions of round `number`, and
    add to `times`.
    """
    namespaces = [namespace_of(index) for index in range(request.namespaces)]
    await _ask_all(request, ask, zip(namespaces, questions(len(namespaces), seed=29), strict=True))
    queries = questions(request.queries, seed=100 + number)
    began = time.perf_counter()
    times.ms += await _ask_all(
        request,
        ask,
        ((namespaces[index % len(namespaces)], question) for index, question in enumerate(queries)),
    )
    times.rates.append(len(queries) / (time.perf_counter() - began))


async def _ask_all(
    request: ThroughputRequest, ask: Ask, queries: Iterator[tuple[str, str]]
) -> list[float]:
    ms: list[float] = []

    async def client(number: int) -> None:
        for namespace, question in queries:  # the next free client takes the next question
            began = time.perf_counter()
            await ask(number, namespace, question)
            ms.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(client(number) for number in range(request.clients)))
    return ms


def _report(request: ThroughputRequest, calls: dict[str, CallTimes]) -> Report:
    ratios = [
        http / direct for http, direct in zip(calls[HTTP].rates, calls[DIRECT].rates, strict=True)
    ]
    ms = {name: percentiles(times.ms) for name, times in calls.items()}
    rates = {name: times.rates for name, times in calls.items() if times.rates}
    tables = (
        spread_table("Retrievals a second", {**rates, "HTTP over in process": ratios}),
        Table(
            "Milliseconds of a call",
            ("", "p50", "p95", "p99"),
            tuple((name, *ms[name].values()) for name in ms),
        ),
    )
    notes = (
        (
            f"{request.clients} clients at once, {request.size} memories in "
            f"{request.namespaces} namespaces."
        ),
        (
            f"{request.queries} questions in each of {request.rounds} rounds; the clients run "
            "on the same cores."
        ),
        f"Batches of {_BATCH} texts are written one after the other.",
    )
    return Report(tables, notes, {"rates": rates, "ratios": ratios, "ms": ms})
