"""`compare`: other memory systems on the same texts with the same vectors, each in a process.

Every system gets the text that is embedded here (date, speaker, words) and its vector, so that only ranking differs. A
system that does not install or run is a row with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from benchmarks.harness.metrics import recall_at
from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, progress
from benchmarks.harness.stores import data_directory, open_parts, settings_in
from benchmarks.sets.data import EvaluationSet, find_sets, limit_questions, read_set
from benchmarks.systems.driver import Item
from benchmarks.systems.ours import BUDGET, embed, items_of, job_of, measure_ours
from benchmarks.systems.results import NOTES, OURS, SystemResult, SystemScore, compare_figures, compare_table
from benchmarks.systems.running import (
    REQUIREMENTS,
    DriverAnswer,
    Job,
    NotMeasured,
    interpreter,
    run_driver,
    write_job,
)


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Options of `compare`."""

    data: Path = field(metadata=flag("folder of evaluation sets", Path))
    sets: tuple[str, ...] = field(default=(), metadata=flag("only these sets", str))
    limit_queries: int | None = field(default=None, metadata=flag("at most N queries of each set", int, least=1))
    systems: tuple[str, ...] = field(
        default=tuple(REQUIREMENTS), metadata=flag("systems beside ours", str, choices=tuple(REQUIREMENTS))
    )
    environments: Path | None = field(default=None, metadata=flag("install the systems here and keep them", Path))
    limit_s: float = field(default=900.0, metadata=flag("seconds that a system may take for a set", least=1))


def measure_compare(request: CompareRequest) -> Report:
    """The report over all sets and systems. Raises BadSet and NotLoaded."""
    results: list[SystemResult] = []
    with data_directory(request.environments) as environments:
        for folder in find_sets(request.data, request.sets):
            whole = limit_questions(read_set(folder), request.limit_queries)
            if whole.questions:
                results += _compare_set(request, whole, environments)
    return Report((compare_table(results),), NOTES, {"results": compare_figures(results)})


def _compare_set(request: CompareRequest, whole: EvaluationSet, environments: Path) -> list[SystemResult]:
    with data_directory() as directory:
        progress(f"{whole.name}: {OURS}")
        (directory / OURS).mkdir()
        ours, job, count = anyio.run(_measure_ours, whole, directory / OURS)
        results = [SystemResult(whole.name, whole.memories, OURS, ours)]
        write_job(job, directory)
        for name in request.systems:
            progress(f"{whole.name}: {name}")
            try:
                python = interpreter(name, environments, REQUIREMENTS[name])
                answer = run_driver(name, python, directory, request.limit_s)
            except NotMeasured as error:
                results.append(SystemResult(whole.name, whole.memories, name, None, str(error)))
                continue
            results.append(
                SystemResult(whole.name, whole.memories, name, score_answer(answer, whole, job.items, count))
            )
    return results


async def _measure_ours(whole: EvaluationSet, directory: Path) -> tuple[SystemScore, Job, Callable[[str], int]]:
    async with open_parts(settings_in(directory)) as opened:
        items = items_of(opened, whole)
        known = await embed(opened.embedder, items, whole)
        return await measure_ours(opened, whole, known), job_of(items, whole, known), opened.tokenizer.count


def score_answer(
    answer: DriverAnswer, whole: EvaluationSet, items: Sequence[Item], count: Callable[[str], int]
) -> SystemScore:
    """The score of a driver's answer. count: tokens of a text."""
    texts = {item.id: item.text for item in items}
    recalls, shown = [], []
    for _, question in whole.asked():
        ranked = answer.ranked[question.id]
        recalls.append(recall_at(ranked, question.evidence or (), 10))
        fitting = fit(ranked, texts, count)
        shown.append(recall_at(fitting, question.evidence or (), len(fitting)))
    return SystemScore(answer.version, recalls, shown, answer.ms, answer.seconds, answer.notes)


def fit(
    ranked: Sequence[str], texts: Mapping[str, str], count: Callable[[str], int], budget: int = BUDGET
) -> list[str]:
    """The ids whose texts fit into `budget` tokens as lines, in order of rank; a text that does not fit is skipped."""
    left = budget
    fitting: list[str] = []
    for name in ranked:
        cost = count(f"{texts[name]}\n")
        if cost <= left:
            left -= cost
            fitting.append(name)
    return fitting
