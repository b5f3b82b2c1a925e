"""Asks every question of a set, in two ways: of its right types only, and of all types. Knows retrieval's two calls.

A question's evidence is a set of memories: corpus ids that merged into one memory are one piece of evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import anyio

from benchmarks.apparatus.metrics import all_at, hit_at, ndcg_at, recall_at, reciprocal_rank
from benchmarks.quality.contexts import ContextScore, Expected, score_context
from benchmarks.sets.data import Conversation, EvaluationSet, Question
from benchmarks.sets.loading import Loaded, scope_of
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.retriever import Retriever

RECALL_BUDGETS = (500, 1_000, 2_000, 4_000)
VIOLATION_BUDGETS = (0, 1, 50, 500, 1_000, 4_000, 8_000)
_AT_ONCE = 2
"""Questions under way at a time: one is ranked here while the engine searches for the other."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How questions are asked; None leaves it to the service.

    sample: so many of a set's are asked with the budgets that only violations need; None for all. oversize: what
    becomes of a memory that is larger than its room.
    """

    profile: str | None = None
    sample: int | None = None
    oversize: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Who is asked, who counts tokens independently, and in what manner."""

    retriever: Retriever
    recount: Callable[[str], int]
    manner: Manner = Manner()


@dataclass(frozen=True, slots=True)
class WayScore:
    """One question asked in one way. figures: of its ranking; contexts: by budget."""

    figures: Mapping[str, float]
    contexts: Mapping[int, ContextScore]


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """One question asked in both ways."""

    question: Question
    right: WayScore
    every: WayScore


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with what it takes to ask and to score it.

    as_of: the same in both ways and every budget, so that it is searched for once. evidence: memory id to text.
    """

    question: Question
    scope: Scope
    as_of: datetime
    evidence: Mapping[str, str]
    budgets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """Every `of`-th question, from the one at `first` on."""

    first: int = 0
    of: int = 1


async def evaluate(
    evaluation: Evaluation, asked: EvaluationSet, loaded: Loaded, share: Share = Share()
) -> list[QuestionScore]:
    """A score for each question of `share`, in the order of the set."""
    scores: dict[int, QuestionScore] = {}
    limiter = anyio.Semaphore(_AT_ONCE)

    async def score(index: int, one: _Asked) -> None:
        async with limiter:
            scores[index] = await _score(evaluation, one, asked.types)

    async with anyio.create_task_group() as tasks:
        mine = islice(_all_asked(evaluation, asked, loaded), share.first, None, share.of)
        for index, one in enumerate(mine):
            tasks.start_soon(score, index, one)
    return [scores[index] for index in range(len(scores))]


def _all_asked(evaluation: Evaluation, asked: EvaluationSet, loaded: Loaded) -> Iterator[_Asked]:
    every = sorted({*RECALL_BUDGETS, *VIOLATION_BUDGETS})
    sample = evaluation.manner.sample
    limit = asked.questions if sample is None else sample
    chosen = {index * asked.questions // limit for index in range(limit)} if limit else set()
    now = datetime.now(UTC)
    pairs = ((conversation, question) for conversation in asked.conversations for question in conversation.questions)
    for index, (conversation, question) in enumerate(pairs):
        budgets = tuple(every) if index in chosen else RECALL_BUDGETS
        scope = scope_of(asked.name, conversation.name)
        evidence = evidence_of(question, conversation, loaded)
        yield _Asked(question, scope, question.asked_at or now, evidence, budgets)


def evidence_of(question: Question, conversation: Conversation, loaded: Loaded) -> dict[str, str]:
    """The memories that answer `question`, with their texts."""
    wanted = set(question.evidence)
    ids = loaded.ids[conversation.name]
    return {ids[entry.id]: entry.text for entry in conversation.corpus if entry.id in wanted}


async def _score(evaluation: Evaluation, one: _Asked, types: Iterable[MemoryType]) -> QuestionScore:
    right = await _score_way(evaluation, one, list(types))
    every = await _score_way(evaluation, one, None)
    return QuestionScore(one.question, right, every)


async def _score_way(evaluation: Evaluation, one: _Asked, types: list[MemoryType] | None) -> WayScore:
    common = {
        "query": one.question.text,
        "namespace": one.scope.namespace,
        "types": types,
        "as_of": one.as_of,
        "profile": evaluation.manner.profile,
    }
    room = {"oversize": evaluation.manner.oversize} if evaluation.manner.oversize else {}
    ranked = await evaluation.retriever.search(one.scope, SearchRequest(**common, top_k=10))
    contexts = {}
    for budget in one.budgets:
        request = RetrieveRequest.model_validate({**common, **room, "budget": budget})
        answer = await evaluation.retriever.retrieve(one.scope, request)
        expected = Expected(budget, one.evidence, one.question.answer)
        contexts[budget] = score_context(answer, expected, evaluation.recount)
    return WayScore(rank_figures([hit.id for hit in ranked.hits], list(one.evidence)), contexts)


def rank_figures(ranking: list[str], evidence: list[str]) -> dict[str, float]:
    """The figures of a ranking by name; MRR looks at ten ranks, as the others do."""
    return {
        "R@5": recall_at(ranking, evidence, 5),
        "R@10": recall_at(ranking, evidence, 10),
        "hit@10": hit_at(ranking, evidence, 10),
        "all@10": all_at(ranking, evidence, 10),
        "MRR": reciprocal_rank(ranking[:10], evidence),
        "nDCG@10": ndcg_at(ranking, evidence, 10),
    }
