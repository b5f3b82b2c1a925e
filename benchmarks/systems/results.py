"""The table and figures of `compare`; pure functions of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.harness.metrics import Interval, bootstrap, percentile, sign_flip
from benchmarks.harness.report import Cell, Table

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


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of a system that ran. over_exact: p50 over that of FLOOR. behind, p: None for ours."""

    recall: Interval
    context: Interval
    p50: float
    p95: float
    over_exact: float | None
    rate: float
    behind: Interval | None
    p: float | None


def compare_table(results: Sequence[SystemResult]) -> Table:
    """A row for each system and set."""
    columns = ("R@10", "behind", "p", "in 1,000 tokens", "p50 ms", "p95 ms", "x exact", "memories/s", "remarks")
    rows = tuple(_row(result, _summary(result, results)) for result in results)
    title = "Systems on the same texts and vectors [95 % interval]"
    return Table(title, ("set", "system", "version", "n", *columns), rows)


def compare_figures(results: Sequence[SystemResult]) -> list[dict[str, Any]]:
    """Everything measured, as plain JSON."""
    return [_figures(result, _summary(result, results)) for result in results]


def _summary(result: SystemResult, results: Sequence[SystemResult]) -> Summary | None:
    if result.score is None:
        return None
    ours, floor = (_score_of(name, result.set_name, results) for name in (OURS, FLOOR))
    lacking = []
    if ours and result.system != OURS:
        lacking = [our - their for our, their in zip(ours.recalls, result.score.recalls, strict=True)]
    p50 = percentile(result.score.ms, 0.5)
    return Summary(
        recall=bootstrap(result.score.recalls),
        context=bootstrap(result.score.shown),
        p50=p50,
        p95=percentile(result.score.ms, 0.95),
        over_exact=p50 / percentile(floor.ms, 0.5) if floor else None,
        rate=result.memories / result.score.seconds,
        behind=bootstrap(lacking) if lacking else None,
        p=sign_flip(lacking) if lacking else None,
    )


def _score_of(system: str, set_name: str, results: Sequence[SystemResult]) -> SystemScore | None:
    return next((each.score for each in results if (each.system, each.set_name) == (system, set_name)), None)


def _row(result: SystemResult, summary: Summary | None) -> tuple[Cell, ...]:
    if result.score is None or summary is None:
        return (result.set_name, result.system, *[None] * 10, result.reason)
    return (
        result.set_name,
        result.system,
        result.score.version,
        len(result.score.recalls),
        str(summary.recall),
        str(summary.behind) if summary.behind else None,
        summary.p,
        str(summary.context),
        summary.p50,
        summary.p95,
        summary.over_exact,
        round(summary.rate),
        "; ".join(result.score.notes),
    )


def _figures(result: SystemResult, summary: Summary | None) -> dict[str, Any]:
    named = {"set": result.set_name, "system": result.system, "memories": result.memories}
    if result.score is None or summary is None:
        return {**named, "reason": result.reason}
    score = {"version": result.score.version, "n": len(result.score.recalls), "ingestion_s": result.score.seconds}
    return {**named, **score, **asdict(summary), "notes": list(result.score.notes)}
