"""`faults`: live state when processes die and when it is stopped.

Service and embedded server are killed with SIGKILL while working items are made; every acknowledged one must be there
after. And retrievals with and without working memory, and with the server of live state stopped in mid-air.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from api.settings import Settings
from benchmarks.opened import settings_in
from benchmarks.places import data_directory
from benchmarks.processes import Service, holders, running, start
from benchmarks.report import Cell, Report, Table
from benchmarks.synthetic import turns

_NAMESPACE = "faults"
_WRITERS = 3
_TIMEOUT_S = 10.0
_TTL_S = 7 * 24 * 3600
_ITEMS = 10
_BATCH = 500


@dataclass(frozen=True, slots=True)
class FaultsRequest:
    """rounds: of killing. queries: retrievals of each kind. stored: memories that they search."""

    command: str
    rounds: int = 20
    queries: int = 400
    stored: int = 2_000
    seed: int = 7


@dataclass(slots=True)
class Maker:
    """Makes working items until it can't, and remembers the ids that were acknowledged."""

    url: str
    session: str
    acknowledged: set[str] = field(default_factory=set)

    def make(self) -> None:
        """Return when the service is gone or says that it can't."""
        with httpx.Client(base_url=self.url, timeout=_TIMEOUT_S) as client:
            for number in range(1_000_000):
                item = {**_space(self.session), "content": f"item {number} of {self.session}", "ttl_s": _TTL_S}
                try:
                    answer = client.post("/v1/working", json=item)
                except httpx.TransportError:
                    return
                if answer.status_code != httpx.codes.CREATED:
                    return
                self.acknowledged.add(answer.json()["id"])


def measure_faults(request: FaultsRequest) -> Report:
    """The report: what was lost, and what working memory and its absence cost a retrieval."""
    with data_directory() as directory:
        killing, lost, kept = _killing(settings_in(directory), request)
    with data_directory() as directory, running(settings_in(directory)) as service:
        retrieving, figures = _retrieving(service, settings_in(directory), request)
    notes = (
        "Stopped is SIGSTOP: connections stand, and no answer comes.",
        f"Of {figures['stopped_answers']} answers meanwhile {figures['stopped_degraded']} said that live is degraded.",
    )
    return Report(request.command, (killing, retrieving), notes, {"acknowledged": kept, "lost": lost, **figures})


def _killing(settings: Settings, request: FaultsRequest) -> tuple[Table, int, int]:
    rng = random.Random(request.seed)  # noqa: S311 - when to kill is no secret
    acknowledged: dict[str, set[str]] = {}
    rows: list[tuple[Cell, ...]] = []
    service = start(settings)
    try:
        for number in range(1, request.rounds + 1):
            makers = [Maker(service.url, f"round {number} maker {index}") for index in range(_WRITERS)]
            after_s = rng.uniform(0.2, 1.2)
            _kill_while(makers, service, settings, after_s)
            acknowledged |= {maker.session: maker.acknowledged for maker in makers}
            service = start(settings)  # which is asked what it has, and killed in the next round
            counted = sum(map(len, acknowledged.values()))
            rows.append((number, round(after_s, 2), counted, _missing(service, acknowledged), service.ready_s))
    finally:
        service.stop()
    columns = ("round", "killed after s", "acknowledged so far", "missing", "ready again after s")
    table = Table("Service and live server killed while items are made", columns, tuple(rows))
    return table, max(int(row[3] or 0) for row in rows), int(rows[-1][2] or 0)


def _kill_while(makers: list[Maker], service: Service, settings: Settings, after_s: float) -> None:
    threads = [threading.Thread(target=maker.make, daemon=True) for maker in makers]
    for thread in threads:
        thread.start()
    time.sleep(after_s)
    service.kill([service.child.pid, *_live_pids(settings)])
    for thread in threads:
        thread.join(timeout=2 * _TIMEOUT_S)


def _missing(service: Service, acknowledged: dict[str, set[str]]) -> int:
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        found = {
            session: {one["id"] for one in client.get("/v1/working", params=_space(session)).json()["items"]}
            for session in acknowledged
        }
    return sum(len(ids - found[session]) for session, ids in acknowledged.items())


def _retrieving(service: Service, settings: Settings, request: FaultsRequest) -> tuple[Table, dict[str, Any]]:
    texts = [turn.text for _, turn in zip(range(request.stored), turns(1_000_000, seed=request.seed), strict=False)]
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        _fill(client, texts)
        ask = _asker(client, texts)
        for number in range(40):  # warm
            ask(number, working=True)
        took: dict[str, list[float]] = {"without": [], "with": [], "stopped": []}
        for number in range(request.queries):
            took["without"].append(ask(number, working=False)[0])
            took["with"].append(ask(number, working=True)[0])
        with _stopped(settings):
            answers = [ask(number, working=True) for number in range(request.queries)]
        took["stopped"] = [ms for ms, _ in answers]
        degraded = sum(told == ["live"] for _, told in answers)
    p95 = {name: float(np.percentile(ms, 95)) for name, ms in took.items()}
    rows = tuple((name, float(np.percentile(ms, 50)), p95[name], max(ms)) for name, ms in took.items())
    figures = {
        "added_p95_ms": p95["with"] - p95["without"],
        "stopped_over_with_p95": p95["stopped"] / p95["with"],
        "stopped_degraded": degraded,
        "stopped_answers": len(answers),
    }
    return Table("Retrievals, working memory", ("working memory", "p50 ms", "p95 ms", "max ms"), rows), figures


def _fill(client: httpx.Client, texts: list[str]) -> None:
    for begin in range(0, len(texts), _BATCH):
        items = [{"type": "semantic", "content": text} for text in texts[begin : begin + _BATCH]]
        client.post(
            "/v1/memories/batch", json={"namespace": _NAMESPACE, "items": items}, timeout=300
        ).raise_for_status()
    for number in range(_ITEMS):
        item = {**_space("s"), "content": f"live item {number}", "ttl_s": _TTL_S}
        client.post("/v1/working", json=item).raise_for_status()


def _asker(client: httpx.Client, texts: list[str]) -> Callable[..., tuple[float, list[str]]]:
    def ask(number: int, *, working: bool) -> tuple[float, list[str]]:
        """Milliseconds, and what was degraded."""
        body = {**_space("s"), "query": texts[number % len(texts)], "include_working": working, "receipt": False}
        began = time.perf_counter()
        answer = client.post("/v1/retrieve", json=body)
        ms = (time.perf_counter() - began) * 1_000
        answer.raise_for_status()
        told: list[str] = answer.json()["metadata"]["degraded"]
        return ms, told

    return ask


@contextmanager
def _stopped(settings: Settings) -> Iterator[None]:
    pids = _live_pids(settings)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _live_pids(settings: Settings) -> list[int]:
    return holders(settings.live_path, besides={os.getpid()})


def _space(session: str) -> dict[str, str]:
    return {"namespace": _NAMESPACE, "session_id": session}
