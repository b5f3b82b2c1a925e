"""From what the systems scored to one table. Pure functions of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.apparatus.metrics import Interval, bootstrap, percentile
from benchmarks.apparatus.report import Cell, Table
from benchmarks.contenders.ours import BUDGET, Scored
from benchmarks.quality.paired import sign_flip
from benchmarks.quality.summaries import shown

OURS = "remembrancer"
FLOOR = "exact"

NOTES = (
    "Every system gets the same texts (date, speaker, words) and vectors; none embeds, so no time is an encoder's.",
    "R@10 of the first ten; in 1,000 tokens: ranked texts, a line each, as many as fit; here, a rendered context.",
    "Milliseconds of a search for ten, one after the other. exact: one numpy product over the namespace.",
    "memories/s: written in portions of 64 and, here, in batches of 1,000 that are synced and read back.",
    "behind: R@10 that a system lacks of ours, query by query; chance: that equals differ so much, by sign changes.",
    "Intervals are 95 %: percentile bootstrap over queries (2,000).",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A system over a set of so many memories: what it scored, or why it did not."""

    set_name: str
    memories: int
    system: str
    scored: Scored | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """The R@10 that a system lacks of ours, and the chance that equals differ so much."""

    recall: Interval
    chance: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a table tells of a system that ran. over_exact: p50 over the floor's. behind: None for ours."""

    recall: Interval
    context: Interval
    p50: float
    p95: float
    over_exact: float | None
    rate: float
    behind: Behind | None


def table(outcomes: Sequence[Outcome]) -> Table:
    """A row a system and set."""
    columns = ("R@10", "behind", "chance", "in 1,000 tokens", "p50 ms", "p95 ms", "x exact", "memories/s", "remarks")
    rows = tuple(_row(one, _measured(one, outcomes)) for one in outcomes)
    title = "Systems on the same texts and vectors [95 % interval]"
    return Table(title, ("set", "system", "version", "n", *columns), rows)


def figures(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Everything measured, as plain JSON; what did not run has its reason."""
    return [_figures(one, _measured(one, outcomes)) for one in outcomes]


def _measured(one: Outcome, outcomes: Sequence[Outcome]) -> Measured | None:
    if one.scored is None:
        return None
    ours, floor = (_scored(name, one.set_name, outcomes) for name in (OURS, FLOOR))
    p50 = percentile(one.scored.ms, 0.5)
    return Measured(
        recall=bootstrap(one.scored.recalls),
        context=bootstrap(one.scored.shown),
        p50=p50,
        p95=percentile(one.scored.ms, 0.95),
        over_exact=p50 / percentile(floor.ms, 0.5) if floor else None,
        rate=one.memories / one.scored.seconds,
        behind=_behind(ours, one.scored) if ours and one.system != OURS else None,
    )


def _scored(system: str, set_name: str, outcomes: Sequence[Outcome]) -> Scored | None:
    return next((one.scored for one in outcomes if (one.system, one.set_name) == (system, set_name)), None)


def _behind(ours: Scored, theirs: Scored) -> Behind:
    lacks = [our - their for our, their in zip(ours.recalls, theirs.recalls, strict=True)]
    return Behind(bootstrap(lacks), sign_flip(lacks))


def _row(one: Outcome, found: Measured | None) -> tuple[Cell, ...]:
    if one.scored is None or found is None:
        return (one.set_name, one.system, *[None] * 10, one.reason)
    return (
        one.set_name,
        one.system,
        one.scored.version,
        len(one.scored.recalls),
        shown(found.recall),
        shown(found.behind.recall) if found.behind else None,
        found.behind.chance if found.behind else None,
        shown(found.context),
        found.p50,
        found.p95,
        found.over_exact,
        round(found.rate),
        "; ".join(one.scored.notes),
    )


def _figures(one: Outcome, found: Measured | None) -> dict[str, Any]:
    named = {"set": one.set_name, "system": one.system, "memories": one.memories}
    if one.scored is None or found is None:
        return {**named, "reason": one.reason}
    return {
        **named,
        "version": one.scored.version,
        "n": len(one.scored.recalls),
        "R@10": asdict(found.recall),
        "behind": asdict(found.behind) if found.behind else None,
        "evidence_recall": {str(BUDGET): asdict(found.context)},
        "ms": {"p50": found.p50, "p95": found.p95},
        "over_exact": found.over_exact,
        "ingestion_s": one.scored.seconds,
        "notes": list(one.scored.notes),
    }
