"""`interference`: how much slower retrieval is while a batch is written, by the same service and by another process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx

from api.settings import Settings
from benchmarks.apparatus.bulk import fill
from benchmarks.apparatus.metrics import percentile
from benchmarks.apparatus.opened import open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import Service, environment, running
from benchmarks.apparatus.report import Report, Table
from benchmarks.apparatus.synthetic import questions, turns

_NAMESPACES = 10
_PAUSE_S = 0.03
"""Between two retrievals: about twenty a second, as a few busy agents ask."""

_BATCH = 1_000
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class InterferenceRequest:
    """written: memories in the batch. stored: memories that are there before. idle: retrievals without a writer."""

    command: str
    written: int = 5_000
    stored: int = 10_000
    idle: int = 500


@dataclass(frozen=True, slots=True)
class Phase:
    """ms: of each retrieval. seconds: how long the writer took; 0 without one."""

    name: str
    ms: tuple[float, ...]
    seconds: float


def measure_interference(request: InterferenceRequest) -> Report:
    """The report over four phases: idle, written by the service, written by another process, and idle again."""
    with data_directory() as directory:
        settings = settings_in(directory)
        anyio.run(_filled, settings, request.stored)
        with running(settings) as service:
            phases = _phases(request, settings, service, directory)
    return _report(request, phases)


async def _filled(settings: Settings, count: int) -> None:
    async with open_parts(settings) as opened:
        await fill(opened, count, _NAMESPACES)


def _phases(request: InterferenceRequest, settings: Settings, service: Service, directory: Path) -> list[Phase]:
    asked = iter(questions(1_000_000, seed=5))
    rows = [{"type": "episodic", "content": turn.text} for turn in turns(request.written, seed=11)]
    file = directory / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _ask(service, asked, until=_count_down(50))
    idle = Phase("idle", _ask(service, asked, until=_count_down(request.idle)), 0.0)
    by_service = _while_writing(service, asked, "written by the service", lambda: _post(service, rows))
    by_other = _while_writing(service, asked, "written by another process", lambda: _import(settings, file))
    again = Phase("idle again", _ask(service, asked, until=_count_down(request.idle)), 0.0)
    return [idle, by_service, by_other, again]


def _ask(service: Service, asked: Iterator[str], *, until: Callable[[], bool]) -> tuple[float, ...]:
    """Milliseconds of each retrieval, one after the other with a pause, until `until` says so."""
    taken: list[float] = []
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        while not until():
            body = {"query": next(asked), "namespace": f"namespace-{len(taken) % _NAMESPACES}", "budget": 2_000}
            began = time.perf_counter()
            client.post("/v1/retrieve", json=body).raise_for_status()
            taken.append((time.perf_counter() - began) * 1_000)
            time.sleep(_PAUSE_S)
    return tuple(taken)


def _count_down(count: int) -> Callable[[], bool]:
    remaining = iter(range(count))
    return lambda: next(remaining, None) is None


def _while_writing(service: Service, asked: Iterator[str], name: str, write: Callable[[], None]) -> Phase:
    failures: list[BaseException] = []

    def written() -> None:
        try:
            write()
        except (httpx.HTTPError, subprocess.SubprocessError) as error:
            failures.append(error)

    writer = threading.Thread(target=written)
    began = time.perf_counter()
    writer.start()
    taken = _ask(service, asked, until=lambda: not writer.is_alive())
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    return Phase(name, taken, seconds)


def _post(service: Service, rows: list[dict[str, Any]]) -> None:
    portions = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    bodies = [json.dumps({"namespace": "written", "items": portion}) for portion in portions]
    with httpx.Client(base_url=service.url, timeout=_TIMEOUT_S) as client:
        for body in bodies:
            headers = {"content-type": "application/json"}
            client.post("/v1/memories/batch", content=body, headers=headers).raise_for_status()


def _import(settings: Settings, file: Path) -> None:
    command = [
        sys.executable, "-m", "ingest", str(file), "--namespace", "imported", "--data-dir", str(settings.data_dir),
        "--no-resume", "--json",
    ]  # fmt: skip
    subprocess.run(command, env=environment(settings), check=True, capture_output=True, timeout=600)  # noqa: S603 - ours


def _report(request: InterferenceRequest, phases: list[Phase]) -> Report:
    idle = percentile(phases[0].ms, 0.99)
    columns = ("phase", "retrievals", "p50 ms", "p95 ms", "p99 ms", "p99 / idle p99", "written/s")
    rows = tuple(
        (
            phase.name,
            len(phase.ms),
            *(percentile(phase.ms, share) for share in (0.5, 0.95, 0.99)),
            percentile(phase.ms, 0.99) / idle,
            request.written / phase.seconds if phase.seconds else None,
        )
        for phase in phases
    )
    notes = (
        f"{request.stored} memories stored in {_NAMESPACES} namespaces with random vectors; {request.written} written.",
        "Retrievals over HTTP, over all types, budget 2,000; each question is asked once, so each is embedded.",
        "The other process is `python -m ingest` on the same data folder, with an encoder of its own.",
    )
    figures = {phase.name: {"ms": phase.ms, "seconds": phase.seconds} for phase in phases}
    return Report(request.command, (Table("Retrieval while memories are written", columns, rows),), notes, figures)
