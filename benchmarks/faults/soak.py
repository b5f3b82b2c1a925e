"""`soak`: a number of items is written while service and engine are killed at random; each must end reported and kept.

A batch that was not answered is sent again, as a client would; ids are deterministic, so nothing is kept twice.
"""

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

NAMESPACE = "soak"
_BATCH = 100
_TIMEOUT_S = 60.0
_ATTEMPTS = 200
_VICTIMS = ("service and store", "store", "service")


@dataclass(frozen=True, slots=True)
class SoakRequest:
    """count: items. rounds: how often something is killed."""

    command: str
    count: int = 20_000
    rounds: int = 10
    seed: int = 7


@dataclass(slots=True)
class _Soak:
    """The run so far. reported: what each item was reported as, by its id."""

    settings: Settings
    rng: random.Random
    reported: dict[str, str] = field(default_factory=dict)
    unreported: int = 0
    kills: list[str] = field(default_factory=list)

    def write(self, batches: list[list[str]], rounds: int) -> None:
        """Write every batch; the kills are spread over them."""
        service = start(self.settings)
        due = {len(batches) * (index + 1) // (rounds + 1): _VICTIMS[index % len(_VICTIMS)] for index in range(rounds)}
        try:
            for index, batch in enumerate(batches):
                killer = self._killer(service, due[index]) if index in due else None
                service = self._send(service, batch)
                if killer:
                    killer.join()
                    say(f"kill {len(self.kills)}: {self.kills[-1]}, {len(self.reported)} items reported")
        finally:
            service.kill(service.pids())

    def _killer(self, service: Service, victims: str) -> threading.Thread:
        self.kills.append(victims)
        after_s = self.rng.uniform(0.0, 0.6)
        own, *store = service.pids()
        chosen = {"service": [own], "store": store, "service and store": [own, *store]}[victims]

        def kill() -> None:
            time.sleep(after_s)
            service.kill(chosen)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        return thread

    def _send(self, service: Service, batch: list[str]) -> Service:
        """The service that answered in the end: a new one, where the old one is gone."""
        items = [{"type": "semantic", "content": text} for text in batch]
        for _ in range(_ATTEMPTS):
            if service.child.poll() is not None:
                service.kill(service.pids()[1:])
                service = start(self.settings)
            try:
                url = f"{service.url}/v1/memories/batch"
                answer = httpx.post(url, json={"namespace": NAMESPACE, "items": items}, timeout=_TIMEOUT_S)
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if answer.status_code == httpx.codes.OK and self._note(answer.json()["results"]):
                return service
            time.sleep(0.2)
        self.unreported += len(batch)
        return service

    def _note(self, results: list[dict[str, str]]) -> bool:
        """Keep what is reported; whether the whole batch is stored. What failed is said so, and sent again."""
        kept = [one for one in results if one["status"] in ("stored", "merged")]
        self.reported |= {one["id"]: one["status"] for one in kept}
        return len(kept) == len(results)


def measure_soak(request: SoakRequest) -> Report:
    """The report: items, kills, what was reported and is absent, what is neither kept nor reported."""
    source = turns(request.count * 20, seed=request.seed)
    texts = [f"{index}. {next(source).text}" for index in range(request.count)]
    batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
    rng = random.Random(request.seed)  # noqa: S311 - when to kill is no secret
    with data_directory() as directory:
        soak = _Soak(settings_in(directory), rng)
        soak.write(batches, request.rounds)
        kept = kept_ids(soak.settings, NAMESPACE)
    figures = {
        "items": request.count,
        "kills": len(soak.kills),
        "reported": len(soak.reported),
        "kept": len(kept),
        "reported_but_absent": len(set(soak.reported) - kept),
        "lost": request.count - len(kept),
        "unreported": soak.unreported,
    }
    table = Table("Killed at random while items are written", tuple(figures), (tuple(figures.values()),))
    return Report(request.command, (table,), (f"killed in turn: {', '.join(_VICTIMS)}",), figures)
