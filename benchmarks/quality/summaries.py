"""From scores of questions to tables with intervals. Pure functions of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.apparatus.metrics import Interval, bootstrap, wilson
from benchmarks.apparatus.report import Cell, Table
from benchmarks.quality.evaluation import RECALL_BUDGETS, QuestionScore, WayScore

FIGURES = ("R@5", "R@10", "hit@10", "all@10", "MRR", "nDCG@10")
SHARES = ("hit@10", "all@10")
"""The figures that are 0 or 1 for each query: their means are shares of the queries."""

ALL = "(all)"
"""The row of a whole set; no category is called so."""

UTILIZATION_FROM = 500
"""Utilization is told for budgets from here on: below, one memory may be larger than all of it."""


@dataclass(frozen=True, slots=True)
class SetScores:
    """A set's name with the scores of its questions."""

    name: str
    scores: tuple[QuestionScore, ...]

    def categories(self) -> Iterator[tuple[str, list[QuestionScore]]]:
        """All questions, then those of each category where there is more than one."""
        yield ALL, list(self.scores)
        names = sorted({score.question.category for score in self.scores})
        if len(names) > 1:
            for name in names:
                yield name, [score for score in self.scores if score.question.category == name]


def ranking_table(sets: Sequence[SetScores]) -> Table:
    """Figures of the rankings of the right types, and R@10 when all types are searched."""
    rows: list[tuple[Cell, ...]] = []
    for one in sets:
        for category, scores in one.categories():
            found = ranking_intervals([score.right for score in scores])
            every = bootstrap([score.every.figures["R@10"] for score in scores])
            rows.append((one.name, category, len(scores), *(shown(found[name]) for name in FIGURES), shown(every)))
    columns = ("set", "category", "n", *FIGURES, "R@10, all types")
    return Table("Rankings, right type searched [95 % interval]", columns, tuple(rows))


def ranking_intervals(ways: Sequence[WayScore]) -> dict[str, Interval]:
    """Each figure of the rankings: Wilson's interval for the shares of queries, by bootstrap for the others."""
    means = {name: bootstrap([way.figures[name] for way in ways]) for name in FIGURES if name not in SHARES}
    shares = {name: wilson(sum(round(way.figures[name]) for way in ways), len(ways)) for name in SHARES}
    return means | shares


def context_table(sets: Sequence[SetScores]) -> Table:
    """Evidence recall in contexts, by category, both ways."""
    rows: list[tuple[Cell, ...]] = []
    for one in sets:
        for category, scores in one.categories():
            for label, ways in _ways(scores):
                recalls = [shown(recall_interval(ways, budget)) for budget in RECALL_BUDGETS]
                rows.append((one.name, category, label, len(ways), *recalls))
    columns = ("set", "category", "types", "n", *(f"{budget} tokens" for budget in RECALL_BUDGETS))
    return Table("Evidence recall in a context of so many tokens [95 % interval]", columns, tuple(rows))


def recall_interval(ways: Sequence[WayScore], budget: int) -> Interval:
    """Evidence recall in contexts of `budget` tokens."""
    return bootstrap([way.contexts[budget].recall for way in ways])


def any_all_table(sets: Sequence[SetScores]) -> Table:
    """Shares of the queries whose context shows any, and all, of the evidence; the right types searched."""
    rows: list[tuple[Cell, ...]] = []
    for one in sets:
        for category, scores in one.categories():
            shares = [any_and_all([score.right for score in scores], budget) for budget in RECALL_BUDGETS]
            cells = (shown(share) for pair in shares for share in pair)
            rows.append((one.name, category, len(scores), *cells))
    columns = (f"{name} in {budget}" for budget in RECALL_BUDGETS for name in ("any", "all"))
    title = "Queries with any and with all of their evidence in a context of so many tokens [95 % interval]"
    return Table(title, ("set", "category", "n", *columns), tuple(rows))


def any_and_all(ways: Sequence[WayScore], budget: int) -> tuple[Interval, Interval]:
    """The shares of contexts of `budget` tokens that show some of the evidence, and all of it."""
    recalls = [way.contexts[budget].recall for way in ways]
    some, whole = sum(recall > 0 for recall in recalls), sum(recall == 1 for recall in recalls)
    return wilson(some, len(recalls)), wilson(whole, len(recalls))


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """How one budget was kept and used. enough: contexts that left some candidate out; utilization is theirs."""

    contexts: int
    violations: int
    understated: int
    enough: int
    utilization: float | None
    least: float | None


def budget_figures(ways: Sequence[WayScore], budget: int) -> BudgetFigures:
    """How `budget` was kept and used over all `ways` that were asked with it."""
    asked = [way.contexts[budget] for way in ways if budget in way.contexts]
    used = [context.utilization for context in asked if context.left_out and budget >= UTILIZATION_FROM]
    return BudgetFigures(
        contexts=len(asked),
        violations=sum(context.violates for context in asked),
        understated=sum(context.understates for context in asked),
        enough=len(used),
        utilization=sum(used) / len(used) if used else None,
        least=min(used, default=None),
    )


def budget_table(sets: Sequence[SetScores]) -> Table:
    """Violations and utilization of every budget, both ways."""
    rows: list[tuple[Cell, ...]] = []
    for one in sets:
        for label, ways in _ways(list(one.scores)):
            for budget in _budgets(ways):
                found = budget_figures(ways, budget)
                used = (found.enough, found.utilization, found.least)
                rows.append((one.name, label, budget, found.contexts, found.violations, found.understated, *used))
    columns = (
        "set", "types", "budget", "contexts", "violations", "understated", "enough", "utilization", "least"
    )  # fmt: skip
    return Table("Budgets, every context recounted", columns, tuple(rows))


def figures(one: SetScores) -> dict[str, Any]:
    """Everything measured on a set, as plain JSON."""
    return {
        category: {"n": len(scores), **{label: _way_figures(ways) for label, ways in _ways(scores)}}
        for category, scores in one.categories()
    }


def _way_figures(ways: Sequence[WayScore]) -> dict[str, Any]:
    shares = {str(budget): any_and_all(ways, budget) for budget in RECALL_BUDGETS}
    return {
        "ranking": {name: asdict(interval) for name, interval in ranking_intervals(ways).items()},
        "evidence_recall": {str(budget): asdict(recall_interval(ways, budget)) for budget in RECALL_BUDGETS},
        "any": {budget: asdict(pair[0]) for budget, pair in shares.items()},
        "all": {budget: asdict(pair[1]) for budget, pair in shares.items()},
        "budgets": {str(budget): asdict(budget_figures(ways, budget)) for budget in _budgets(ways)},
    }


def _ways(scores: Sequence[QuestionScore]) -> tuple[tuple[str, list[WayScore]], ...]:
    return ("right", [score.right for score in scores]), ("all", [score.every for score in scores])


def _budgets(ways: Sequence[WayScore]) -> list[int]:
    return sorted({budget for way in ways for budget in way.contexts})


def shown(interval: Interval) -> str:
    """The mean with the ends of its interval, as a table shows them."""
    return f"{interval.mean:.3f} [{interval.low:.3f}-{interval.high:.3f}]"
