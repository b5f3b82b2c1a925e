"""`quality`: measures whether retrieval finds the memories that answer a question, and fits
contexts to budgets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.options import flag
from benchmarks.harness.report import Cell, Report, Table, progress
from benchmarks.harness.stores import data_directory, open_parts, settings_in
from benchmarks.quality.evaluation import Evaluation, evaluate, rank_updates
from benchmarks.quality.tables import (
    SetScores,
    budget_table,
    context_table,
    quality_figures,
    ranking_table,
    updates_table,
)
from benchmarks.quality.variants import (
    PAIRED_NOTES,
    Comparison,
    Comparisons,
    compare_variants,
    paired_table,
)
from benchmarks.sets.data import EvaluationSet, find_sets, limit_questions, read_set
from benchmarks.sets.loading import load_or_verify

_NOTES = (
    (
        "Only answerable queries with evidence count. A query searches its own conversation, "
        "at the time it was asked."
    ),
    (
        "Intervals are 95 %: percentile bootstrap over queries (2,000). hit@10: some of the "
        "evidence is there."
    ),
    "own: only the set's memory types are asked for; all: no types are named.",
    "Memories with the same content merge; evidence is counted in memories.",
    "full: contexts that left candidates out; utilization is their mean, least their minimum.",
    (
        "violations: the context, recounted whole by tiktoken, is above the budget; "
        "understated: above the stated count."
    ),
)


READER_ON = {"reader": "always", "reader_ms": 10_000}
"""Fields of a request that has its best hits read, whatever that takes."""

READER_OFF = {"reader": "off"}
"""Fields of a request that has nothing read."""


@dataclass(frozen=True, slots=True)
class QualityRequest:
    """Command-line options of the `quality` benchmark."""

    data: Path = field(metadata=flag("folder of evaluation sets", Path))
    sets: tuple[str, ...] = field(default=(), metadata=flag("only these sets", str))
    profile: str | None = field(default=None, metadata=flag("profile of weights", str))
    limit_queries: int | None = field(
        default=None, metadata=flag("at most N queries of each set", int, least=1)
    )
    store: Path | None = field(
        default=None, metadata=flag("keep the ingested store here for the next run", Path)
    )
    against: str | None = field(
        default=None, metadata=flag("paired test against this profile", str)
    )
    ablate: bool = field(default=False, metadata=flag("rank without each signal and leg"))
    reader: bool = field(
        default=False,
        metadata=flag("have the best hits read, with all the time it takes"),
    )
    pooled: bool = field(default=False, metadata=flag("compare with a store for each conversation"))


@dataclass(slots=True)
class _Measured:
    scores: list[SetScores] = field(default_factory=list)
    compared: list[Comparison] = field(default_factory=list)
    updates: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    work: list[tuple[Cell, ...]] = field(default_factory=list)

    def tables(self) -> tuple[Table, ...]:
        columns = ("set", "memories", "merged", "queries", "ingestion s", "evaluation s")
        return (
            ranking_table(self.scores),
            context_table(self.scores),
            budget_table(self.scores),
            *((updates_table(self.updates),) if self.updates else ()),
            *((paired_table(self.compared),) if self.compared else ()),
            Table("Work", columns, tuple(self.work)),
        )

    def figures(self) -> Mapping[str, Any]:
        return {
            **{row.name: quality_figures(row) for row in self.scores},
            **({"updates": self.updates} if self.updates else {}),
            **({"comparisons": [asdict(row) for row in self.compared]} if self.compared else {}),
        }


async def measure_quality(request: QualityRequest) -> Report:
    """Evaluate all sets that have answerable questions, and return the report. Raises BadSet and
    NotLoaded.
    """
    sets = [read_set(folder) for folder in find_sets(request.data, request.sets)]
    measured = _Measured()
    with data_directory(request.store) as directory:
        for dataset in sets:
            if dataset.questions:
                await _measure_set(request, dataset, directory, measured)
    empty = (dataset.name for dataset in sets if not dataset.questions)
    left_out = (f"{name} has no answerable query with evidence: left out." for name in empty)
    notes = (*_NOTES, *(PAIRED_NOTES if measured.compared else ()), *left_out)
    return Report(measured.tables(), notes, measured.figures())


async def _measure_set(
    request: QualityRequest, dataset: EvaluationSet, directory: Path, measured: _Measured
) -> None:
    limited = limit_questions(dataset, request.limit_queries)
    progress(f"{dataset.name}: {dataset.memories} memories, {len(limited.questions)} queries")
    comparisons = Comparisons(request.profile, request.against, request.ablate, request.pooled)
    async with open_parts(settings_in(directory)) as opened:
        loaded = await load_or_verify(opened.ingestor, opened.store, dataset, directory)
        began = time.perf_counter()
        options = READER_ON if request.reader else READER_OFF
        evaluation = Evaluation(
            opened.retriever, opened.tokenizer.count, request.profile, options=options
        )
        scores = await evaluate(evaluation, limited, loaded)
        seconds = time.perf_counter() - began
        measured.scores.append(SetScores(dataset.name, tuple(scores)))
        measured.compared += await compare_variants(comparisons, opened, limited, loaded)
        updates = await rank_updates(opened.retriever, limited, loaded, options)
    if updates:
        measured.updates[dataset.name] = updates
    measured.work.append(
        (dataset.name, dataset.memories, loaded.merged, len(scores), loaded.seconds, seconds)
    )
