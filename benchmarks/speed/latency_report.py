"""Samples of `latency` as tables and figures. Pure functions of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.apparatus.metrics import RESAMPLES, percentile
from benchmarks.apparatus.report import Cell, Report, Table

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
RATIOS = {
    "retrieve / floor": ("retrieve", "floor"),
    "retrieve / engine queries, both without query embedding": (
        "retrieve without query embedding",
        "floor: engine queries",
    ),
    "retrieve without query embedding / engine queries, ids and scores alone": (
        "retrieve without query embedding",
        "floor: engine queries, ids and scores alone",
    ),
    "search / floor": ("search", "floor"),
    "HTTP retrieve / floor": ("HTTP retrieve", "floor"),
    "HTTP retrieve, query remembered / engine queries": ("HTTP retrieve, query remembered", "floor: engine queries"),
}

WITHOUT_LATE = "retrieve without query embedding, without late interaction"
WITHOUT_RECEIPT = "HTTP retrieve, query remembered, without a receipt"
ADDED = {
    "late interaction": ("retrieve without query embedding", WITHOUT_LATE),
    "a receipt": ("HTTP retrieve, query remembered", WITHOUT_RECEIPT),
}

_SEED = 5

Samples = Mapping[str, Sequence[float]]


def latency_report(command: str, measured: Mapping[int, Samples], namespaces: int) -> Report:
    """The report over the samples of each size."""
    tables = (_times(measured), _ratios(measured), _added(measured))
    notes = (
        f"Memories spread evenly over five types and {namespaces} namespaces, written straight to the store.",
        "Stored vectors are random; texts, token counts and word weights are made up but real; questions are embedded.",
        "floor: one query embedding and the engine's ten queries, in this process, on a copy of the store.",
        "A ratio or a difference compares like percentiles, not single calls. Rounds of ten questions take turns.",
        "The interval of a difference: pairs of like questions drawn again; tails move with whatever else runs.",
        "Every namespace is asked once, and the engine given half a minute to read ahead, before anything is timed.",
    )
    return Report(command, tables, notes, {str(size): figures(samples) for size, samples in measured.items()})


def figures(samples: Samples) -> dict[str, Any]:
    """Percentiles of everything that was timed, and the ratios."""
    times = {name: _percentiles(taken) for name, taken in samples.items()}
    ratios = {name: _ratio(samples, *pair) for name, pair in RATIOS.items()}
    added = {name: _difference(samples, *pair) for name, pair in ADDED.items()}
    within = {name: spread(samples, *pair) for name, pair in ADDED.items()}
    return {"ms": times, "ratios": ratios, "added_ms": added, "added_p95_within": within}


def _times(measured: Mapping[int, Samples]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (size, name, len(taken), *_percentiles(taken).values())
        for size, samples in measured.items()
        for name, taken in samples.items()
    ]
    return Table("Milliseconds", ("memories", "what", "n", *SHARES), tuple(rows))


def _ratios(measured: Mapping[int, Samples]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (size, name, *_ratio(samples, *pair).values())
        for size, samples in measured.items()
        for name, pair in RATIOS.items()
    ]
    return Table("Ratios", ("memories", "of what to what", *SHARES), tuple(rows))


def _added(measured: Mapping[int, Samples]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (size, name, *_difference(samples, *pair).values(), "{:.1f} to {:.1f}".format(*spread(samples, *pair)))
        for size, samples in measured.items()
        for name, pair in ADDED.items()
    ]
    return Table("Added milliseconds", ("memories", "by", *SHARES, "p95, 95 % interval"), tuple(rows))


def spread(samples: Samples, above: str, below: str) -> tuple[float, float]:
    """The 95 % bootstrap interval of the difference at p95: pairs of like questions are drawn again."""
    count = min(len(samples[above]), len(samples[below]))
    over, under = (np.asarray(samples[name][:count]) for name in (above, below))
    drawn = np.random.default_rng(_SEED).integers(0, count, (RESAMPLES, count))
    tails = [np.quantile(one[drawn], SHARES["p95"], axis=1, method="inverted_cdf") for one in (over, under)]
    low, high = np.quantile(tails[0] - tails[1], [0.025, 0.975])
    return float(low), float(high)


def _percentiles(taken: Sequence[float]) -> dict[str, float]:
    return {name: percentile(taken, share) for name, share in SHARES.items()}


def _ratio(samples: Samples, above: str, below: str) -> dict[str, float]:
    over, under = _percentiles(samples[above]), _percentiles(samples[below])
    return {name: over[name] / under[name] for name in SHARES}


def _difference(samples: Samples, above: str, below: str) -> dict[str, float]:
    over, under = _percentiles(samples[above]), _percentiles(samples[below])
    return {name: over[name] - under[name] for name in SHARES}
