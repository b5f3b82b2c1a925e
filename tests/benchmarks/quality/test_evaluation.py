"""Evaluating a retriever over an in-memory store: the questions of a small set are asked and the
answers scored.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality.evaluation import (
    BUDGETS,
    METRICS,
    RECALL_BUDGETS,
    evaluate,
    rank_updates,
    ranking_metrics,
    score_context,
)
from benchmarks.quality.tables import updates_table
from benchmarks.sets.data import EvaluationSet, read_set
from benchmarks.sets.loading import load
from memtypes.model.policy import MemoryType
from memtypes.model.times import system_clock
from retrieval.answer import (
    ContextItem,
    ContextMessage,
    ContextMetadata,
    FloorAnswer,
    RetrieveAnswer,
)
from tests.benchmarks.small_set import CORPUS, QUERIES, FakeParts, write_set

pytestmark = pytest.mark.anyio


@pytest.fixture
def small(tmp_path: Path) -> EvaluationSet:
    """The evaluation set of `CORPUS` and `QUERIES`, written to files and read back."""
    return read_set(write_set(tmp_path / "small", CORPUS, QUERIES))


async def test_evidence_counts_as_the_memory_that_it_merged_into(small: EvaluationSet) -> None:
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, small)
    scores = await evaluate(parts.evaluation, small, loaded)
    assert [score.question.id for score in scores] == ["q1", "q2", "q3"]
    for score in scores:
        for retrieval in (score.own_types, score.all_types):
            assert retrieval.metrics["R@10"] == 1.0
            assert retrieval.contexts[500].recall == 1.0
            assert retrieval.contexts[0].recall == 0.0
            assert not any(
                context.violates or context.understates for context in retrieval.contexts.values()
            )


async def test_contexts_have_the_budgets_that_are_asked_for(small: EvaluationSet) -> None:
    """Each question has a context for each chosen token budget; by default, for those in
    BUDGETS.
    """
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, small)
    scores = await evaluate(parts.evaluation, small, loaded)
    assert [len(score.own_types.contexts) for score in scores] == [len(BUDGETS)] * 3
    with_recall_budgets = await evaluate(
        replace(parts.evaluation, budgets=RECALL_BUDGETS), small, loaded
    )
    assert [list(score.own_types.contexts) for score in with_recall_budgets] == [
        list(RECALL_BUDGETS)
    ] * 3


def test_only_the_first_ten_ranks_count() -> None:
    """Evidence at rank 11 gives a reciprocal rank of 0."""
    ranking = [str(number) for number in range(1, 12)]
    assert ranking_metrics(ranking, ["11"]) == dict.fromkeys(METRICS, 0.0)
    assert ranking_metrics(ranking, ["10"])["MRR"] == pytest.approx(0.1)


def _answer(
    items: list[ContextItem], context: str | list[ContextMessage] = "one two three"
) -> RetrieveAnswer:
    metadata = ContextMetadata(
        total_tokens=3,
        budget=10,
        utilization=0.3,
        per_type={},
        working_tokens=1,
        trimmed_count=0,
        candidates=2,
        tokenizer="cl100k_base",
        outcome="ok",
        floor=FloorAnswer(value=0.0, dropped=0),
        as_of=system_clock(),
    )
    return RetrieveAnswer(context=context, items=items, metadata=metadata)


async def test_questions_are_asked_with_the_profile(small: EvaluationSet) -> None:
    """Questions are asked with the ranking profile of the evaluation. An unknown profile raises an
    error.
    """
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, small)
    with pytest.raises(ExceptionGroup) as failed:
        await evaluate(replace(parts.evaluation, profile="unknown"), small, loaded)
    assert "profile" in str(failed.value.exceptions[0])


def test_context_recall_compares_memory_ids() -> None:
    """If a context has one of two memories that are evidence, compared by id, its recall is 0.5."""
    item = ContextItem(
        id="m", type=MemoryType.SEMANTIC, rank=1, score=1.0, tokens=2, content="anything"
    )
    assert score_context(_answer([item]), ["m", "n"], 10, len).recall == 0.5


def test_violations_and_understatements_are_detected() -> None:
    """A context with more tokens than its budget and working memory allow is reported as a
    violation.

    A context with more tokens than its answer states is reported as understated.
    """
    score = score_context(_answer([]), ["m"], 2, lambda text: len(text.split()) + 1)
    assert (score.tokens, score.allowed, score.stated) == (4, 3, 3)
    assert score.violates
    assert score.understates
    fine = score_context(_answer([]), ["m"], 2, lambda text: len(text.split()))
    assert not fine.violates
    assert not fine.understates


def test_only_a_context_of_one_text_is_recounted() -> None:
    """The tokens of a context can be counted again if it is one text. For a list of messages,
    TypeError is raised.
    """
    with pytest.raises(TypeError, match="one text"):
        score_context(_answer([], context=[ContextMessage(content="a")]), ["m"], 10, len)


def _turn(number: int, text: str) -> dict[str, str]:
    """A line of a corpus file: a turn in which Ada says `text` at `number` minutes past ten."""
    return {
        "id": f"c:{number}",
        "conversation": "c",
        "session": "s",
        "timestamp": f"2024-01-02T10:{number:02}:00Z",
        "speaker": "Ada",
        "text": text,
        "memory_type": "episodic",
    }


async def test_a_current_statement_ranks_above_an_outdated_one(tmp_path: Path) -> None:
    """The updated budget of 650 ranks above the old one of 600.

    Questions without an outdated statement get no ranks.
    """
    corpus = [
        _turn(1, "My budget for sneakers is 600"),
        _turn(2, "Tea is green"),
        _turn(3, "My budget for sneakers is 650"),
    ]
    common = {
        "conversation": "c",
        "answerable": True,
        "category": "k",
        "asked_at": "2024-01-03T00:00:00Z",
    }
    queries = [
        {
            **common,
            "id": "1",
            "text": "What is my budget for sneakers?",
            "evidence": ["c:1", "c:3"],
            "current_evidence": ["c:3"],
        },
        {**common, "id": "2", "text": "Is tea green?", "evidence": ["c:2"]},
    ]
    write_set(tmp_path / "small", corpus, queries)
    dataset = read_set(tmp_path / "small")
    parts = FakeParts()
    loaded = await load(parts.ingestor, parts.store, dataset)
    ranks = await rank_updates(parts.evaluation.retriever, dataset, loaded)
    assert ranks == [("1", 1, 2)]
    assert updates_table({"small": ranks}).rows == (("small", 1, 1, 1.0),)
