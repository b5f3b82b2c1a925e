"""`startup`: measures the seconds until `python -m api` is ready, and the memory that the idle
service uses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, spread_table
from benchmarks.harness.service import memory_mb, running
from benchmarks.harness.stores import data_directory, settings_in

_SETTLE_S = 3.0
"""Seconds for which the service is idle before its memory use is read."""

_LABELS = {
    "ready_s": "ready after, s",
    "service_mb": "resident, service, MB",
    "store_mb": "resident, store process, MB",
    "together_mb": "resident, together, MB",
    "anonymous_mb": "together without pages of files, MB",
}


@dataclass(frozen=True, slots=True)
class StartupRequest:
    """Command-line options of the `startup` benchmark."""

    rounds: int = field(
        default=5, metadata=flag("measured starts, after one that is not measured", least=1)
    )


def measure_startup(request: StartupRequest) -> Report:
    """Start the service several times on one data folder. Returns a report of start times and
    memory use.
    """
    figures: dict[str, list[float]] = {name: [] for name in _LABELS}
    with data_directory() as directory:
        settings = settings_in(directory)
        for index in range(request.rounds + 1):
            with running(settings) as service:
                if index == 0:
                    continue  # the first start creates the store and fills the disk cache
                time.sleep(_SETTLE_S)
                main, *store = map(memory_mb, service.pids())
                anonymous = sum(memory_mb(pid, "RssAnon") for pid in service.pids())
                values = (service.ready_s, main, sum(store), main + sum(store), anonymous)
                for name, value in zip(figures, values, strict=True):
                    figures[name].append(value)
    notes = (
        f"{request.rounds} warm starts: the encoder is prepared, the store exists and is empty.",
        f"Memory is read {_SETTLE_S:.0f} s after readiness; shared pages count in each process.",
    )
    return Report(
        (spread_table("Start", {_LABELS[name]: values for name, values in figures.items()}),),
        notes,
        figures,
    )
