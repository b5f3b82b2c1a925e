"""Loading, evaluating and summing up, over real ingestion and retrieval on fakes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks.apparatus.report import render_table
from benchmarks.quality.contexts import ContextScore, Expected, score_context
from benchmarks.quality.evaluation import Evaluation, Manner, QuestionScore, Share, WayScore, evaluate, rank_figures
from benchmarks.quality.summaries import (
    FIGURES,
    SetScores,
    any_all_table,
    any_and_all,
    budget_figures,
    budget_table,
    context_table,
    figures,
    ranking_table,
)
from benchmarks.sets.data import EvaluationSet, read_set
from benchmarks.sets.loading import NotLoaded, load, manifest_path, read_manifest, scope_of, verify, write_manifest
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.model.policy import MemoryType
from memtypes.model.times import system_clock
from memtypes.stores.memory import InMemoryStore
from retrieval.answer import ContextItem, ContextMessage, ContextMetadata, RetrieveAnswer
from retrieval.retriever import Retriever, RetrieverParts
from tests.benchmarks.sets import CORPUS, QUERIES, write_set
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Parts:
    """Real ingestion and retrieval on a fake store and encoder."""

    store: InMemoryStore = field(default_factory=InMemoryStore)

    @property
    def ingestor(self) -> Ingestor:
        """Writes."""
        return Ingestor(IngestorParts(self.store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), system_clock))

    @property
    def evaluation(self) -> Evaluation:
        """Asks."""
        tokenizer = FakeTokenizer()
        parts = RetrieverParts(self.store, FakeEmbedder(), FakeSparse(), {tokenizer.name: tokenizer}, system_clock)
        return Evaluation(Retriever(parts), tokenizer.count)


@pytest.fixture
def small(tmp_path: Path) -> EvaluationSet:
    """The small set."""
    return read_set(write_set(tmp_path / "small", CORPUS, QUERIES))


async def test_every_line_of_the_corpus_has_its_memory(small: EvaluationSet) -> None:
    """Each conversation is a namespace, and lines with the same content share a memory."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    assert loaded.merged == 1
    assert loaded.ids["c1"]["c1:1"] == loaded.ids["c1"]["c1:3"] != loaded.ids["c1"]["c1:2"]
    stats = await parts.store.stats(scope_of("small", "c1"))
    assert stats[MemoryType.EPISODIC].count == 2
    assert (await parts.store.stats(scope_of("small", "c2")))[MemoryType.SEMANTIC].count == 1


async def test_a_kept_store_is_used_again_when_it_holds_the_corpus(small: EvaluationSet, tmp_path: Path) -> None:
    """The manifest survives a round trip, and a store that holds what the corpus says is accepted."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    path = manifest_path(tmp_path, "small")
    write_manifest(path, loaded)
    kept = read_manifest(path)
    assert kept == replace(loaded, seconds=0.0)
    await verify(parts.store, small, kept)


async def test_a_kept_store_of_another_corpus_is_refused(small: EvaluationSet, tmp_path: Path) -> None:
    """A corpus that changed since is told apart by its hash."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    changed = write_set(tmp_path / "other", [{**CORPUS[0], "text": "Another text"}, *CORPUS[1:]], QUERIES)
    with pytest.raises(NotLoaded, match="not what was loaded"):
        await verify(parts.store, read_set(changed), loaded)


async def test_a_kept_store_that_lost_a_memory_is_refused(small: EvaluationSet) -> None:
    """A memory that is gone is named."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    await parts.store.delete(scope_of("small", "c1"), [loaded.ids["c1"]["c1:2"]])
    with pytest.raises(NotLoaded, match="c1:2 is not in the store"):
        await verify(parts.store, small, loaded)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"content_hash": "0" * 64}, "another content"),
        ({"access_count": 2}, "was accessed"),
        ({"speaker": "Eve"}, "made in another way"),
    ],
)
async def test_a_kept_store_whose_memories_changed_is_refused(
    small: EvaluationSet, change: dict[str, object], told: str
) -> None:
    """Content, use and embedding text of every memory are compared."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    await parts.store.patch(scope_of("small", "c1"), {loaded.ids["c1"]["c1:2"]: change})
    with pytest.raises(NotLoaded, match=told):
        await verify(parts.store, small, loaded)


async def test_evidence_is_found_through_the_memory_that_it_became(small: EvaluationSet) -> None:
    """Evidence whose line merged into another memory counts as found with that memory, in rankings and contexts."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    scores = await evaluate(parts.evaluation, small, loaded)
    assert [score.question.id for score in scores] == ["q1", "q2", "q3"]
    for score in scores:
        for way in (score.right, score.every):
            assert way.figures["R@10"] == 1.0
            assert way.contexts[500].recall == 1.0
            assert way.contexts[0].recall == 0.0
            assert not any(context.violates or context.understates for context in way.contexts.values())


async def test_a_sample_limits_the_budgets_that_only_violations_need(small: EvaluationSet) -> None:
    """Beyond the sample a question is asked with the budgets of evidence recall alone."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    scores = await evaluate(replace(parts.evaluation, manner=Manner(sample=1)), small, loaded)
    assert [len(score.right.contexts) for score in scores] == [8, 4, 4]
    none = await evaluate(replace(parts.evaluation, manner=Manner(sample=0)), small, loaded)
    assert [len(score.right.contexts) for score in none] == [4, 4, 4]


async def test_shares_together_are_the_whole(small: EvaluationSet) -> None:
    """Questions that are shared out get the same scores, each of them once."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    whole = await evaluate(parts.evaluation, small, loaded)
    shares = [await evaluate(parts.evaluation, small, loaded, Share(first, 2)) for first in range(2)]
    assert [whole[0::2], whole[1::2]] == shares


def test_mrr_looks_at_ten_ranks() -> None:
    """Evidence at rank 11 earns nothing."""
    ranking = [str(number) for number in range(1, 12)]
    assert rank_figures(ranking, ["11"]) == dict.fromkeys(FIGURES, 0.0)
    assert rank_figures(ranking, ["10"])["MRR"] == pytest.approx(0.1)


def _answer(items: list[ContextItem], context: str | list[ContextMessage] = "one two three") -> RetrieveAnswer:
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
        as_of=system_clock(),
    )
    return RetrieveAnswer(context=context, items=items, metadata=metadata)


def _item(name: str, content: str, *, cut: bool) -> ContextItem:
    return ContextItem(id=name, type=MemoryType.SEMANTIC, rank=1, score=1.0, tokens=2, content=content, cut=cut or None)


def test_a_cut_memory_counts_with_four_fifths_of_its_words() -> None:
    """What was cut is shown evidence only when enough of it is left."""
    text = "a b c d e"
    for kept, recall in (("a b c d …", 1.0), ("a b c …", 0.0)):
        answer = _answer([_item("m", kept, cut=True)])
        assert score_context(answer, Expected(10, {"m": text}), len).recall == recall
    answer = _answer([_item("m", "anything", cut=False)])
    assert score_context(answer, Expected(10, {"m": text, "n": text}), len).recall == 0.5


def test_an_excerpt_counts_with_four_fifths_of_the_answers_words() -> None:
    """Of the answer's words those count that the whole memory has; without an answer every word of it does."""
    text = "It cost 40 crowns in Prague, paid late in May"
    for shown, answer, recall in (
        ("... 40 crowns in PRAGUE ...", "40 crowns, Prague, a Tuesday", 1.0),
        ("... cost 40 crowns", "40 crowns, Prague", 0.0),
        ("It cost 40 crowns in Prague, paid ...", "", 0.0),
        ("It cost 40 crowns in Prague, paid late", "none of these", 1.0),
    ):
        item = _item("m", shown, cut=False).model_copy(update={"excerpt": True})
        assert score_context(_answer([item]), Expected(10, {"m": text}, answer), len).recall == recall


async def test_questions_are_asked_in_their_manner(small: EvaluationSet) -> None:
    """What is set is asked for; what no one can ask for is refused."""
    parts = Parts()
    loaded = await load(parts.ingestor, parts.store, small)
    cut = await evaluate(replace(parts.evaluation, manner=Manner(oversize="cut")), small, loaded)
    assert cut[0].right.contexts[500].recall == 1.0
    with pytest.raises(ExceptionGroup) as failed:
        await evaluate(replace(parts.evaluation, manner=Manner(oversize="shrink")), small, loaded)
    assert "oversize" in str(failed.value.exceptions[0])


def test_violations_and_understatements_are_seen() -> None:
    """A recount above the budget violates it, working memory's part aside; one above the stated total understates."""
    score = score_context(_answer([]), Expected(2, {"m": "x"}), lambda text: len(text.split()) + 1)
    assert (score.tokens, score.allowed, score.told) == (4, 3, 3)
    assert score.violates
    assert score.understates
    fine = score_context(_answer([]), Expected(2, {"m": "x"}), lambda text: len(text.split()))
    assert not fine.violates
    assert not fine.understates


def test_only_a_context_of_one_text_is_recounted() -> None:
    """Messages have no count of the whole."""
    with pytest.raises(TypeError, match="one text"):
        score_context(_answer([], context=[ContextMessage(content="a")]), Expected(10, {"m": "x"}), len)


def _way(recall: float, contexts: dict[int, ContextScore]) -> WayScore:
    found = dict.fromkeys(FIGURES, recall) | {"hit@10": float(recall > 0), "all@10": float(recall == 1)}
    return WayScore(found, contexts)


def _contexts(recall: float, utilization: float, *, over: int = 0, all_from: int = 9_000) -> dict[int, ContextScore]:
    """Contexts of some budgets; from `all_from` tokens on nothing is left out."""
    return {
        budget: ContextScore(recall, budget + over, budget, budget, utilization, int(budget < all_from))
        for budget in (0, 500, 1_000, 2_000, 4_000)
    }


def test_utilization_is_taken_where_candidates_are_enough() -> None:
    """Only contexts that left something out count, from 500 tokens on; violations always do."""
    ways = [_way(1.0, _contexts(1.0, 0.9, all_from=1_000)), _way(0.0, _contexts(0.0, 0.7, over=1))]
    at_500, at_1000, at_0 = (budget_figures(ways, budget) for budget in (500, 1_000, 0))
    assert at_500.utilization == pytest.approx(0.8)
    assert (at_500.enough, at_500.least, at_500.violations) == (2, 0.7, 1)
    assert (at_1000.enough, at_1000.utilization) == (1, 0.7)
    assert (at_0.enough, at_0.utilization, at_0.contexts, at_0.understated) == (0, None, 2, 1)


def test_any_and_all_are_shares_of_the_queries() -> None:
    """A context with half of the evidence shows some of it and not all of it."""
    some, whole = any_and_all([_way(recall, _contexts(recall, 0.9)) for recall in (1.0, 0.5, 0.5, 0.0)], 500)
    assert (some.mean, whole.mean) == (0.75, 0.25)
    assert some.low < 0.75 < some.high


def test_tables_show_all_and_each_category(small: EvaluationSet) -> None:
    """Every table has the whole set first and its categories after, with intervals, and figures say the same."""
    questions = [question for part in small.conversations for question in part.questions]
    scores = tuple(
        QuestionScore(question, _way(recall, _contexts(recall, 0.9)), _way(0.0, _contexts(0.0, 0.9)))
        for question, recall in zip(questions, (1.0, 0.5, 0.0), strict=True)
    )
    one = SetScores("small", scores)
    ranking = ranking_table([one])
    assert [row[1] for row in ranking.rows] == ["(all)", "colour", "none", "place"]
    assert str(ranking.rows[0][4]).startswith("0.500 [0.")
    assert len(context_table([one]).rows) == 2 * 4
    assert any_all_table([one]).rows[0][:3] == ("small", "(all)", 3)
    assert "| small | right |" in render_table(budget_table([one]))
    found = figures(one)["(all)"]
    assert found["n"] == 3
    assert found["right"]["ranking"]["R@10"]["mean"] == pytest.approx(0.5)
    assert found["all"]["evidence_recall"]["1000"]["mean"] == 0.0
    assert found["right"]["any"]["1000"]["mean"] == pytest.approx(2 / 3)
    assert found["right"]["all"]["1000"]["mean"] == pytest.approx(1 / 3)
    assert found["right"]["ranking"]["all@10"]["mean"] == pytest.approx(1 / 3)
    assert found["right"]["budgets"]["500"]["violations"] == 0
