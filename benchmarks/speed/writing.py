"""`write`: how long one explicit write takes over HTTP, everything on, in a store that has much in it already.

Each write is redacted, reviewed, embedded, compared with what is near, kept and read back; one at a time, of all types.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.apparatus.bulk import filled, namespace_of
from benchmarks.apparatus.metrics import percentile
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import running
from benchmarks.apparatus.report import Report, Table
from benchmarks.apparatus.synthetic import turns
from memtypes.model.policy import LONG_TERM

_WARM_UP = 20
_TIMEOUT_S = 60.0
_CREATED = 201


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """stored: memories before, spread over the namespaces. writes: that are timed. store: where it is kept."""

    command: str
    stored: int = 100_000
    namespaces: int = 50
    writes: int = 200
    store: Path | None = None


async def measure_write(request: WriteRequest) -> Report:
    """The report over all writes. Raises HTTPStatusError for one that is refused."""
    with data_directory(request.store) as directory:
        settings = settings_in(directory)
        fill_s = await filled(settings, request.stored, request.namespaces)
        with running(settings) as service, httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
            floor = _timed(client, request, "/health/live")
            ms = _timed(client, request, None)
    rows = (_row("write", ms), _row("the service's shortest answer", floor))
    columns = ("", "count", "p50 ms", "p95 ms", "most ms")
    notes = (f"{request.stored} memories in {request.namespaces} namespaces, filled in {fill_s:.0f} s (0: kept).",)
    return Report(request.command, (Table("One explicit write", columns, rows),), notes, {"write": ms, "floor": floor})


def _timed(client: httpx.Client, request: WriteRequest, path: str | None) -> list[float]:
    """The milliseconds of each call, without the first ones. path: what is asked instead of writing."""
    took = []
    seed = time.time_ns() % 2**31  # a kept store has the texts of earlier runs
    for index, turn in enumerate(turns(_WARM_UP + request.writes, seed=seed)):
        kind = LONG_TERM[index % len(LONG_TERM)]
        body = {"namespace": namespace_of(index % request.namespaces), "type": kind.value, "content": turn.text}
        began = time.perf_counter()
        answer = client.get(path) if path else client.post("/v1/memories", json={**body, "review": "auto"})
        took.append((time.perf_counter() - began) * 1e3)
        answer.raise_for_status()
        if not path and answer.status_code != _CREATED and answer.json()["status"] != "rejected":
            raise RuntimeError(f"a new text ended as {answer.json()['status']}")
    return took[_WARM_UP:]


def _row(name: str, ms: Sequence[float]) -> tuple[str, int, float, float, float]:
    return name, len(ms), percentile(ms, 0.5), percentile(ms, 0.95), max(ms)
