"""`quality`: how much of the evidence is found and shown, and how budgets are kept, on evaluation sets."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.apparatus.opened import open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, Table, progress
from benchmarks.quality.comparisons import (
    PAIRED_NOTES,
    Compared,
    Wanted,
    measure_comparisons,
    paired_figures,
    paired_table,
)
from benchmarks.quality.evaluation import Manner
from benchmarks.quality.summaries import SetScores, any_all_table, budget_table, context_table, figures, ranking_table
from benchmarks.quality.workers import Work, cores, evaluate_shared
from benchmarks.sets.data import EvaluationSet, find_sets, read_set
from benchmarks.sets.loading import Loaded, kept_or_loaded
from benchmarks.sets.portions import in_company, limit_questions

_NOTES = (
    "Only answerable queries with evidence count. A query searches its own conversation, at the time it was asked.",
    "Intervals are 95 %: Wilson's for hit@10, all@10, any, all; else percentile bootstrap over queries (2,000).",
    "hit@10, any: some of the evidence is there; all@10, all: all of it.",
    "right: only the set's own types are asked for; all: no types are named.",
    "Memories with the same content merge; evidence is counted in memories.",
    "A memory that was cut counts as shown when 80 % of its words are left.",
    "An excerpt counts as shown when it keeps 80 % of the answer's words that the whole memory has.",
    "enough: contexts that left some candidate out; utilization is their mean, least the lowest of them.",
    "violations: the context, recounted whole, by tiktoken, is above the budget.",
    "understated: the recount is above what the answer says.",
)


@dataclass(frozen=True, slots=True)
class QualityRequest:
    """data: the folder of sets. sets: their names; none for all. limit: so many questions a set.

    store: where the ingested store is kept. company: so many memories of each other type stand beside a conversation.
    compared: what else is measured of each set. workers: processes that ask at once.
    """

    command: str
    data: Path
    sets: tuple[str, ...] = ()
    limit: int | None = None
    manner: Manner = field(default_factory=Manner)
    store: Path | None = None
    company: int = 0
    compared: Wanted = field(default_factory=Wanted)
    workers: int = field(default_factory=cores)


async def measure_quality(request: QualityRequest) -> Report:
    """The report over every set that has answerable queries. Raises BadSet and NotLoaded."""
    sets = _read(request)
    asked = [one for one in sets if one.questions]
    results: list[SetScores] = []
    compared: list[Compared] = []
    timings: list[tuple[str, int, int, int, float, float]] = []
    with data_directory(request.store) as directory:
        async with open_parts(settings_in(directory)) as opened:
            for one in asked:
                limited = limit_questions(one, request.limit)
                progress(f"{one.name}: {one.memories} memories, {limited.questions} queries")
                loaded = await kept_or_loaded(opened.ingestor, opened.store, one, directory if request.store else None)
                scores, seconds = await _evaluated(request, limited, loaded, directory)
                results.append(scores)
                compared += await measure_comparisons(request.compared, opened, limited, loaded, request.manner.profile)
                timings.append((one.name, one.memories, loaded.merged, limited.questions, loaded.seconds, seconds))
    tables = (
        ranking_table(results),
        context_table(results),
        any_all_table(results),
        budget_table(results),
        *((paired_table(compared),) if compared else ()),
        Table("Work", ("set", "memories", "merged", "queries", "ingestion s", "evaluation s"), tuple(timings)),
    )
    paired = {"comparisons": paired_figures(compared)} if compared else {}
    return Report(request.command, tables, _notes(request, sets), {one.name: figures(one) for one in results} | paired)


def _notes(request: QualityRequest, sets: list[EvaluationSet]) -> tuple[str, ...]:
    company = f"Beside each conversation stand {request.company} memories of each other type."
    return (
        *_NOTES,
        *(PAIRED_NOTES if request.compared.any else ()),
        *((company,) if request.company else ()),
        *(f"{one.name} has no answerable query with evidence: left out." for one in sets if not one.questions),
    )


def _read(request: QualityRequest) -> list[EvaluationSet]:
    sets = [read_set(folder) for folder in find_sets(request.data, request.sets)]
    if not request.company:
        return sets
    others = [read_set(folder) for folder in find_sets(request.data)]
    return [in_company(one, others, request.company) for one in sets]


async def _evaluated(
    request: QualityRequest, asked: EvaluationSet, loaded: Loaded, directory: Path
) -> tuple[SetScores, float]:
    began = time.perf_counter()
    scores = await evaluate_shared(Work(directory, asked, loaded, request.manner), request.workers)
    return SetScores(asked.name, tuple(scores)), time.perf_counter() - began
