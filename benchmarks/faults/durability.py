"""`durability`: processes are killed with SIGKILL while writes come in; what was acknowledged must be there after."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

import httpx

from api.settings import Settings
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import Service, start
from benchmarks.apparatus.report import Report, Table
from benchmarks.apparatus.synthetic import turns
from benchmarks.faults.kept import kept_ids, say

NAMESPACE = "durability"
_WRITERS = 3
_BATCH = 20
_TIMEOUT_S = 10.0
_VICTIMS = ("service and store", "store", "service")
_SPREAD = 3
"""A round's kill comes after its least number of acknowledged writes, up to so many times of it."""

_LATER_S = 0.3
"""And up to so much later: somewhere within a batch."""

_AFTERWARDS_S = 2.0
_GIVE_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class DurabilityRequest:
    """rounds: how often processes are killed; whose turn it is changes from round to round.

    least: writes that are acknowledged in a round before its kill.
    """

    command: str
    rounds: int = 9
    least: int = 300
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Kill:
    """victims: who. after: so many acknowledged writes of the round, and later_s seconds."""

    victims: str
    after: int
    later_s: float


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
    acknowledged: set[str] = set()
    rows: list[tuple[str | int | float, ...]] = []
    lost_ever: set[str] = set()
    with data_directory() as directory:
        settings = settings_in(directory)
        for index, kill in enumerate(kills(request)):
            fresh = _round(settings, kill, seed=request.seed * 1_000 + index * _WRITERS)
            acknowledged |= fresh
            lost = acknowledged - kept_ids(settings, NAMESPACE)
            lost_ever |= lost
            say(f"round {index + 1} of {request.rounds}: {len(acknowledged)} acknowledged, {len(lost)} missing")
            rows.append((index + 1, kill.victims, kill.after, len(fresh), len(acknowledged), len(lost)))
    columns = ("round", "killed", "not before", "acknowledged", "in all so far", "missing")
    figures = {"rounds": request.rounds, "acknowledged": len(acknowledged), "lost": len(lost_ever)}
    notes = (f"{_WRITERS} writers send batches of {_BATCH}; all that is listed is compared after each round.",)
    return Report(request.command, (Table("Killed while writing", columns, tuple(rows)),), notes, figures)


def kills(request: DurabilityRequest) -> list[Kill]:
    """The kill of each round, at a moment of its own."""
    rng = random.Random(request.seed)  # noqa: S311 - when to kill is no secret
    return [
        Kill(
            _VICTIMS[index % len(_VICTIMS)],
            rng.randint(request.least, _SPREAD * request.least),
            rng.uniform(0, _LATER_S),
        )
        for index in range(request.rounds)
    ]


def _round(settings: Settings, kill: Kill, *, seed: int) -> set[str]:
    """The ids that were acknowledged before the kill, or, by a store that was started anew, after it."""
    service = start(settings)
    writers = [Writer(service.url, seed + index) for index in range(_WRITERS)]
    threads = [threading.Thread(target=writer.write, daemon=True) for writer in writers]
    try:
        for thread in threads:
            thread.start()
        _wait(writers, kill)
        service.kill(_chosen(service, kill.victims))
        if kill.victims == "store":
            time.sleep(_AFTERWARDS_S)  # the service may start another, and go on
    finally:
        service.kill([service.child.pid])
    for thread in threads:
        thread.join(timeout=2 * _TIMEOUT_S)
    return set().union(*(writer.acknowledged for writer in writers))


def _wait(writers: list[Writer], kill: Kill) -> None:
    """Return when it is time. Raises TimeoutError when writes are acknowledged too slowly for that."""
    deadline = time.monotonic() + _GIVE_UP_S
    while sum(len(writer.acknowledged) for writer in writers) < kill.after:
        if time.monotonic() > deadline:
            raise TimeoutError(f"fewer than {kill.after} writes were acknowledged in {_GIVE_UP_S:.0f} s")
        time.sleep(0.005)
    time.sleep(kill.later_s)


def _chosen(service: Service, victims: str) -> list[int]:
    own, *store = service.pids()
    return {"service": [own], "store": store, "service and store": [own, *store]}[victims]
