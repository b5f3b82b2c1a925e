"""The table and figures of `compare`; pure functions of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.harness.metrics import Interval, bootstrap, percentile, sign_flip
from benchmarks.harness.report import Table

OURS = "remembrancer"
FLOOR = "exact"

NOTES = (
    "Every system gets the same texts (date, speaker, words) and vectors; none of them embeds.",
    "R@10: of the first ten. In 1,000 tokens: ranked texts, a line each, as many as fit; for ours a rendered context.",
    "Milliseconds of a search for ten, one after the other. x exact: p50 over one numpy product over the namespace.",
    "memories/s: written in batches of 64; ours in batches of 1,000 that are synced and read back.",
    "behind: R@10 of ours minus R@10 of the system, query by query; p: two-sided, by sign flips.",
    "Intervals are 95 %: percentile bootstrap over queries (2,000).",
)


@dataclass(frozen=True, slots=True)
class SystemScore:
    """One system on one set. recalls: R@10 of each question; shown: evidence recall of its context. seconds: load."""

    version: str
    recalls: Sequence[float]
    shown: Sequence[float]
    ms: Sequence[float]
    seconds: float
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SystemResult:
    """A system on a set of so many memories: its score, or the reason why there is none."""

    set_name: str
    memories: int
    system: str
    score: SystemScore | None
    reason: str = ""


def compare_table(results: Sequence[SystemResult]) -> Table:
    """A row for each system and set."""
    columns = ("R@10", "behind", "p", "in 1,000 tokens", "p50 ms", "p95 ms", "x exact", "memories/s", "remarks")
    rows = tuple(
        (
            result.set_name,
            result.system,
            result.score.version if result.score else None,
            len(result.score.recalls) if result.score else None,
            *(str(cell) if isinstance(cell, Interval) else cell for cell in _figures(result, results).values()),
            "; ".join(result.score.notes) if result.score else result.reason,
        )
        for result in results
    )
    title = "Systems on the same texts and vectors [95 % interval]"
    return Table(title, ("set", "system", "version", "n", *columns), rows)


def compare_figures(results: Sequence[SystemResult]) -> list[dict[str, Any]]:
    """Everything measured, as plain JSON."""
    return [
        {name: asdict(cell) if isinstance(cell, Interval) else cell for name, cell in _figures(result, results).items()}
        | {"set": result.set_name, "system": result.system, "memories": result.memories, "reason": result.reason}
        for result in results
    ]


def _figures(result: SystemResult, results: Sequence[SystemResult]) -> dict[str, Interval | float | None]:
    """The figures of a result in the order of the columns; None for what there is not."""
    names = ("recall", "behind", "p", "context", "p50_ms", "p95_ms", "over_exact", "memories_s")
    score = result.score
    if score is None:
        return dict.fromkeys(names)
    ours, floor = (_score_of(name, result.set_name, results) for name in (OURS, FLOOR))
    lacking = []
    if ours and result.system != OURS:
        lacking = [our - their for our, their in zip(ours.recalls, score.recalls, strict=True)]
    values = (
        bootstrap(score.recalls),
        bootstrap(lacking) if lacking else None,
        sign_flip(lacking) if lacking else None,
        bootstrap(score.shown),
        percentile(score.ms, 0.5),
        percentile(score.ms, 0.95),
        percentile(score.ms, 0.5) / percentile(floor.ms, 0.5) if floor else None,
        round(result.memories / score.seconds),
    )
    return dict(zip(names, values, strict=True))


def _score_of(system: str, set_name: str, results: Sequence[SystemResult]) -> SystemScore | None:
    return next((each.score for each in results if (each.system, each.set_name) == (system, set_name)), None)
