"""`faults`: service and live server are killed with SIGKILL while working items are made and turns are said.

Every acknowledged one must be there after.
"""

from __future__ import annotations

import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.settings import Settings
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import Service, holders, start
from benchmarks.apparatus.report import Cell, Report, Table
from benchmarks.faults.fault_threads import replace_policies

_NAMESPACE = "faults"
_WRITERS = 3
"""Of items, and as many of turns."""

_TIMEOUT_S = 10.0
_TTL_S = 7 * 24 * 3600
_POLICIES = "threads: {log: {max_turns: 1000000, ttl: 7d}}\n"


@dataclass(frozen=True, slots=True)
class FaultsRequest:
    """rounds: of killing."""

    command: str
    rounds: int = 20
    seed: int = 7


@dataclass(slots=True)
class Maker(ABC):
    """Makes things until it can't, and remembers the names of those that were acknowledged."""

    session: str
    acknowledged: set[str] = field(default_factory=set)

    def make(self, url: str) -> None:
        """Return when the service is gone or says that it can't."""
        with httpx.Client(base_url=url, timeout=_TIMEOUT_S) as client:
            for number in range(1_000_000):
                try:
                    answer = self.send(client, f"{number} of {self.session}")
                except httpx.TransportError:
                    return
                if answer.status_code != httpx.codes.CREATED:
                    return
                self.acknowledged.add(self.name(answer))

    def missing(self, client: httpx.Client) -> int:
        """How many that were acknowledged are not there."""
        return len(self.acknowledged - self.held(client)) if self.acknowledged else 0

    @abstractmethod
    def send(self, client: httpx.Client, content: str) -> httpx.Response:
        """The answer to one."""

    @abstractmethod
    def name(self, answer: httpx.Response) -> str:
        """The name that an answer gives it."""

    @abstractmethod
    def held(self, client: httpx.Client) -> set[str]:
        """The names of all that are there."""


class Items(Maker):
    """Makes working items."""

    def send(self, client: httpx.Client, content: str) -> httpx.Response:
        """A new item."""
        return client.post("/v1/working", json={**self._space(), "content": f"item {content}", "ttl_s": _TTL_S})

    def name(self, answer: httpx.Response) -> str:
        """Its id."""
        return str(answer.json()["id"])

    def held(self, client: httpx.Client) -> set[str]:
        """The items of the session."""
        return {one["id"] for one in client.get("/v1/working", params=self._space()).json()["items"]}

    def _space(self) -> dict[str, str]:
        return {"namespace": _NAMESPACE, "session_id": self.session}


@dataclass(slots=True)
class Turns(Maker):
    """Says turns in a thread of its own."""

    thread_id: str = ""

    def send(self, client: httpx.Client, content: str) -> httpx.Response:
        """A new turn."""
        if not self.thread_id:
            opened = client.post("/v1/threads", json={"namespace": _NAMESPACE, "resource": "log"})
            self.thread_id = opened.json()["id"]
        turn = {"role": "user", "content": f"turn {content}"}
        return client.post(f"/v1/threads/{self.thread_id}/turns", params={"namespace": _NAMESPACE}, json=turn)

    def name(self, answer: httpx.Response) -> str:
        """Its words."""
        return str(answer.json()["turn"]["content"])

    def held(self, client: httpx.Client) -> set[str]:
        """The turns of the thread."""
        held: set[str] = set()
        while True:
            query: dict[str, str | int] = {"namespace": _NAMESPACE, "limit": 1_000, "offset": len(held)}
            page = client.get(f"/v1/threads/{self.thread_id}", params=query).json()
            held |= {turn["content"] for turn in page["turns"]}
            if len(held) >= page["total"]:
                return held


def measure_faults(request: FaultsRequest) -> Report:
    """The report: what was acknowledged, and what of it was lost."""
    with data_directory() as directory:
        policies = Path(directory) / "policies.yaml"
        policies.write_text(_POLICIES, encoding="utf-8")
        killing, kept, lost = _killing(replace_policies(settings_in(directory), policies), request)
    return Report(request.command, (killing,), figures={"acknowledged": kept, "lost": lost})


def _killing(settings: Settings, request: FaultsRequest) -> tuple[Table, int, int]:
    rng = random.Random(request.seed)  # noqa: S311 - when to kill is no secret
    makers: list[Maker] = []
    rows: list[tuple[Cell, ...]] = []
    service = start(settings)
    try:
        for number in range(1, request.rounds + 1):
            names = [f"round {number} maker {index}" for index in range(_WRITERS)]
            busy = [kind(name) for kind in (Items, Turns) for name in names]
            after_s = rng.uniform(0.2, 1.2)
            _kill_while(busy, service, settings, after_s)
            makers += busy
            service = start(settings)  # which is asked what it has, and killed in the next round
            counted = [sum(len(one.acknowledged) for one in makers if isinstance(one, kind)) for kind in (Items, Turns)]
            rows.append((number, round(after_s, 2), *counted, _missing(service, makers), service.ready_s))
    finally:
        service.stop()
    columns = ("round", "killed after s", "items so far", "turns so far", "missing", "ready again after s")
    table = Table("Service and live server killed while items and turns are made", columns, tuple(rows))
    return table, sum(len(one.acknowledged) for one in makers), max(int(row[4] or 0) for row in rows)


def _kill_while(makers: Sequence[Maker], service: Service, settings: Settings, after_s: float) -> None:
    threads = [threading.Thread(target=maker.make, args=(service.url,), daemon=True) for maker in makers]
    for thread in threads:
        thread.start()
    time.sleep(after_s)
    service.kill([service.child.pid, *holders(settings.live_path, besides={os.getpid()})])
    for thread in threads:
        thread.join(timeout=2 * _TIMEOUT_S)


def _missing(service: Service, makers: Sequence[Maker]) -> int:
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        return sum(maker.missing(client) for maker in makers)
