"""Asks the questions of a set, once of its own memory types and once of all types, and scores rankings and contexts.

Evidence is a set of memories: corpus entries that were merged into one memory are one piece of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import anyio

from benchmarks.harness.metrics import (
    answer_share,
    hit_at,
    kept_share,
    ndcg_at,
    recall_at,
    reciprocal_rank,
)
from benchmarks.sets.data import Conversation, EvaluationSet, Question
from benchmarks.sets.loading import Loaded, scope_of
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from retrieval.answer import ContextItem, RetrieveAnswer
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.retriever import Retriever

RECALL_BUDGETS = (500, 1_000, 2_000, 4_000)
VIOLATION_BUDGETS = (0, 1, 50, 500, 1_000, 4_000, 8_000)
METRICS = ("R@5", "R@10", "hit@10", "MRR", "nDCG@10")
SHOWN_SHARE = 0.8
"""A cut text counts as shown with this share of its words; an excerpt with this share of the answer's words."""

_AT_ONCE = 2
"""Questions under way: one is ranked here while the engine searches for the other."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How questions are asked; None leaves it to the service.

    violation_sample: number of questions asked with the budgets that only violations need; None for all.
    """

    profile: str | None = None
    violation_sample: int | None = None
    oversize: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Who is asked, how tokens are counted independently, and how questions are asked."""

    retriever: Retriever
    recount: Callable[[str], int]
    manner: Manner = Manner()


@dataclass(frozen=True, slots=True)
class ContextScore:
    """What one context shows and costs.

    recall: share of the evidence shown. tokens: of the whole context, recounted. allowed: budget plus working memory.
    stated, utilization: as the answer says. left_out: candidates that are not shown.
    """

    recall: float
    tokens: int
    allowed: int
    stated: int
    utilization: float
    left_out: int

    @property
    def violates(self) -> bool:
        """Whether the context is larger than allowed."""
        return self.tokens > self.allowed

    @property
    def understates(self) -> bool:
        """Whether the context is larger than the answer says."""
        return self.tokens > self.stated


@dataclass(frozen=True, slots=True)
class Expected:
    """What a context should show. evidence: text by memory id. answer: to the question, if the set has it."""

    budget: int
    evidence: Mapping[str, str]
    answer: str = ""


@dataclass(frozen=True, slots=True)
class WayScore:
    """One question asked one way: metrics of its ranking, and contexts by budget."""

    metrics: Mapping[str, float]
    contexts: Mapping[int, ContextScore]


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """One question asked of the set's types and of all types."""

    question: Question
    own_types: WayScore
    all_types: WayScore


@dataclass(frozen=True, slots=True)
class Slice:
    """Every `of`-th question from `first` on."""

    first: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class _Task:
    """A question to ask. as_of: the same for every call, so that the store's answer is cached."""

    question: Question
    scope: Scope
    as_of: datetime
    evidence: Mapping[str, str]
    budgets: tuple[int, ...]


async def evaluate(
    evaluation: Evaluation, whole: EvaluationSet, loaded: Loaded, part: Slice = Slice()
) -> list[QuestionScore]:
    """A score for each question of `part`, in the order of the set."""
    scores: dict[int, QuestionScore] = {}
    limiter = anyio.Semaphore(_AT_ONCE)

    async def score(index: int, task: _Task) -> None:
        async with limiter:
            own = await _score_way(evaluation, task, list(whole.types))
            every = await _score_way(evaluation, task, None)
            scores[index] = QuestionScore(task.question, own, every)

    async with anyio.create_task_group() as tasks:
        for index, task in enumerate(islice(_tasks(evaluation, whole, loaded), part.first, None, part.of)):
            tasks.start_soon(score, index, task)
    return [scores[index] for index in range(len(scores))]


def _tasks(evaluation: Evaluation, whole: EvaluationSet, loaded: Loaded) -> Iterator[_Task]:
    sample = evaluation.manner.violation_sample
    limit = whole.questions if sample is None else sample
    chosen = {index * whole.questions // limit for index in range(limit)} if limit else set()
    every, now = tuple(sorted({*RECALL_BUDGETS, *VIOLATION_BUDGETS})), datetime.now(UTC)
    for index, (conversation, question) in enumerate(whole.asked()):
        budgets = every if index in chosen else RECALL_BUDGETS
        scope = scope_of(whole.name, conversation.name)
        evidence = evidence_of(question, conversation, loaded)
        yield _Task(question, scope, question.asked_at or now, evidence, budgets)


def evidence_of(question: Question, conversation: Conversation, loaded: Loaded) -> dict[str, str]:
    """Text by id of the memories that answer `question`."""
    wanted, ids = set(question.evidence or ()), loaded.ids[conversation.name]
    return {ids[entry.id]: entry.text for entry in conversation.corpus if entry.id in wanted}


async def _score_way(evaluation: Evaluation, task: _Task, types: list[MemoryType] | None) -> WayScore:
    common = {
        "query": task.question.text,
        "namespace": task.scope.namespace,
        "types": types,
        "as_of": task.as_of,
        "profile": evaluation.manner.profile,
    }
    room = {"oversize": evaluation.manner.oversize} if evaluation.manner.oversize else {}
    ranked = await evaluation.retriever.search(task.scope, SearchRequest(**common, top_k=10))
    contexts = {}
    for budget in task.budgets:
        request = RetrieveRequest.model_validate({**common, **room, "budget": budget})
        answer = await evaluation.retriever.retrieve(task.scope, request)
        expected = Expected(budget, task.evidence, str(task.question.answer or ""))
        contexts[budget] = score_context(answer, expected, evaluation.recount)
    return WayScore(ranking_metrics([hit.id for hit in ranked.hits], list(task.evidence)), contexts)


def ranking_metrics(ranking: list[str], evidence: list[str]) -> dict[str, float]:
    """METRICS of a ranking; MRR is that of the first ten ranks."""
    return {
        "R@5": recall_at(ranking, evidence, 5),
        "R@10": recall_at(ranking, evidence, 10),
        "hit@10": hit_at(ranking, evidence, 10),
        "MRR": reciprocal_rank(ranking[:10], evidence),
        "nDCG@10": ndcg_at(ranking, evidence, 10),
    }


def score_context(answer: RetrieveAnswer, expected: Expected, recount: Callable[[str], int]) -> ContextScore:
    """The score of `answer`. Raises TypeError for a context that is not one text."""
    if not isinstance(answer.context, str):
        raise TypeError("only a context that is one text can be recounted as a whole")
    items = {item.id: item for item in answer.items}
    shown = sum(
        memory in items and _shows(items[memory], text, expected.answer) for memory, text in expected.evidence.items()
    )
    metadata = answer.metadata
    return ContextScore(
        recall=shown / len(expected.evidence),
        tokens=recount(answer.context),
        allowed=expected.budget + metadata.working_tokens,
        stated=metadata.total_tokens,
        utilization=metadata.utilization,
        left_out=metadata.trimmed_count,
    )


def _shows(item: ContextItem, text: str, answer: str) -> bool:
    if item.excerpt:
        return answer_share(text, item.content, answer) >= SHOWN_SHARE
    return not item.cut or kept_share(text, item.content) >= SHOWN_SHARE
