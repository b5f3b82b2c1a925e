"""`live`: what each call on live state costs over bare pings of as many round trips, and the memory it takes.

Every client is a task that makes its calls one after the other on one shared client, as the service does. Its floor is
the same number of tasks that send as many pings a call, in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from redis.asyncio import Redis

from benchmarks.apparatus.metrics import percentile
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Cell, Report, Table
from benchmarks.live.call import LiveCall
from benchmarks.live.calls import live_calls, memory_of_a_log
from benchmarks.live.threads import memory_of_a_thread
from memtypes.model.errors import Unavailable
from memtypes.stores.redis.connection.client import LiveClient, LiveSettings

_AT = (0.5, 0.95, 0.99)
_WARM = 20


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """clients: at once, one run each. calls: of each kind in a run, shared out among the clients."""

    command: str
    clients: tuple[int, ...] = (1, 10, 100)
    calls: int = 2_000


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of call with so many clients: milliseconds of each call, and of its floor's.

    refused: calls that were given up as too slow, which a retrieval bears by going on without.
    """

    name: str
    clients: int
    round_trips: int
    ms: tuple[float, ...]
    floor_ms: tuple[float, ...]
    refused: int = 0

    def row(self) -> tuple[Cell, ...]:
        """The row of the table."""
        if not self.ms:
            return (self.name, self.clients, self.round_trips, *[None] * 6, self.refused)
        own = [percentile(self.ms, at) for at in _AT]
        floor = [percentile(self.floor_ms, at) for at in _AT]
        ratios = [a / b for a, b in zip(own, floor, strict=True)]
        return (self.name, self.clients, self.round_trips, *own, *ratios, self.refused)


async def measure_live(request: LiveRequest) -> Report:
    """The report over an embedded server of its own."""
    with data_directory() as directory:
        live = await LiveClient.open(LiveSettings(directory / "live"))
        try:
            idle = await _resident_mb(live)
            measured = [
                await _measured(live, call, clients, request.calls)
                for clients in request.clients
                for call in await live_calls(live, directory, clients)
            ]
            sizes = await _sizes(live, idle)
        finally:
            await live.aclose()
    columns = ("call", "clients", "round trips", "p50 ms", "p95 ms", "p99 ms", "p50 x", "p95 x", "p99 x", "refused")
    tables = (Table("Calls over pings", columns, tuple(one.row() for one in measured)), sizes)
    notes = ("x: over bare pings, one after the other, of as many round trips and with as many clients.",)
    figures = {f"{one.name}, {one.clients}": {"ms": one.ms, "floor_ms": one.floor_ms} for one in measured}
    return Report(request.command, tables, notes, figures)


async def _measured(live: LiveClient, call: LiveCall, clients: int, calls: int) -> Measured:
    async def ping(_client: int, _number: int) -> None:
        for _ in range(call.round_trips):
            await live.run(_ping, idempotent=True)

    each = max(1, calls // clients)
    floor = await _timed(ping, clients, each)
    (bare, _), (ms, refused) = floor, await _timed(call.make, clients, each)
    return Measured(call.name, clients, call.round_trips, ms, bare, refused)


def _ping(redis: Redis) -> Awaitable[object]:
    return redis.ping()


async def _timed(make: Callable[[int, int], Awaitable[None]], clients: int, each: int) -> tuple[tuple[float, ...], int]:
    """Milliseconds of each of `each` calls of each of `clients` but for the first few, and how many were refused."""
    ms: list[float] = []
    refused = 0

    async def work(client: int) -> None:
        nonlocal refused
        for number in range(each + _WARM // clients + 1):
            began = time.perf_counter()
            try:
                await make(client, number)
            except Unavailable:
                refused += 1
                continue
            if number > _WARM // clients:
                ms.append((time.perf_counter() - began) * 1_000)

    async with anyio.create_task_group() as tasks:
        for client in range(clients):
            tasks.start_soon(work, client)
    return tuple(ms), refused


async def _sizes(live: LiveClient, idle_mb: float) -> Table:
    rows: list[tuple[Cell, ...]] = [
        ("server resident, empty, MB", idle_mb, 10.0),
        ("server resident after the run, MB", await _resident_mb(live), None),
        ("thread of 50 turns, MB", (await memory_of_a_thread(live)) / 2**20, 1.0),
        ("workflow of 50 events, MB", (await memory_of_a_log(live)) / 2**20, 1.0),
    ]
    return Table("Memory", ("what", "measured", "at most"), tuple(rows))


async def _resident_mb(live: LiveClient) -> float:
    info = await live.run(_memory, idempotent=True)
    return float(info["used_memory_rss"]) / 2**20


def _memory(redis: Redis) -> Awaitable[dict[str, Any]]:
    return redis.info("memory")
