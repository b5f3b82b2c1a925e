"""`startup`: seconds until `python -m api` is ready, and the memory that it holds when idle."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, Table, spread_row
from benchmarks.harness.service import running
from benchmarks.harness.stores import data_directory, settings_in

_SETTLE_S = 3.0
"""Idle time before memory is read."""


@dataclass(frozen=True, slots=True)
class StartupRequest:
    """Options of `startup`."""

    rounds: int = field(default=5, metadata=flag("measured starts, after one that is not measured", least=1))


def measure_startup(request: StartupRequest) -> Report:
    """The report over `rounds` starts on one data folder."""
    names = ("ready_s", "service_mb", "store_mb", "together_mb", "anonymous_mb")
    figures: dict[str, list[float]] = {name: [] for name in names}
    with data_directory() as directory:
        settings = settings_in(directory)
        for index in range(request.rounds + 1):
            with running(settings) as service:
                if index == 0:
                    continue  # the first start creates the store and fills the disk cache
                time.sleep(_SETTLE_S)
                main, *store = service.resident_mb()
                values = (service.ready_s, main, sum(store), main + sum(store), service.anonymous_mb())
                for name, value in zip(names, values, strict=True):
                    figures[name].append(value)
    labels = (
        "ready after, s",
        "resident, service, MB",
        "resident, store process, MB",
        "resident, together, MB",
        "together without pages of files, MB",
    )
    rows = tuple(spread_row(label, figures[name]) for label, name in zip(labels, names, strict=True))
    notes = (
        f"{request.rounds} warm starts: the encoder is prepared, the store exists and is empty.",
        f"Memory is read {_SETTLE_S:.0f} s after readiness; shared pages count in each process.",
    )
    return Report((Table("Start", ("", "median", "least", "most"), rows),), notes, dict(figures))
