"""HTTP calls that classify or review a text without storing it as a memory."""

from __future__ import annotations

from litestar.params import JSONBody

from api.http.endpoint import Endpoint
from api.http.request import ApiRequest
from api.http.shapes.memories import ClassifyAnswer
from api.wiring.container import AppServices
from memtypes.model.memory import Decision, StrictModel, Text, Tier, Vote
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from retrieval.answer import Answer


class ClassifyBody(StrictModel):
    """A text whose memory type to find. context: text around it, such as the rest of the
    conversation.
    """

    content: Text
    context: Text | None = None


class ReviewBody(StrictModel):
    """A text to review as a possible memory of a namespace.

    type: its memory type, which the service finds if it is left out. A type that the rules exclude
    is rejected.
    """

    content: Text
    namespace: Name
    type: MemoryType | None = None


class ReviewAnswer(Answer):
    """The decision whether to store a text, and each reviewer's vote.

    redacted: whether secrets were removed before the review. redactions: their number by kind.
    """

    decision: Decision
    importance: float | None
    relevance: float | None
    novelty: float | None
    reason: str
    tier: Tier
    votes: tuple[Vote, ...]
    redacted: bool
    redactions: dict[str, int]


@Endpoint("POST /v1/classify", errors=(503,))
async def post_classify(
    request: ApiRequest, services: AppServices, data: JSONBody[ClassifyBody]
) -> ClassifyAnswer:
    """Find the memory type of a text."""
    classified = await services.examiner.classify(request.auth.tenant, data.content, data.context)
    parts = await services.examiner.parts(request.auth.tenant, data.content, classified.type)
    return ClassifyAnswer.from_classification(classified, parts)


@Endpoint("POST /v1/review", errors=(503,))
async def post_review(
    request: ApiRequest, services: AppServices, data: JSONBody[ReviewBody]
) -> ReviewAnswer:
    """Review whether a text is worth storing as a memory."""
    scope = request.scope_in(data.namespace)
    examined = await services.examiner.review(scope, data.content, data.type)
    redactions = dict(examined.counts)
    return ReviewAnswer(**dict(examined.value), redacted=bool(redactions), redactions=redactions)
