"""`working`: what live working memory adds to a retrieval, and what its absence costs.

The same questions with and without it, in turns, and then with its server stopped in mid-air: connections stand, and no
answer comes. Each retrieval keeps its receipt, as by default, which the same server holds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from api.settings import Settings
from benchmarks.apparatus.metrics import percentile
from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import Service, holders, running
from benchmarks.apparatus.report import Report, Table
from benchmarks.apparatus.synthetic import turns

_SPACE = {"namespace": "working", "session_id": "s"}
_TIMEOUT_S = 10.0
_TTL_S = 7 * 24 * 3600
_ITEMS = 10
_BATCH = 500
_WARM = 40

MOST_TIMES = 1.5
"""A retrieval without the live server may take so many times the p95 of one with it."""


@dataclass(frozen=True, slots=True)
class WorkingRequest:
    """queries: retrievals of each kind. stored: memories that they search."""

    command: str
    queries: int = 400
    stored: int = 2_000
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Asked:
    """Milliseconds of each retrieval of a kind, and how many of them said that live state is away."""

    ms: tuple[float, ...]
    degraded: int = 0

    def row(self, kind: str, slow_ms: float) -> tuple[str, float, float, float, float, int]:
        """The row of the table; slow: share of those that took longer than that."""
        slow = sum(one > slow_ms for one in self.ms) / len(self.ms)
        return (kind, percentile(self.ms, 0.5), percentile(self.ms, 0.95), max(self.ms), slow, self.degraded)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the service about `texts`."""

    client: httpx.Client
    texts: list[str]

    def ask(self, number: int, *, working: bool = True) -> tuple[float, bool]:
        """Milliseconds, and whether live state was said to be away."""
        query = self.texts[number % len(self.texts)]
        body = {**_SPACE, "query": query, "include_working": working}
        began = time.perf_counter()
        answer = self.client.post("/v1/retrieve", json=body)
        ms = (time.perf_counter() - began) * 1_000
        answer.raise_for_status()
        return ms, "live" in answer.json()["metadata"]["degraded"]

    def asked(self, queries: int) -> Asked:
        """So many retrievals, one after the other."""
        answers = [self.ask(number) for number in range(queries)]
        return Asked(tuple(ms for ms, _ in answers), sum(away for _, away in answers))

    def in_turns(self, queries: int) -> tuple[Asked, Asked]:
        """So many without working memory and as many with it, each question both ways."""
        pairs = [(self.ask(number, working=False)[0], self.ask(number)[0]) for number in range(queries)]
        return Asked(tuple(bare for bare, _ in pairs)), Asked(tuple(full for _, full in pairs))


def measure_working(request: WorkingRequest) -> Report:
    """The report: three kinds of retrieval, and the two figures that follow."""
    with data_directory() as directory, running(settings_in(directory)) as service:
        bare, full, stopped = _retrieved(service, settings_in(directory), request)
    added = percentile(full.ms, 0.95) - percentile(bare.ms, 0.95)
    usual = percentile([after - before for before, after in zip(bare.ms, full.ms, strict=True)], 0.5)
    slow_ms = MOST_TIMES * percentile(full.ms, 0.95)
    times = percentile(stopped.ms, 0.95) / percentile(full.ms, 0.95)
    rows = {"without": bare, f"{_ITEMS} items": full, "server stopped": stopped}
    columns = ("working memory", "p50 ms", "p95 ms", "max ms", f"over {slow_ms:.0f} ms", "away")
    kinds = tuple(one.row(kind, slow_ms) for kind, one in rows.items())
    retrieved = Table("Retrievals by working memory", columns, kinds)
    figures = Table(
        "Figures",
        ("figure", "measured", "at most"),
        (
            ("added at p95, ms", added, 5.0),
            ("added to the same question, median, ms", usual, None),
            ("server stopped over working, p95", times, MOST_TIMES),
        ),
    )
    kept = {"added_p95_ms": added, "added_median_ms": usual, "stopped_over_with_p95": times}
    raw = {"without": bare.ms, "with": full.ms, "stopped": stopped.ms}
    return Report(request.command, (retrieved, figures), figures={**kept, "ms": raw})


def _retrieved(service: Service, settings: Settings, request: WorkingRequest) -> tuple[Asked, Asked, Asked]:
    texts = [turn.text for _, turn in zip(range(request.stored), turns(1_000_000, seed=request.seed), strict=False)]
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        _fill(client, texts)
        asker = Asker(client, texts)
        asker.in_turns(_WARM)
        bare, full = asker.in_turns(request.queries)
        with _stopped(settings):
            return bare, full, asker.asked(request.queries)


def _fill(client: httpx.Client, texts: list[str]) -> None:
    for begin in range(0, len(texts), _BATCH):
        items = [{"type": "semantic", "content": text} for text in texts[begin : begin + _BATCH]]
        body = {"namespace": _SPACE["namespace"], "items": items}
        client.post("/v1/memories/batch", json=body, timeout=300).raise_for_status()
    for number in range(_ITEMS):
        item = {**_SPACE, "content": f"live item {number}", "ttl_s": _TTL_S}
        client.post("/v1/working", json=item).raise_for_status()


@contextmanager
def _stopped(settings: Settings) -> Iterator[None]:
    pids = holders(settings.live_path, besides={os.getpid()})
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
