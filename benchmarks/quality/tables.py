"""Turns each question's scores in the `quality` benchmark into tables and JSON figures, with
confidence intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from benchmarks.harness.metrics import Interval, bootstrap
from benchmarks.harness.report import Cell, Table
from benchmarks.quality.evaluation import METRICS, RECALL_BUDGETS, QuestionScore, RetrievalScore

T = TypeVar("T")

ALL = "(all)"
"""Name of the row with all questions of a set; no category has this name."""

_UTILIZATION_FROM = 500
"""Smallest budget for which utilization is given: one memory may be larger than a smaller
budget.
"""


@dataclass(frozen=True, slots=True)
class SetScores:
    """An evaluation set's name and the scores of its questions."""

    name: str
    scores: tuple[QuestionScore, ...]

    def by_category(self) -> Iterator[tuple[str, list[QuestionScore]]]:
        """Yield ("(all)", all scores) and, if there are several question categories, (category,
        scores) for each.
        """
        return by_category(self.scores, [score.question.label for score in self.scores])


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """The number of contexts for one token budget, how many of them exceed it, and how much of it
    they use.

    violations: contexts above the allowed size. understated: contexts above the size that the
    answer states. full: contexts from which hits were left out; not counted for budgets below 500,
    in which a memory may not fit. utilization, least: mean and minimum share of the budget that
    full contexts use.
    """

    contexts: int
    violations: int
    understated: int
    full: int
    utilization: float | None
    least: float | None


def by_category(values: Sequence[T], labels: Sequence[str]) -> Iterator[tuple[str, list[T]]]:
    """Yield ("(all)", all values) and, if there are several distinct labels, (label, its values)
    for each label.
    """
    yield ALL, list(values)
    names = sorted(set(labels))
    for name in names if len(names) > 1 else ():
        yield name, [value for value, label in zip(values, labels, strict=True) if label == name]


def ranking_table(sets: Sequence[SetScores]) -> Table:
    """A table of ranking metrics by set and question category. Last column: recall at 10 over all
    memory types.
    """
    rows: list[tuple[Cell, ...]] = []
    for dataset in sets:
        for category, scores in dataset.by_category():
            intervals = ranking_intervals([score.own_types for score in scores])
            all_types = bootstrap([score.all_types.metrics["R@10"] for score in scores])
            cells = (str(intervals[name]) for name in METRICS)
            rows.append((dataset.name, category, len(scores), *cells, str(all_types)))
    columns = ("set", "category", "n", *METRICS, "R@10, all types")
    return Table("Rankings, the set's types searched [95 % interval]", columns, tuple(rows))


def ranking_intervals(retrievals: Sequence[RetrievalScore]) -> dict[str, Interval]:
    """Mean and confidence interval of each ranking metric over the scored `retrievals`, by the
    metric's name.
    """
    return {
        name: bootstrap([retrieval.metrics[name] for retrieval in retrievals]) for name in METRICS
    }


def context_table(sets: Sequence[SetScores]) -> Table:
    """A table of the share of answering memories in contexts, by set, category, memory types
    searched and budget.
    """
    rows: list[tuple[Cell, ...]] = []
    for dataset in sets:
        for category, scores in dataset.by_category():
            for label, retrievals in _by_types(scores):
                recalls = (str(recall_interval(retrievals, budget)) for budget in RECALL_BUDGETS)
                rows.append((dataset.name, category, label, len(retrievals), *recalls))
    columns = ("set", "category", "types", "n", *(f"{budget} tokens" for budget in RECALL_BUDGETS))
    return Table(
        "Evidence recall in a context of so many tokens [95 % interval]", columns, tuple(rows)
    )


def recall_interval(retrievals: Sequence[RetrievalScore], budget: int) -> Interval:
    """Mean share of the answering memories that is in the contexts of `budget` tokens, with its
    confidence interval.
    """
    return bootstrap([retrieval.contexts[budget].recall for retrieval in retrievals])


def budget_table(sets: Sequence[SetScores]) -> Table:
    """A table by set, types searched and budget: how many contexts exceed the budget and how much
    they use of it.
    """
    rows: list[tuple[Cell, ...]] = []
    for dataset in sets:
        for label, retrievals in _by_types(list(dataset.scores)):
            figures = {
                budget: budget_figures(retrievals, budget) for budget in retrievals[0].contexts
            }
            rows += [
                (dataset.name, label, budget, *asdict(row).values())
                for budget, row in figures.items()
            ]
    columns = ("contexts", "violations", "understated", "full", "utilization", "least")
    return Table(
        "Budgets, every context recounted", ("set", "types", "budget", *columns), tuple(rows)
    )


def budget_figures(retrievals: Sequence[RetrievalScore], budget: int) -> BudgetFigures:
    """Figures of the contexts that `retrievals` made for `budget` tokens."""
    contexts = [retrieval.contexts[budget] for retrieval in retrievals]
    utilizations = [
        context.utilization
        for context in contexts
        if context.left_out and budget >= _UTILIZATION_FROM
    ]
    return BudgetFigures(
        contexts=len(contexts),
        violations=sum(context.violates for context in contexts),
        understated=sum(context.understates for context in contexts),
        full=len(utilizations),
        utilization=sum(utilizations) / len(utilizations) if utilizations else None,
        least=min(utilizations, default=None),
    )


def updates_table(updates: Mapping[str, Sequence[tuple[str, int, int]]]) -> Table:
    """A table by set: how often current memories outrank outdated ones. updates: (question,
    current, outdated rank).
    """
    rows = []
    for name, ranks in updates.items():
        won = sum(current < stale for _, current, stale in ranks)
        rows.append((name, len(ranks), won, won / len(ranks)))
    return Table("Knowledge updates", ("set", "pairs", "won", "share won"), tuple(rows))


def quality_figures(dataset: SetScores) -> dict[str, Any]:
    """All figures of one set by question category, for the JSON report."""
    return {
        category: {
            "n": len(scores),
            **{label: _retrieval_figures(group) for label, group in _by_types(scores)},
        }
        for category, scores in dataset.by_category()
    }


def _retrieval_figures(retrievals: Sequence[RetrievalScore]) -> dict[str, Any]:
    return {
        "ranking": {
            name: asdict(interval) for name, interval in ranking_intervals(retrievals).items()
        },
        "evidence_recall": {
            str(budget): asdict(recall_interval(retrievals, budget)) for budget in RECALL_BUDGETS
        },
        "budgets": {
            str(budget): asdict(budget_figures(retrievals, budget))
            for budget in retrievals[0].contexts
        },
    }


def _by_types(scores: Sequence[QuestionScore]) -> tuple[tuple[str, list[RetrievalScore]], ...]:
    return ("own", [score.own_types for score in scores]), (
        "all",
        [score.all_types for score in scores],
    )
