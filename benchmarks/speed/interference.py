"""`ingest --interference`: how much slower retrieval is while a batch is written by the service or another process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx

from api.settings import Settings
from benchmarks.harness.metrics import percentile, percentiles
from benchmarks.harness.report import Report, Table
from benchmarks.harness.service import Service, environment, running
from benchmarks.harness.stores import data_directory, filled, namespace_of, settings_in
from benchmarks.harness.synthetic import questions, turns

_NAMESPACES = 10
_PAUSE_S = 0.03
"""Pause between two retrievals: about twenty a second, as a few busy agents ask."""

_BATCH = 1_000
_STORED = 10_000
_IDLE = 500
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Phase:
    """ms: of each retrieval. seconds: of the write; 0 without a writer."""

    name: str
    ms: list[float]
    seconds: float = 0.0


def measure_interference(written: int, stored: int = _STORED, idle: int = _IDLE) -> Report:
    """The report over four phases: idle, written by the service, written by another process, idle again."""
    with data_directory() as directory:
        settings = settings_in(directory)
        anyio.run(filled, settings, stored, _NAMESPACES)
        with running(settings) as service:
            phases = _phases(service, settings, written, idle)
    idle_p99 = percentile(phases[0].ms, 0.99)
    rows = tuple(
        (
            phase.name,
            len(phase.ms),
            *percentiles(phase.ms).values(),
            percentile(phase.ms, 0.99) / idle_p99,
            written / phase.seconds if phase.seconds else None,
        )
        for phase in phases
    )
    columns = ("phase", "retrievals", "p50 ms", "p95 ms", "p99 ms", "p99 over idle", "written/s")
    notes = (
        f"{stored} memories stored in {_NAMESPACES} namespaces with random vectors; {written} written.",
        "Retrievals over HTTP, over all types, budget 2,000; each question is embedded.",
        "The other process is `python -m ingest` on the same data folder, with an encoder of its own.",
    )
    figures = {phase.name: {"ms": phase.ms, "seconds": phase.seconds} for phase in phases}
    return Report((Table("Retrieval while memories are written", columns, rows),), notes, figures)


def _phases(service: Service, settings: Settings, written: int, idle: int) -> list[Phase]:
    asked = iter(questions(100_000, seed=5))
    rows = [{"type": "episodic", "content": turn.text} for turn in turns(written, seed=11)]
    file = settings.data_dir / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _ask(service, asked, _for(50))
    return [
        Phase("idle", _ask(service, asked, _for(idle))),
        _while_writing(service, asked, "written by the service", lambda: _post(service, rows)),
        _while_writing(service, asked, "written by another process", lambda: _import(settings, file)),
        Phase("idle again", _ask(service, asked, _for(idle))),
    ]


def _for(retrievals: int) -> Callable[[], bool]:
    """True until it was called so many times."""
    calls = count()
    return lambda: next(calls) < retrievals


def _ask(service: Service, asked: Iterator[str], goes_on: Callable[[], bool]) -> list[float]:
    """Milliseconds of each retrieval, one after the other with a pause."""
    taken: list[float] = []
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        while goes_on():
            body = {"query": next(asked), "namespace": namespace_of(len(taken) % _NAMESPACES), "budget": 2_000}
            began = time.perf_counter()
            client.post("/v1/retrieve", json=body).raise_for_status()
            taken.append((time.perf_counter() - began) * 1e3)
            time.sleep(_PAUSE_S)
    return taken


def _while_writing(service: Service, asked: Iterator[str], name: str, write: Callable[[], None]) -> Phase:
    with ThreadPoolExecutor(1) as pool:
        began = time.perf_counter()
        writer = pool.submit(write)
        taken = _ask(service, asked, lambda: not writer.done())
        writer.result()
        return Phase(name, taken, time.perf_counter() - began)


def _post(service: Service, rows: list[dict[str, Any]]) -> None:
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        for start in range(0, len(rows), _BATCH):
            body = {"namespace": "written", "items": rows[start : start + _BATCH]}
            client.post("/v1/memories/batch", json=body).raise_for_status()


def _import(settings: Settings, file: Path) -> None:
    command = [sys.executable, "-m", "ingest", str(file), "--namespace", "imported", "--no-resume", "--json"]
    place = ["--data-dir", str(settings.data_dir)]
    subprocess.run(  # noqa: S603 - our own command
        [*command, *place], env=environment(settings), check=True, capture_output=True, timeout=600
    )
