"""`compare`: measures other memory systems on the same texts with the same vectors, each in a
separate process.

Every system gets the texts that Remembrancer embeds (date, speaker, words) and their vectors, so
that only ranking differs. If a system cannot be installed or run, its row of the table says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio

from benchmarks.harness.metrics import Interval, bootstrap, percentile, recall_at, sign_flip
from benchmarks.harness.options import flag
from benchmarks.harness.report import Report, Table, progress
from benchmarks.harness.stores import data_directory, open_parts, settings_in
from benchmarks.sets.data import EvaluationSet, find_sets, limit_questions, read_set
from benchmarks.systems.driver import Item
from benchmarks.systems.ours import BUDGET, SystemScore, embed, items_of, job_of, measure_ours
from benchmarks.systems.running import (
    REQUIREMENTS,
    DriverAnswer,
    Job,
    NotMeasured,
    interpreter,
    run_driver,
    write_job,
)

OURS = "remembrancer"
FLOOR = "exact"
_NOTES = (
    "Every system gets the same texts (date, speaker, words) and vectors; none of them embeds.",
    (
        "R@10: of the first ten. In 1,000 tokens: ranked texts, a line each, as many as fit; "
        "for ours a rendered context."
    ),
    (
        "Milliseconds of a search for ten, one after the other. x exact: p50 over one numpy "
        "product over the namespace."
    ),
    "memories/s: written in batches of 64; ours in batches of 1,000 that are synced and read back.",
    "behind: R@10 of ours minus R@10 of the system, query by query; p: two-sided, by sign flips.",
    "Intervals are 95 %: percentile bootstrap over queries (2,000).",
)
_COLUMNS = (
    "R@10",
    "behind",
    "p",
    "in 1,000 tokens",
    "p50 ms",
    "p95 ms",
    "x exact",
    "memories/s",
    "remarks",
)
_FIGURES = ("recall", "behind", "p", "context", "p50_ms", "p95_ms", "over_exact", "memories_s")


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Command-line options of the `compare` benchmark."""

    data: Path = field(metadata=flag("folder of evaluation sets", Path))
    sets: tuple[str, ...] = field(default=(), metadata=flag("only these sets", str))
    limit_queries: int | None = field(
        default=None, metadata=flag("at most N queries of each set", int, least=1)
    )
    systems: tuple[str, ...] = field(
        default=tuple(REQUIREMENTS),
        metadata=flag("systems beside ours", str, choices=tuple(REQUIREMENTS)),
    )
    environments: Path | None = field(
        default=None, metadata=flag("install the systems here and keep them", Path)
    )
    limit_s: float = field(
        default=900.0, metadata=flag("seconds that a system may take for a set", least=1)
    )


@dataclass(frozen=True, slots=True)
class SystemResult:
    """A system's score on a set of `memories` memories. score: None if it was not measured;
    `reason` says why.
    """

    set_name: str
    memories: int
    system: str
    score: SystemScore | None
    reason: str = ""


def measure_compare(request: CompareRequest) -> Report:
    """Measure Remembrancer and other systems on every set, and return the report. Raises BadSet and
    NotLoaded.
    """
    results: list[SystemResult] = []
    with data_directory(request.environments) as environments:
        for folder in find_sets(request.data, request.sets):
            dataset = limit_questions(read_set(folder), request.limit_queries)
            if dataset.questions:
                results += _compare_set(request, dataset, environments)
    return Report((compare_table(results),), _NOTES, {"results": _plain(results)})


def _compare_set(
    request: CompareRequest, dataset: EvaluationSet, environments: Path
) -> list[SystemResult]:
    with data_directory() as directory:
        progress(f"{dataset.name}: {OURS}")
        (directory / OURS).mkdir()
        ours, job, count = anyio.run(_measure_ours, dataset, directory / OURS)
        results = [SystemResult(dataset.name, dataset.memories, OURS, ours)]
        write_job(job, directory)
        for name in request.systems:
            progress(f"{dataset.name}: {name}")
            score = None
            reason = ""
            try:
                python = interpreter(name, environments, REQUIREMENTS[name])
                score = score_answer(
                    run_driver(name, python, directory, request.limit_s), dataset, job.items, count
                )
            except NotMeasured as error:
                reason = str(error)
            results.append(SystemResult(dataset.name, dataset.memories, name, score, reason))
    return results


async def _measure_ours(
    dataset: EvaluationSet, directory: Path
) -> tuple[SystemScore, Job, Callable[[str], int]]:
    async with open_parts(settings_in(directory)) as opened:
        items = items_of(opened, dataset)
        embeddings = await embed(opened.embedder, items, dataset)
        job = job_of(items, dataset, embeddings)
        return await measure_ours(opened, dataset, embeddings), job, opened.tokenizer.count


def score_answer(
    answer: DriverAnswer, dataset: EvaluationSet, items: Sequence[Item], count: Callable[[str], int]
) -> SystemScore:
    """Score the rankings and search times that a system's driver returned. count: counts the tokens
    of a text.
    """
    texts = {item.id: item.text for item in items}
    recalls = []
    shown = []
    for question in dataset.questions:
        ranked = answer.ranked[question.id]
        recalls.append(recall_at(ranked, question.evidence or (), 10))
        fitting = fit(ranked, texts, count)
        shown.append(recall_at(fitting, question.evidence or (), len(fitting)))
    return SystemScore(answer.version, recalls, shown, answer.ms, answer.seconds, answer.notes)


def fit(
    ranked: Sequence[str],
    texts: Mapping[str, str],
    count: Callable[[str], int],
    budget: int = BUDGET,
) -> list[str]:
    """Ids of `ranked`, best first, whose texts together fit into `budget` tokens. Texts that do not
    fit are skipped.
    """
    remaining = budget
    fitting: list[str] = []
    for name in ranked:
        cost = count(f"{texts[name]}\n")
        if cost <= remaining:
            remaining -= cost
            fitting.append(name)
    return fitting


def compare_table(results: Sequence[SystemResult]) -> Table:
    """A table with a row for each set and system: its figures and remarks, or the reason why it was
    not measured.
    """
    rows = []
    for result in results:
        score = result.score
        version, questions = (score.version, len(score.recalls)) if score else (None, None)
        cells = (
            str(cell) if isinstance(cell, Interval) else cell
            for cell in _figures(result, results).values()
        )
        remarks = "; ".join(score.notes) if score else result.reason
        rows.append((result.set_name, result.system, version, questions, *cells, remarks))
    title = "Systems on the same texts and vectors [95 % interval]"
    return Table(title, ("set", "system", "version", "n", *_COLUMNS), tuple(rows))


def _plain(results: Sequence[SystemResult]) -> list[dict[str, Any]]:
    return [
        {
            name: asdict(cell) if isinstance(cell, Interval) else cell
            for name, cell in _figures(result, results).items()
        }
        | {
            "set": result.set_name,
            "system": result.system,
            "memories": result.memories,
            "reason": result.reason,
        }
        for result in results
    ]


def _figures(
    result: SystemResult, results: Sequence[SystemResult]
) -> dict[str, Interval | float | None]:
    score = result.score
    if score is None:
        return dict.fromkeys(_FIGURES)
    same_set = {other.system: other.score for other in results if other.set_name == result.set_name}
    ours = same_set.get(OURS)
    floor = same_set.get(FLOOR)
    recall_gaps = []
    if ours and result.system != OURS:
        recall_gaps = [our - their for our, their in zip(ours.recalls, score.recalls, strict=True)]
    values = (
        bootstrap(score.recalls),
        bootstrap(recall_gaps) if recall_gaps else None,
        sign_flip(recall_gaps) if recall_gaps else None,
        bootstrap(score.shown),
        percentile(score.ms, 0.5),
        percentile(score.ms, 0.95),
        percentile(score.ms, 0.5) / percentile(floor.ms, 0.5) if floor else None,
        round(result.memories / score.seconds),
    )
    return dict(zip(_FIGURES, values, strict=True))
