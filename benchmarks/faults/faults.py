"""`faults`: service and live server are killed with SIGKILL while working items are made.

Every acknowledged one must be there after.
"""

from __future__ import annotations

import os
import random
import threading
import time
from dataclasses import dataclass, field

import httpx

from api.settings import Settings
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import Service, holders, start
from benchmarks.apparatus.report import Cell, Report, Table

_NAMESPACE = "faults"
_WRITERS = 3
_TIMEOUT_S = 10.0
_TTL_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class FaultsRequest:
    """rounds: of killing."""

    command: str
    rounds: int = 20
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
    """The report: what was acknowledged, and what of it was lost."""
    with data_directory() as directory:
        killing, lost, kept = _killing(settings_in(directory), request)
    return Report(request.command, (killing,), figures={"acknowledged": kept, "lost": lost})


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


def _live_pids(settings: Settings) -> list[int]:
    return holders(settings.live_path, besides={os.getpid()})


def _space(session: str) -> dict[str, str]:
    return {"namespace": _NAMESPACE, "session_id": session}
