"""`compare`: systems that people use, on the same texts with the same vectors, each in a process of its own.

Every system is given the text that would be embedded here (date, speaker, words) and its vector, so that what is
compared is how they rank. What does not install, or does not run, is a row that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from benchmarks.apparatus.metrics import recall_at
from benchmarks.apparatus.opened import open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, progress
from benchmarks.contenders.driver import Item
from benchmarks.contenders.environments import REQUIREMENTS, NotInstalled, interpreter
from benchmarks.contenders.ours import BUDGET, Scored, asked, embed, items_of, job_of, measure_ours
from benchmarks.contenders.runs import Job, NotRun, Ran, run_driver, write_job
from benchmarks.contenders.summary import NOTES, OURS, Outcome, figures, table
from benchmarks.sets.data import EvaluationSet, find_sets, read_set
from benchmarks.sets.portions import limit_questions

SYSTEMS = tuple(REQUIREMENTS)


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


def measure_compare(request: CompareRequest) -> Report:
    """The report over all sets and systems. Raises BadSet and NotLoaded."""
    outcomes: list[Outcome] = []
    with data_directory(request.environments) as environments:
        for folder in find_sets(request.data, request.sets):
            wanted = limit_questions(read_set(folder), request.limit)
            if wanted.questions:
                outcomes += _compared(request, wanted, environments)
    return Report(request.command, (table(outcomes),), NOTES, {"outcomes": figures(outcomes)})


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
        progress(f"{wanted.name}: {OURS}")
        (directory / OURS).mkdir()
        ours, job, count = anyio.run(_ours, wanted, directory / OURS)
        outcomes = [Outcome(wanted.name, wanted.memories, OURS, ours)]
        write_job(job, directory)
        for name in request.systems:
            progress(f"{wanted.name}: {name}")
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
