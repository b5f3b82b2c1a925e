"""`live`: milliseconds of calls on threads, workflows and working memory over HTTP, over the service's shortest answer.

Every client has a connection and makes its calls one after the other; its floor is `/health/live` in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from benchmarks.harness.metrics import percentiles
from benchmarks.harness.options import flag
from benchmarks.harness.report import Cell, Report, Table
from benchmarks.harness.service import KeepAliveClient, memory_mb, processes_of, running
from benchmarks.harness.stores import data_directory, settings_in

_TURN = "The build of the second branch failed once more in the same test; I look at what changed in the lock file. "
_SPACE = {"namespace": "live", "session_id": "s"}
_QUERY = "?namespace=live"
_WARM_UP = 20
_TURNS = 50
_EVENTS = 45
_ITEMS = 10
FLOOR = "health check"

Call: TypeAlias = Callable[[KeepAliveClient, int], Awaitable[object]]
"""Called with the client's connection and its number."""


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """Options of `live`."""

    clients: tuple[int, ...] = field(
        default=(1, 10, 100), metadata=flag("clients at once, a run for each number", int, least=1)
    )
    calls: int = field(default=2_000, metadata=flag("calls of each kind in a run", least=1))


async def measure_live(request: LiveRequest) -> Report:
    """The report over a service with an empty data folder."""
    rows: list[tuple[Cell, ...]] = []
    figures: dict[str, dict[str, float]] = {}
    with data_directory() as directory, running(settings_in(directory)) as service:
        idle_mb = sum(map(memory_mb, processes_of(settings_in(directory).live_path, exclude={os.getpid()})))
        for number in request.clients:
            async with AsyncExitStack() as stack:
                clients = [await KeepAliveClient.open(service.url) for _ in range(number)]
                for client in clients:
                    stack.push_async_callback(client.aclose)
                floor: dict[str, float] = {}
                for name, call in (await _calls(clients)).items():
                    ms = percentiles(await _timed(call, clients, max(1, request.calls // number)))
                    floor = floor or ms
                    figures[f"{name}, {number}"] = ms
                    rows.append((name, number, *ms.values(), *(ms[share] / floor[share] for share in ms)))
    columns = ("call", "clients", "p50 ms", "p95 ms", "p99 ms", "p50 x", "p95 x", "p99 x")
    notes = (
        f"x: over the {FLOOR} of the same run. Writes are synced to disk before they are answered.",
        f"The live server held {idle_mb:.1f} MB before the first call.",
    )
    return Report((Table("Calls on live state", columns, tuple(rows)),), notes, {"ms": figures, "idle_mb": idle_mb})


async def _timed(call: Call, clients: list[KeepAliveClient], each: int) -> list[float]:
    """Milliseconds of `each` calls of each client, after some to warm up."""
    ms: list[float] = []

    async def run(number: int, client: KeepAliveClient) -> None:
        for index in range(_WARM_UP // len(clients) + 1 + each):
            began = time.perf_counter()
            await call(client, number)
            if index > _WARM_UP // len(clients):
                ms.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(run(number, client) for number, client in enumerate(clients)))
    return ms


async def _calls(clients: list[KeepAliveClient]) -> dict[str, Call]:
    """The calls by name, the floor first. Each client appends to its own thread and workflow; reads share theirs."""
    first = clients[0]
    threads = [await _created(client, "threads") for client in clients]
    workflows = [await _created(client, "workflows") for client in clients]
    thread, workflow = await _filled_thread(first), await _filled_workflow(first)
    for number in range(_ITEMS):
        await first.send("POST", "/v1/working", {**_SPACE, "content": f"{number}: {_TURN}"})
    event = {"type": "note", "input": _TURN}
    return {
        FLOOR: lambda client, _: client.send("GET", "/health/live"),
        f"working memory: {_ITEMS} items": lambda client, _: client.send("GET", f"/v1/working{_QUERY}&session_id=s"),
        "thread: append": lambda client, number: client.send("POST", _turns(threads[number]), _turn("user")),
        f"thread: {_TURNS} turns in 1,000 tokens": lambda client, _: client.send(
            "POST", f"/v1/threads/{thread}/context{_QUERY}", {"budget": 1_000}
        ),
        "workflow: event": lambda client, number: client.send("POST", _events(workflows[number]), event),
        f"workflow: state of {_EVENTS} events": lambda client, _: client.send(
            "GET", f"/v1/workflows/{workflow}{_QUERY}"
        ),
    }


async def _filled_thread(client: KeepAliveClient) -> str:
    thread = await _created(client, "threads")
    for number in range(_TURNS):
        await client.send("POST", _turns(thread), _turn("assistant" if number % 2 else "user"))
    return thread


async def _filled_workflow(client: KeepAliveClient) -> str:
    workflow = await _created(client, "workflows")
    for number in range(_EVENTS):
        event = {"type": "step_completed" if number % 2 else "step_started", "step_id": f"step {number // 2}"}
        await client.send("POST", _events(workflow), {**event, "input": _TURN})
    return workflow


async def _created(client: KeepAliveClient, kind: str) -> str:
    """The id of a new thread or workflow."""
    created: dict[str, Any] = json.loads(await client.send("POST", f"/v1/{kind}", {"namespace": "live"}))
    return str(created["id" if kind == "threads" else "workflow_id"])


def _turn(role: str) -> dict[str, str]:
    return {"role": role, "content": _TURN}


def _turns(thread: str) -> str:
    return f"/v1/threads/{thread}/turns{_QUERY}"


def _events(workflow: str) -> str:
    return f"/v1/workflows/{workflow}/events{_QUERY}"
