"""Tables and figures computed from the scores of questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.report import render_table
from benchmarks.quality.evaluation import (
    METRICS,
    RECALL_BUDGETS,
    ContextScore,
    QuestionScore,
    RetrievalScore,
)
from benchmarks.quality.tables import (
    SetScores,
    budget_figures,
    budget_table,
    context_table,
    quality_figures,
    ranking_table,
)
from benchmarks.sets.data import read_set
from tests.benchmarks.small_set import CORPUS, QUERIES, write_set


def _retrieval(recall: float, contexts: dict[int, ContextScore]) -> RetrievalScore:
    metrics = dict.fromkeys(METRICS, recall) | {"hit@10": float(recall > 0)}
    return RetrievalScore(metrics, contexts)


def _contexts(
    recall: float, utilization: float, *, over: int = 0, all_from: int = 9_000
) -> dict[int, ContextScore]:
    """Scores of one question's contexts, by token budget. over: tokens by which each context
    exceeds its budget.

    all_from: budget from which on no hit is left out.
    """
    return {
        budget: ContextScore(
            recall, budget + over, budget, budget, utilization, int(budget < all_from)
        )
        for budget in (0, *RECALL_BUDGETS)
    }


def test_utilization_counts_full_contexts_only() -> None:
    """Utilization (the used share of the budget) counts contexts from 500 tokens on that left out
    hits.
    """
    ways = [
        _retrieval(1.0, _contexts(1.0, 0.9, all_from=1_000)),
        _retrieval(0.0, _contexts(0.0, 0.7, over=1)),
    ]
    at_500, at_1000, at_0 = (budget_figures(ways, budget) for budget in (500, 1_000, 0))
    assert at_500.utilization == pytest.approx(0.8)
    assert (at_500.full, at_500.least, at_500.violations) == (2, 0.7, 1)
    assert (at_1000.full, at_1000.utilization) == (1, 0.7)
    assert (at_0.full, at_0.utilization, at_0.contexts, at_0.understated) == (0, None, 2, 1)


@pytest.mark.slow
def test_tables_have_the_whole_set_and_each_category(tmp_path: Path) -> None:
    """Tables have a row for the whole set, then one for each category of questions.

    The JSON report has the same numbers.
    """
    small = read_set(write_set(tmp_path / "small", CORPUS, QUERIES))
    scores = tuple(
        QuestionScore(
            question,
            _retrieval(recall, _contexts(recall, 0.9)),
            _retrieval(0.0, _contexts(0.0, 0.9)),
        )
        for question, recall in zip(small.questions, (1.0, 0.5, 0.0), strict=True)
    )
    row = SetScores("small", scores)
    ranking, context, budgets = (
        table([row]) for table in (ranking_table, context_table, budget_table)
    )
    assert [row[1] for row in ranking.rows] == ["(all)", "colour", "none", "place"]
    assert str(ranking.rows[0][4]).startswith("0.500 [0.")
    assert len(context.rows) == 2 * 4
    assert "| small | own   |" in render_table(budgets)
    figures = quality_figures(row)["(all)"]
    assert figures["n"] == 3
    assert figures["own"]["ranking"]["R@10"]["mean"] == pytest.approx(0.5)
    assert figures["own"]["budgets"]["500"]["violations"] == 0
    assert figures["all"]["evidence_recall"]["1000"]["mean"] == 0.0
