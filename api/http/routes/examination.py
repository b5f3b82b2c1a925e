"""Calls that classify or review a text without storing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from litestar.params import JSONBody

from api.http.endpoint import Endpoint
from api.http.request import ApiRequest
from api.wiring.container import AppServices
from ingest.screening.submission import Classification
from memtypes.model.memory import Decision, Model, Text, Tier, Vote
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from retrieval.answer import Answer, OmittedIfNone


class ClassifyBody(Model):
    """A text to classify. context: text that surrounds it."""

    content: Text
    context: Text | None = None


class ReviewBody(Model):
    """A text to review as a memory of a namespace. type: its memory type, if known."""

    content: Text
    namespace: Name
    type: MemoryType | None = None


class Alternative(Answer):
    """Another memory type that a text may have, and how likely."""

    type: MemoryType
    confidence: float


class TextPart(Answer):
    """A part of a text, with the memory type of that part."""

    type: MemoryType
    content: str


class ClassifyAnswer(Answer):
    """The memory type of a text and the reason for it. The confidences of all types sum to 1."""

    type: MemoryType
    confidence: float
    reason: str
    alternatives: list[Alternative]
    parts: OmittedIfNone[list[TextPart]] = None

    @classmethod
    def of(cls, classified: Classification, parts: Sequence[tuple[MemoryType, str]] | None = None) -> Self:
        """The answer for the result `classified`; `parts`: type and text of each of its parts."""
        return cls(
            type=classified.type,
            confidence=classified.confidence,
            reason=classified.reason,
            alternatives=[Alternative(type=kind, confidence=score) for kind, score in classified.alternatives],
            parts=None if parts is None else [TextPart(type=kind, content=content) for kind, content in parts],
        )


class ReviewAnswer(Answer):
    """The decision on a text and each reviewer's vote. redacted: whether secrets were removed before the review."""

    decision: Decision
    importance: float | None
    relevance: float | None
    novelty: float | None
    reason: str
    tier: Tier
    votes: tuple[Vote, ...]
    redacted: bool
    redactions: dict[str, int]


@Endpoint("POST /v1/classify", "Find the type of a text", errors=(503,))
async def post_classify(request: ApiRequest, services: AppServices, data: JSONBody[ClassifyBody]) -> ClassifyAnswer:
    """The type of the text with its reason, the alternatives, and the parts of other types."""
    classified = await services.examiner.classify(request.auth.tenant, data.content, data.context)
    parts = await services.examiner.parts(request.auth.tenant, data.content, classified.type)
    return ClassifyAnswer.of(classified, parts)


@Endpoint("POST /v1/review", "Review a text", errors=(503,))
async def post_review(request: ApiRequest, services: AppServices, data: JSONBody[ReviewBody]) -> ReviewAnswer:
    """The decision on the text, with each reviewer's vote."""
    scope = request.scope_in(data.namespace)
    examined = await services.examiner.review(scope, data.content, data.type)
    redactions = dict(examined.counts)
    return ReviewAnswer(**dict(examined.value), redacted=bool(redactions), redactions=redactions)
