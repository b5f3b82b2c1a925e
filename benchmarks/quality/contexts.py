"""What a retrieved context is worth, and whether it kept its budget. Knows answers of retrieve, and no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.apparatus.metrics import answer_share, kept_share
from retrieval.answer import ContextItem, RetrieveAnswer

KEPT_ENOUGH = 0.8
"""A text that was cut counts as shown when this share of its words is left; an excerpt, when it keeps this share of the
answer's words that the whole has."""


@dataclass(frozen=True, slots=True)
class ContextScore:
    """What one context showed and cost.

    recall: share of the evidence shown. tokens: of the context, recounted. allowed: the budget, working memory's tokens
    added. told: the total that the answer states. utilization: as the answer states it. left_out: candidates that are
    not shown.
    """

    recall: float
    tokens: int
    allowed: int
    told: int
    utilization: float
    left_out: int

    @property
    def violates(self) -> bool:
        """Whether there is more than was allowed."""
        return self.tokens > self.allowed

    @property
    def understates(self) -> bool:
        """Whether there is more than the answer says."""
        return self.tokens > self.told


@dataclass(frozen=True, slots=True)
class Expected:
    """What a context should show. evidence: memory id to the text that it must show. answer: to the question, if known.

    budget: the one that was asked for.
    """

    budget: int
    evidence: Mapping[str, str]
    answer: str = ""


def score_context(answer: RetrieveAnswer, expected: Expected, recount: Callable[[str], int]) -> ContextScore:
    """`answer` scored. recount: counts tokens independently."""
    items = {item.id: item for item in answer.items}
    found = sum(one in items and _shows(items[one], text, expected.answer) for one, text in expected.evidence.items())
    metadata = answer.metadata
    return ContextScore(
        recall=found / len(expected.evidence),
        tokens=recount(_text(answer)),
        allowed=expected.budget + metadata.working_tokens,
        told=metadata.total_tokens,
        utilization=metadata.utilization,
        left_out=metadata.trimmed_count,
    )


def _shows(item: ContextItem, text: str, answer: str) -> bool:
    if item.excerpt:
        return answer_share(text, item.content, answer) >= KEPT_ENOUGH
    return not item.cut or kept_share(text, item.content) >= KEPT_ENOUGH


def _text(answer: RetrieveAnswer) -> str:
    if not isinstance(answer.context, str):
        raise TypeError("only a context that is one text can be recounted whole")
    return answer.context
