"""Tables and figures with confidence intervals from the scores of questions; pure functions of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.harness.metrics import Interval, bootstrap
from benchmarks.harness.report import Cell, Table
from benchmarks.quality.evaluation import METRICS, RECALL_BUDGETS, QuestionScore, WayScore

ALL = "(all)"
"""The row of a whole set; no category has this name."""

_UTILIZATION_FROM = 500
"""Utilization is given for budgets from here on: below, one memory may be larger than the budget."""


@dataclass(frozen=True, slots=True)
class SetScores:
    """A set's name with the scores of its questions."""

    name: str
    scores: tuple[QuestionScore, ...]

    def by_category(self) -> Iterator[tuple[str, list[QuestionScore]]]:
        """All scores under ALL, then those of each category if there are several."""
        yield ALL, list(self.scores)
        names = sorted({score.question.label for score in self.scores})
        if len(names) > 1:
            for name in names:
                yield name, [score for score in self.scores if score.question.label == name]


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """How a budget was kept. full: contexts that left candidates out; utilization: their mean, least: their minimum."""

    contexts: int
    violations: int
    understated: int
    full: int
    utilization: float | None
    least: float | None


def quality_tables(sets: Sequence[SetScores]) -> tuple[Table, ...]:
    """Rankings, evidence recall and budgets of the sets."""
    return (ranking_table(sets), context_table(sets), budget_table(sets))


def ranking_table(sets: Sequence[SetScores]) -> Table:
    """Ranking metrics of the set's types, and R@10 when all types are searched."""
    rows: list[tuple[Cell, ...]] = []
    for each in sets:
        for category, scores in each.by_category():
            intervals = ranking_intervals([score.own_types for score in scores])
            every = bootstrap([score.all_types.metrics["R@10"] for score in scores])
            cells = (str(intervals[name]) for name in METRICS)
            rows.append((each.name, category, len(scores), *cells, str(every)))
    columns = ("set", "category", "n", *METRICS, "R@10, all types")
    return Table("Rankings, the set's types searched [95 % interval]", columns, tuple(rows))


def ranking_intervals(ways: Sequence[WayScore]) -> dict[str, Interval]:
    """Each metric with its interval."""
    return {name: bootstrap([way.metrics[name] for way in ways]) for name in METRICS}


def context_table(sets: Sequence[SetScores]) -> Table:
    """Evidence recall in contexts, by category, for the set's types and for all types."""
    rows: list[tuple[Cell, ...]] = []
    for each in sets:
        for category, scores in each.by_category():
            for label, ways in _ways(scores):
                recalls = (str(recall_interval(ways, budget)) for budget in RECALL_BUDGETS)
                rows.append((each.name, category, label, len(ways), *recalls))
    columns = ("set", "category", "types", "n", *(f"{budget} tokens" for budget in RECALL_BUDGETS))
    return Table("Evidence recall in a context of so many tokens [95 % interval]", columns, tuple(rows))


def recall_interval(ways: Sequence[WayScore], budget: int) -> Interval:
    """Evidence recall in contexts of `budget` tokens."""
    return bootstrap([way.contexts[budget].recall for way in ways])


def budget_table(sets: Sequence[SetScores]) -> Table:
    """Violations and utilization of every budget."""
    rows: list[tuple[Cell, ...]] = []
    for each in sets:
        for label, ways in _ways(list(each.scores)):
            rows += [
                (each.name, label, budget, *asdict(budget_figures(ways, budget)).values()) for budget in _budgets(ways)
            ]
    columns = ("contexts", "violations", "understated", "full", "utilization", "least")
    return Table("Budgets, every context recounted", ("set", "types", "budget", *columns), tuple(rows))


def budget_figures(ways: Sequence[WayScore], budget: int) -> BudgetFigures:
    """How `budget` was kept and used by the contexts that were asked for with it."""
    contexts = [way.contexts[budget] for way in ways if budget in way.contexts]
    used = [context.utilization for context in contexts if context.left_out and budget >= _UTILIZATION_FROM]
    return BudgetFigures(
        contexts=len(contexts),
        violations=sum(context.violates for context in contexts),
        understated=sum(context.understates for context in contexts),
        full=len(used),
        utilization=sum(used) / len(used) if used else None,
        least=min(used, default=None),
    )


def quality_figures(scores: SetScores) -> dict[str, Any]:
    """Everything measured on a set, as plain JSON."""
    return {
        category: {"n": len(each), **{label: _way_figures(ways) for label, ways in _ways(each)}}
        for category, each in scores.by_category()
    }


def _way_figures(ways: Sequence[WayScore]) -> dict[str, Any]:
    return {
        "ranking": {name: asdict(interval) for name, interval in ranking_intervals(ways).items()},
        "evidence_recall": {str(budget): asdict(recall_interval(ways, budget)) for budget in RECALL_BUDGETS},
        "budgets": {str(budget): asdict(budget_figures(ways, budget)) for budget in _budgets(ways)},
    }


def _ways(scores: Sequence[QuestionScore]) -> tuple[tuple[str, list[WayScore]], ...]:
    return ("own", [score.own_types for score in scores]), ("all", [score.all_types for score in scores])


def _budgets(ways: Sequence[WayScore]) -> list[int]:
    return sorted({budget for way in ways for budget in way.contexts})
