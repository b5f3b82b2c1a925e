"""Asks the questions of an evaluation set, and scores the rankings and contexts that the retriever
returns.

Each question is asked twice: of the memory types that occur in the set's corpus, and of all types.
Evidence is the memories that answer a question; corpus entries merged into one memory count once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import anyio

from benchmarks.harness.metrics import hit_at, ndcg_at, recall_at, reciprocal_rank
from benchmarks.sets.data import EvaluationSet, Question
from benchmarks.sets.loading import TENANT, Loaded, scope_of
from memtypes.model.scope import Scope
from retrieval.answer import RetrieveAnswer
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.retriever import Retriever

RECALL_BUDGETS = (300, 500, 1_000, 2_000, 4_000)
BUDGETS = (0, 1, 50, 300, 500, 1_000, 2_000, 4_000, 8_000)
"""Token budgets for which contexts are retrieved and recounted; recall is shown for
RECALL_BUDGETS.
"""

METRICS = ("R@1", "R@5", "R@10", "hit@10", "MRR", "nDCG@10")
UPDATE_DEPTH = 200
_CONCURRENT_QUESTIONS = 2
"""Questions asked at the same time: this process ranks for a question while the engine searches for
another.
"""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A retriever to evaluate. budgets: of its contexts, in tokens. recount: counts a text's
    tokens. options: further fields of each request.
    """

    retriever: Retriever
    recount: Callable[[str], int]
    profile: str | None = None
    budgets: tuple[int, ...] = BUDGETS
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContextScore:
    """Score of one retrieved context. tokens: its size in tokens, counted by this benchmark.

    recall: share of the memories answering the question that are in the context. allowed: budget
    plus the tokens of working memory, which the budget does not cover. stated: size in tokens, as
    the service's response gives it. utilization: used share of the budget, from that response.
    left_out: number of hits that are not in the context.
    """

    recall: float
    tokens: int
    allowed: int
    stated: int
    utilization: float
    left_out: int

    @property
    def violates(self) -> bool:
        """Whether the context has more tokens than allowed."""
        return self.tokens > self.allowed

    @property
    def understates(self) -> bool:
        """Whether the context has more tokens than the answer states."""
        return self.tokens > self.stated


@dataclass(frozen=True, slots=True)
class RetrievalScore:
    """Scores of a question that was asked of certain memory types. metrics: by name. contexts: by
    token budget.
    """

    metrics: Mapping[str, float]
    contexts: Mapping[int, ContextScore]


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """Scores of a question, asked of the memory types that occur in the set's corpus (own_types),
    and of all types.
    """

    question: Question
    own_types: RetrievalScore
    all_types: RetrievalScore


async def evaluate(
    evaluation: Evaluation, dataset: EvaluationSet, loaded: Loaded
) -> list[QuestionScore]:
    """Scores of the set's questions, in its order."""
    scores: dict[int, QuestionScore] = {}
    limiter = anyio.Semaphore(_CONCURRENT_QUESTIONS)
    # The same for every call, so that the store's answer is cached
    default_as_of = datetime.now(UTC)

    async def score(index: int, question: Question) -> None:
        evidence = evidence_of(question, loaded)
        fields = {
            "profile": evaluation.profile,
            "as_of": question.asked_at or default_as_of,
            **evaluation.options,
        }
        async with limiter:
            own_types = await _score(evaluation, evidence, _fields_of(dataset, question, fields))
            all_types = await _score(
                evaluation, evidence, _fields_of(dataset, question, fields | {"types": None})
            )
        scores[index] = QuestionScore(question, own_types, all_types)

    async with anyio.create_task_group() as tasks:
        for index, question in enumerate(dataset.questions):
            tasks.start_soon(score, index, question)
    return [scores[index] for index in range(len(scores))]


async def _score(
    evaluation: Evaluation, evidence: Sequence[str], fields: Mapping[str, object]
) -> RetrievalScore:
    ranking = await _search(evaluation.retriever, fields)
    contexts = {}
    for budget in evaluation.budgets:
        request = RetrieveRequest.model_validate({**fields, "budget": budget})
        answer = await evaluation.retriever.retrieve(Scope(TENANT, request.namespace), request)
        contexts[budget] = score_context(answer, evidence, budget, evaluation.recount)
    return RetrievalScore(ranking_metrics(ranking, evidence), contexts)


async def rank(
    retriever: Retriever,
    dataset: EvaluationSet,
    question: Question,
    overrides: Mapping[str, object] | None = None,
) -> list[str]:
    """Ids of the memories found for `question`, best first. overrides: fields of the request, such
    as `top_k`.
    """
    return await _search(retriever, _fields_of(dataset, question, overrides or {}))


async def _search(retriever: Retriever, fields: Mapping[str, object]) -> list[str]:
    request = SearchRequest.model_validate(fields)
    return [
        hit.id for hit in (await retriever.search(Scope(TENANT, request.namespace), request)).hits
    ]


def _fields_of(
    dataset: EvaluationSet, question: Question, overrides: Mapping[str, object]
) -> dict[str, object]:
    """Fields of a request that asks `question` in the namespace of its conversation, overridden by
    `overrides`.
    """
    namespace = scope_of(dataset.name, question.conversation).namespace
    common = {
        "query": question.text,
        "namespace": namespace,
        "types": dataset.types,
        "as_of": question.asked_at,
    }
    return {**common, **overrides}


async def rank_updates(
    retriever: Retriever,
    dataset: EvaluationSet,
    loaded: Loaded,
    options: Mapping[str, object] | None = None,
) -> list[tuple[str, int, int]]:
    """(Question id, best rank of current evidence, best rank of outdated evidence) for each
    question that has both. options: further fields of each request.

    Evidence is outdated unless the set lists it as current. Evidence that is not among the first
    UPDATE_DEPTH hits has the rank UPDATE_DEPTH + 1.
    """
    ranks = []
    for question in dataset.questions:
        current = {loaded.ids[entry] for entry in question.current_evidence or ()}
        stale = set(evidence_of(question, loaded)) - current
        if current and stale:
            overrides = {"top_k": UPDATE_DEPTH, **(options or {})}
            ranking = await rank(retriever, dataset, question, overrides)
            ranks.append((question.id, _best_rank(ranking, current), _best_rank(ranking, stale)))
    return ranks


def _best_rank(ranking: Sequence[str], evidence: set[str]) -> int:
    return next(
        (rank for rank, name in enumerate(ranking, start=1) if name in evidence), UPDATE_DEPTH + 1
    )


def evidence_of(question: Question, loaded: Loaded) -> list[str]:
    """Ids of the stored memories that answer `question`, without duplicates."""
    return list(dict.fromkeys(loaded.ids[entry] for entry in question.evidence or ()))


def ranking_metrics(ranking: Sequence[str], evidence: Sequence[str]) -> dict[str, float]:
    """Each metric in METRICS by its name, such as MRR, for a ranking of memory ids. Only the first
    ten ids count.
    """
    return {
        "R@1": recall_at(ranking, evidence, 1),
        "R@5": recall_at(ranking, evidence, 5),
        "R@10": recall_at(ranking, evidence, 10),
        "hit@10": hit_at(ranking, evidence, 10),
        "MRR": reciprocal_rank(ranking[:10], evidence),
        "nDCG@10": ndcg_at(ranking, evidence, 10),
    }


def score_context(
    answer: RetrieveAnswer, evidence: Collection[str], budget: int, recount: Callable[[str], int]
) -> ContextScore:
    """Score the context in `answer`. recount: counts a text's tokens. Raises TypeError if the
    context is not a text.
    """
    if not isinstance(answer.context, str):
        raise TypeError("only a context that is one text can be recounted as a whole")
    shown = [item.id for item in answer.items]
    return ContextScore(
        recall=recall_at(shown, evidence, len(shown)),
        tokens=recount(answer.context),
        allowed=budget + answer.metadata.working_tokens,
        stated=answer.metadata.total_tokens,
        utilization=answer.metadata.utilization,
        left_out=answer.metadata.trimmed_count,
    )
