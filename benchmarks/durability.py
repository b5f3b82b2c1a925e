"""`durability`: processes are killed with SIGKILL while writes come in; what was acknowledged must be there after."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

import httpx

from api.settings import Settings
from benchmarks.kept import kept_ids, say
from benchmarks.opened import settings_in
from benchmarks.places import data_directory
from benchmarks.processes import Service, start
from benchmarks.report import Report, Table
from benchmarks.synthetic import turns

NAMESPACE = "durability"
_WRITERS = 3
_BATCH = 20
_TIMEOUT_S = 10.0
_VICTIMS = ("service and store", "store", "service")


@dataclass(frozen=True, slots=True)
class DurabilityRequest:
    """rounds: how often processes are killed; whose turn it is changes from round to round."""

    command: str
    rounds: int = 9
    seed: int = 7


@dataclass(slots=True)
class Writer:
    """Writes batch after batch until it can't, and remembers the ids that were acknowledged."""

    url: str
    seed: int
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0

    def write(self) -> None:
        """Return when the service is gone or says that it can't."""
        texts = turns(1_000_000, seed=self.seed)
        with httpx.Client(base_url=self.url, timeout=_TIMEOUT_S) as client:
            while True:
                items = [{"type": "semantic", "content": next(texts).text} for _ in range(_BATCH)]
                try:
                    answer = client.post("/v1/memories/batch", json={"namespace": NAMESPACE, "items": items})
                except httpx.TransportError:
                    return
                if answer.status_code != httpx.codes.OK:
                    self.refused += 1
                    return
                ended = [one for one in answer.json()["results"] if one["status"] in ("stored", "merged")]
                self.acknowledged |= {one["id"] for one in ended}
                if len(ended) < _BATCH:
                    self.refused += 1
                    return


def measure_durability(request: DurabilityRequest) -> Report:
    """The report: each round's victims, what had been acknowledged till then, and what is missing of it."""
    rng = random.Random(request.seed)  # noqa: S311 - when to kill is no secret
    acknowledged: set[str] = set()
    rows: list[tuple[str | int | float, ...]] = []
    lost_ever: set[str] = set()
    with data_directory() as directory:
        settings = settings_in(directory)
        for index in range(request.rounds):
            victims = _VICTIMS[index % len(_VICTIMS)]
            after_s = rng.uniform(0.3, 2.5)
            acknowledged |= _round(settings, victims, after_s, seed=request.seed * 1_000 + index * _WRITERS)
            lost = acknowledged - kept_ids(settings, NAMESPACE)
            lost_ever |= lost
            say(f"round {index + 1} of {request.rounds}: {len(acknowledged)} acknowledged, {len(lost)} missing")
            rows.append((index + 1, victims, after_s, len(acknowledged), len(lost)))
    columns = ("round", "killed", "after s", "acknowledged so far", "missing")
    figures = {"rounds": request.rounds, "acknowledged": len(acknowledged), "lost": len(lost_ever)}
    notes = (f"{_WRITERS} writers send batches of {_BATCH}; all that is listed is compared after each round.",)
    return Report(request.command, (Table("Killed while writing", columns, tuple(rows)),), notes, figures)


def _round(settings: Settings, victims: str, after_s: float, *, seed: int) -> set[str]:
    """The ids that were acknowledged before the kill, or, by a store that was started anew, after it."""
    service = start(settings)
    writers = [Writer(service.url, seed + index) for index in range(_WRITERS)]
    threads = [threading.Thread(target=writer.write, daemon=True) for writer in writers]
    try:
        for thread in threads:
            thread.start()
        time.sleep(after_s)
        service.kill(_chosen(service, victims))
        if victims == "store":
            time.sleep(after_s)  # the service may start another, and go on
    finally:
        service.kill([service.child.pid])
    for thread in threads:
        thread.join(timeout=2 * _TIMEOUT_S)
    return set().union(*(writer.acknowledged for writer in writers))


def _chosen(service: Service, victims: str) -> list[int]:
    own, *store = service.pids()
    return {"service": [own], "store": store, "service and store": [own, *store]}[victims]
