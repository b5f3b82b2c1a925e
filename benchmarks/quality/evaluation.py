"""Asks the questions of a set, once of its own memory types and once of all types, and scores rankings and contexts.

Evidence is a set of memories: corpus entries that were merged into one memory are one piece of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import anyio

from benchmarks.harness.metrics import (
    hit_at,
    ndcg_at,
    recall_at,
    reciprocal_rank,
)
from benchmarks.sets.data import Conversation, EvaluationSet, Question
from benchmarks.sets.loading import Loaded, scope_of
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from retrieval.answer import RetrieveAnswer
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.retriever import Retriever

RECALL_BUDGETS = (500, 1_000, 2_000, 4_000)
VIOLATION_BUDGETS = (0, 1, 50, 500, 1_000, 4_000, 8_000)
METRICS = ("R@5", "R@10", "hit@10", "MRR", "nDCG@10")
_AT_ONCE = 2
"""Questions under way: one is ranked here while the engine searches for the other."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How questions are asked; None leaves it to the service.

    violation_sample: number of questions asked with the budgets that only violations need; None for all.
    """

    profile: str | None = None
    violation_sample: int | None = None


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
    evidence: list[str]
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


def evidence_of(question: Question, conversation: Conversation, loaded: Loaded) -> list[str]:
    """Ids of the memories that answer `question`, each once."""
    ids = loaded.ids[conversation.name]
    return list(dict.fromkeys(ids[entry] for entry in question.evidence or ()))


async def _score_way(evaluation: Evaluation, task: _Task, types: list[MemoryType] | None) -> WayScore:
    common = {
        "query": task.question.text,
        "namespace": task.scope.namespace,
        "types": types,
        "as_of": task.as_of,
        "profile": evaluation.manner.profile,
    }
    ranked = await evaluation.retriever.search(task.scope, SearchRequest(**common, top_k=10))
    contexts = {}
    for budget in task.budgets:
        request = RetrieveRequest.model_validate({**common, "budget": budget})
        answer = await evaluation.retriever.retrieve(task.scope, request)
        contexts[budget] = score_context(answer, task.evidence, budget, evaluation.recount)
    return WayScore(ranking_metrics([hit.id for hit in ranked.hits], task.evidence), contexts)


def ranking_metrics(ranking: list[str], evidence: list[str]) -> dict[str, float]:
    """METRICS of a ranking; MRR is that of the first ten ranks."""
    return {
        "R@5": recall_at(ranking, evidence, 5),
        "R@10": recall_at(ranking, evidence, 10),
        "hit@10": hit_at(ranking, evidence, 10),
        "MRR": reciprocal_rank(ranking[:10], evidence),
        "nDCG@10": ndcg_at(ranking, evidence, 10),
    }


def score_context(
    answer: RetrieveAnswer, evidence: Collection[str], budget: int, recount: Callable[[str], int]
) -> ContextScore:
    """The score of `answer` to a request with `budget`. Raises TypeError for a context that is not one text."""
    if not isinstance(answer.context, str):
        raise TypeError("only a context that is one text can be recounted as a whole")
    shown = [item.id for item in answer.items]
    metadata = answer.metadata
    return ContextScore(
        recall=recall_at(shown, evidence, len(shown)),
        tokens=recount(answer.context),
        allowed=budget + metadata.working_tokens,
        stated=metadata.total_tokens,
        utilization=metadata.utilization,
        left_out=metadata.trimmed_count,
    )
