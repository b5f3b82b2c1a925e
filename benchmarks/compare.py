"""`compare`: systems that people use, on the same texts with the same vectors, each in a process of its own.

Every system is given the text that would be embedded here (date, speaker, words) and its vector, so that what is
compared is how they rank. What does not install, or does not run, is a row that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from benchmarks.contenders.driver import Item
from benchmarks.contenders.environments import REQUIREMENTS, NotInstalled, interpreter
from benchmarks.contenders.ours import BUDGET, Scored, asked, embed, items_of, job_of, measure_ours
from benchmarks.contenders.runs import Job, NotRun, Ran, run_driver, write_job
from benchmarks.data import EvaluationSet, find_sets, read_set
from benchmarks.metrics import bootstrap, percentile, recall_at
from benchmarks.opened import open_parts, settings_in
from benchmarks.places import data_directory
from benchmarks.portions import limit_questions
from benchmarks.report import Cell, Report, Table
from benchmarks.summaries import shown

OURS = "remembrancer"
FLOOR = "exact"
SYSTEMS = tuple(REQUIREMENTS)

_NOTES = (
    "Every system gets the same texts (date, speaker, words) and vectors; none embeds, so no time is an encoder's.",
    "R@10 of the first ten; in 1,000 tokens: ranked texts, a line each, as many as fit; here, a rendered context.",
    "Milliseconds of a search for ten, one after the other. exact: one numpy product over the namespace.",
    "memories/s: written in portions of 64 and, here, in batches of 1,000 that are synced and read back.",
    "Intervals are 95 %: percentile bootstrap over queries (2,000).",
)


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """data, sets, limit: as of `quality`. systems: which. environments: where they are installed and stay.

    limit_s: how long each may take over a set.
    """

    command: str
    data: Path
    sets: tuple[str, ...] = ()
    limit: int | None = None
    systems: tuple[str, ...] = SYSTEMS
    environments: Path | None = None
    limit_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A system over a set of so many memories: what it scored, or why it did not."""

    set_name: str
    memories: int
    system: str
    scored: Scored | None
    reason: str = ""

    @property
    def p50(self) -> float | None:
        """Milliseconds of half of the searches at most."""
        return percentile(self.scored.ms, 0.5) if self.scored else None


def measure_compare(request: CompareRequest) -> Report:
    """The report over all sets and systems. Raises BadSet and NotLoaded."""
    outcomes: list[Outcome] = []
    with data_directory(request.environments) as environments:
        for folder in find_sets(request.data, request.sets):
            wanted = limit_questions(read_set(folder), request.limit)
            if wanted.questions:
                outcomes += _compared(request, wanted, environments)
    figures = [_figures(one, _floor(one.set_name, outcomes)) for one in outcomes]
    return Report(request.command, (table(outcomes),), _NOTES, {"outcomes": figures})


def table(outcomes: Sequence[Outcome]) -> Table:
    """A row a system and set."""
    columns = ("set", "system", "version", "n", "R@10", "in 1,000 tokens", "p50 ms", "p95 ms", "x exact", "memories/s")
    rows = tuple(_row(one, _floor(one.set_name, outcomes)) for one in outcomes)
    return Table("Systems on the same texts and vectors [95 % interval]", (*columns, "remarks"), rows)


def score(ran: Ran, wanted: EvaluationSet, items: Sequence[Item], count: Callable[[str], int]) -> Scored:
    """What a driver brought back, with its evidence found and shown."""
    texts = {item.id: item.text for item in items}
    recalls, contexts = [], []
    for _, question in asked(wanted):
        ranked = ran.ranked[question.id]
        recalls.append(recall_at(ranked, question.evidence, 10))
        fitting = fit(ranked, texts, count)
        contexts.append(recall_at(fitting, question.evidence, len(fitting)))
    return Scored(ran.version, recalls, contexts, ran.ms, ran.seconds, ran.notes)


def fit(
    ranked: Sequence[str], texts: Mapping[str, str], count: Callable[[str], int], budget: int = BUDGET
) -> list[str]:
    """Those of `ranked` that fit into `budget` as lines, in order; one that does not fit is passed over."""
    left = budget
    fitting: list[str] = []
    for one in ranked:
        cost = count(f"{texts[one]}\n")
        if cost <= left:
            left -= cost
            fitting.append(one)
    return fitting


def _compared(request: CompareRequest, wanted: EvaluationSet, environments: Path) -> list[Outcome]:
    with data_directory() as directory:
        (directory / OURS).mkdir()
        ours, job, count = anyio.run(_ours, wanted, directory / OURS)
        outcomes = [Outcome(wanted.name, wanted.memories, OURS, ours)]
        write_job(job, directory)
        for name in request.systems:
            try:
                python = interpreter(name, environments, REQUIREMENTS[name])
                ran = run_driver(name, python, directory, request.limit_s)
            except (NotInstalled, NotRun) as error:
                outcomes.append(Outcome(wanted.name, wanted.memories, name, None, str(error)))
                continue
            outcomes.append(Outcome(wanted.name, wanted.memories, name, score(ran, wanted, job.items, count)))
    return outcomes


async def _ours(wanted: EvaluationSet, directory: Path) -> tuple[Scored, Job, Callable[[str], int]]:
    async with open_parts(settings_in(directory)) as opened:
        items = items_of(opened, wanted)
        known = await embed(opened.embedder, items, wanted)
        job = job_of(items, wanted, known)
        return await measure_ours(opened, wanted, known), job, opened.tokenizer.count


def _row(one: Outcome, floor: float | None) -> tuple[Cell, ...]:
    if one.scored is None:
        return (one.set_name, one.system, *[None] * 8, one.reason)
    scored = one.scored
    return (
        one.set_name,
        one.system,
        scored.version,
        len(scored.recalls),
        shown(bootstrap(scored.recalls)),
        shown(bootstrap(scored.shown)),
        one.p50,
        percentile(scored.ms, 0.95),
        one.p50 / floor if floor and one.p50 else None,
        round(one.memories / scored.seconds),
        "; ".join(scored.notes),
    )


def _figures(one: Outcome, floor: float | None) -> dict[str, Any]:
    named = {"set": one.set_name, "system": one.system, "memories": one.memories}
    if one.scored is None:
        return {**named, "reason": one.reason}
    scored = one.scored
    return {
        **named,
        "version": scored.version,
        "n": len(scored.recalls),
        "R@10": asdict(bootstrap(scored.recalls)),
        "evidence_recall": {str(BUDGET): asdict(bootstrap(scored.shown))},
        "ms": {"p50": one.p50, "p95": percentile(scored.ms, 0.95)},
        "over_exact": one.p50 / floor if floor and one.p50 else None,
        "ingestion_s": scored.seconds,
        "notes": list(scored.notes),
    }


def _floor(set_name: str, outcomes: Sequence[Outcome]) -> float | None:
    return next((one.p50 for one in outcomes if one.set_name == set_name and one.system == FLOOR), None)
