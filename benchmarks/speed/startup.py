"""`startup`: how long `python -m api` takes to be ready, and how much memory it holds when it has nothing to do."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from benchmarks.apparatus.opened import settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.processes import running
from benchmarks.apparatus.report import Report, Table

_SETTLE_S = 3.0
"""Idle time before memory is read: what starting took for a moment is given back by then."""


@dataclass(frozen=True, slots=True)
class StartupRequest:
    """rounds: starts that are measured, after one that is not."""

    command: str
    rounds: int = 5


def measure_startup(request: StartupRequest) -> Report:
    """The report over `rounds` starts on the same data folder."""
    ready: list[float] = []
    own: list[float] = []
    store: list[float] = []
    without_files: list[float] = []
    with data_directory() as directory:
        settings = settings_in(directory)
        for index in range(request.rounds + 1):
            with running(settings) as service:
                if index == 0:
                    continue  # the first start makes the store and fills the disk cache
                time.sleep(_SETTLE_S)
                resident = service.rss_mb()
                ready.append(service.ready_s)
                own.append(resident[0])
                store.append(sum(resident[1:]))
                without_files.append(service.own_mb())
    together = [a + b for a, b in zip(own, store, strict=True)]
    rows = (
        _row("ready after, s", ready),
        _row("resident, service, MB", own),
        _row("resident, store's process, MB", store),
        _row("resident, together, MB", together),
        _row("of it without pages of files, MB", without_files),
    )
    figures = {"ready_s": ready, "service_mb": own, "store_mb": store, "together_mb": together}
    figures["without_files_mb"] = without_files
    notes = (
        f"{request.rounds} warm starts (the encoder is prepared, the store exists and is empty).",
        f"Memory is read {_SETTLE_S:.0f} s after readiness; shared pages are counted in each process.",
    )
    return Report(request.command, (Table("Starting", ("", "median", "least", "most"), rows),), notes, figures)


def _row(name: str, values: list[float]) -> tuple[str, float, float, float]:
    return (name, statistics.median(values), min(values), max(values))
