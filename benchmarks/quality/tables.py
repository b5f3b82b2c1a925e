"""Makes the tables and figures of `quality`, with confidence intervals, from the scores of questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from benchmarks.harness.metrics import Interval, bootstrap
from benchmarks.harness.report import Cell, Table
from benchmarks.quality.evaluation import METRICS, RECALL_BUDGETS, QuestionScore, WayScore

T = TypeVar("T")

ALL = "(all)"
"""Name of the row with all questions of a set; no category has this name."""

_UTILIZATION_FROM = 500
"""Smallest budget for which utilization is given: one memory may be larger than a smaller budget."""


@dataclass(frozen=True, slots=True)
class SetScores:
    """An evaluation set's name and the scores of its questions."""

    name: str
    scores: tuple[QuestionScore, ...]

    def by_category(self) -> Iterator[tuple[str, list[QuestionScore]]]:
        """ALL with the scores of the whole set, then each category with the scores of its questions."""
        return by_category(self.scores, [score.question.label for score in self.scores])


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """How contexts kept to a token budget. full: contexts that left hits out. utilization, least: mean and minimum."""

    contexts: int
    violations: int
    understated: int
    full: int
    utilization: float | None
    least: float | None


def by_category(values: Sequence[T], labels: Sequence[str]) -> Iterator[tuple[str, list[T]]]:
    """ALL with all values, then each label with its values; only ALL if there is a single label."""
    yield ALL, list(values)
    names = sorted(set(labels))
    for name in names if len(names) > 1 else ():
        yield name, [value for value, label in zip(values, labels, strict=True) if label == name]


def ranking_table(sets: Sequence[SetScores]) -> Table:
    """A table of ranking metrics by set and category, with R@10 for searches in all types."""
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
    """The mean and interval of each ranking metric, by its name."""
    return {name: bootstrap([way.metrics[name] for way in ways]) for name in METRICS}


def context_table(sets: Sequence[SetScores]) -> Table:
    """A table of evidence recall in contexts, by set, category, memory types asked for and budget."""
    rows: list[tuple[Cell, ...]] = []
    for each in sets:
        for category, scores in each.by_category():
            for label, ways in _ways(scores):
                recalls = (str(recall_interval(ways, budget)) for budget in RECALL_BUDGETS)
                rows.append((each.name, category, label, len(ways), *recalls))
    columns = ("set", "category", "types", "n", *(f"{budget} tokens" for budget in RECALL_BUDGETS))
    return Table("Evidence recall in a context of so many tokens [95 % interval]", columns, tuple(rows))


def recall_interval(ways: Sequence[WayScore], budget: int) -> Interval:
    """Mean and interval of evidence recall in the contexts of `budget` tokens."""
    return bootstrap([way.contexts[budget].recall for way in ways])


def budget_table(sets: Sequence[SetScores]) -> Table:
    """A table of violations and utilization of budgets, by set, memory types asked for and budget."""
    rows: list[tuple[Cell, ...]] = []
    for each in sets:
        for label, ways in _ways(list(each.scores)):
            figures = {budget: budget_figures(ways, budget) for budget in ways[0].contexts}
            rows += [(each.name, label, budget, *asdict(kept).values()) for budget, kept in figures.items()]
    columns = ("contexts", "violations", "understated", "full", "utilization", "least")
    return Table("Budgets, every context recounted", ("set", "types", "budget", *columns), tuple(rows))


def budget_figures(ways: Sequence[WayScore], budget: int) -> BudgetFigures:
    """How the contexts with `budget` tokens kept to this budget, and how much of it they used."""
    contexts = [way.contexts[budget] for way in ways]
    used = [context.utilization for context in contexts if context.left_out and budget >= _UTILIZATION_FROM]
    return BudgetFigures(
        contexts=len(contexts),
        violations=sum(context.violates for context in contexts),
        understated=sum(context.understates for context in contexts),
        full=len(used),
        utilization=sum(used) / len(used) if used else None,
        least=min(used, default=None),
    )


def updates_table(updates: Mapping[str, Sequence[tuple[str, int, int]]]) -> Table:
    """A table of how often current evidence is found and ranks above stale evidence, by set."""
    rows = []
    for name, ranks in updates.items():
        won = sum(current < stale for _, current, stale in ranks)
        rows.append((name, len(ranks), won, won / len(ranks)))
    return Table("Knowledge updates", ("set", "pairs", "won", "share won"), tuple(rows))


def quality_figures(scores: SetScores) -> dict[str, Any]:
    """Everything measured on a set, by category, as values for JSON."""
    return {
        category: {"n": len(each), **{label: _way_figures(ways) for label, ways in _ways(each)}}
        for category, each in scores.by_category()
    }


def _way_figures(ways: Sequence[WayScore]) -> dict[str, Any]:
    return {
        "ranking": {name: asdict(interval) for name, interval in ranking_intervals(ways).items()},
        "evidence_recall": {str(budget): asdict(recall_interval(ways, budget)) for budget in RECALL_BUDGETS},
        "budgets": {str(budget): asdict(budget_figures(ways, budget)) for budget in ways[0].contexts},
    }


def _ways(scores: Sequence[QuestionScore]) -> tuple[tuple[str, list[WayScore]], ...]:
    return ("own", [score.own_types for score in scores]), ("all", [score.all_types for score in scores])
