"""`updates`: how often what holds now is ranked before what it replaced, on questions that say which is which.

A pair is a question whose evidence has both: it is won when the best-ranked current statement stands before the
best-ranked stale one. What is not found stands last; when neither is, the pair is lost. The other questions of the set
tell what that costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.apparatus.opened import open_parts, settings_in
from benchmarks.apparatus.places import data_directory
from benchmarks.apparatus.report import Report, Table
from benchmarks.quality.evaluation import rank_figures
from benchmarks.sets.data import QUERIES, EvaluationSet, find_sets, read_set
from benchmarks.sets.loading import Loaded, kept_or_loaded, scope_of
from retrieval.query.request import SearchRequest
from retrieval.retriever import Retriever

DEPTH = 200
_FIGURES = ("R@5", "R@10", "MRR", "nDCG@10")


@dataclass(frozen=True, slots=True)
class UpdatesRequest:
    """data: the folder of sets. sets: their names; those with such questions without. store: where it is kept."""

    command: str
    data: Path
    sets: tuple[str, ...] = ()
    store: Path | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """One question: where the best current and the best stale statement stand; None where it is no pair."""

    id: str
    current: int | None
    stale: int | None
    figures: Mapping[str, float]

    @property
    def is_pair(self) -> bool:
        """Whether it has both."""
        return self.current is not None and self.stale is not None

    @property
    def won(self) -> bool:
        """Whether what holds now stands first."""
        return self.current is not None and self.stale is not None and self.current < self.stale


async def measure_updates(request: UpdatesRequest) -> Report:
    """The report over every set with such questions. Raises BadSet and NotLoaded."""
    rows, figures = [], {}
    with data_directory(request.store) as directory:
        async with open_parts(settings_in(directory)) as opened:
            for folder in find_sets(request.data, request.sets):
                current = current_evidence(folder)
                if current or request.sets:
                    whole = read_set(folder)
                    loaded = await kept_or_loaded(
                        opened.ingestor, opened.store, whole, directory if request.store else None
                    )
                    answered = await ask(opened.retriever, whole, loaded, current)
                    rows.append(row(whole.name, answered))
                    figures[whole.name] = [[one.id, one.current, one.stale] for one in answered if one.is_pair]
    columns = ("set", "pairs", "won", "share", "other questions", *_FIGURES)
    return Report(request.command, (Table("Knowledge updates", columns, tuple(rows)),), (), figures)


def current_evidence(folder: Path) -> dict[str, set[str]]:
    """By question, the corpus ids of what holds now, as the file says."""
    with (folder / QUERIES).open(encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines if line.strip()]
    return {one["id"]: set(one["current_evidence"]) for one in read if one.get("current_evidence")}


async def ask(
    retriever: Retriever, whole: EvaluationSet, loaded: Loaded, current: Mapping[str, set[str]]
) -> list[Answered]:
    """An answer for each question of `whole`, in order. current: by question, the corpus ids of what holds now."""
    answered = []
    for conversation in whole.conversations:
        scope, ids = scope_of(whole.name, conversation.name), loaded.ids[conversation.name]
        for question in conversation.questions:
            request = SearchRequest(
                query=question.text,
                namespace=scope.namespace,
                types=list(whole.types),
                as_of=question.asked_at,
                top_k=DEPTH,
            )
            ranking = [hit.id for hit in (await retriever.search(scope, request)).hits]
            evidence = {ids[one] for one in question.evidence}
            now = {ids[one] for one in current.get(question.id, ())}
            pair = bool(now) and bool(evidence - now)
            current_at, stale_at = (_best(ranking, one) if pair else None for one in (now, evidence - now))
            figures = rank_figures(ranking[:10], sorted(evidence))
            answered.append(Answered(question.id, current_at, stale_at, figures))
    return answered


def _best(ranking: Sequence[str], wanted: set[str]) -> int:
    """The rank of the first of `wanted`; one behind the last when there is none."""
    return next((rank for rank, one in enumerate(ranking, start=1) if one in wanted), DEPTH + 1)


def row(name: str, answered: Sequence[Answered]) -> tuple[str | int | float | None, ...]:
    """Pairs, those won, and how the other questions fare."""
    pairs = [one for one in answered if one.is_pair]
    others = [one.figures for one in answered if not one.is_pair]
    won = sum(one.won for one in pairs)
    means = [fmean(one[figure] for one in others) if others else None for figure in _FIGURES]
    return (name, len(pairs), won, won / len(pairs) if pairs else None, len(others), *means)
