"""What would become of a text: its type, and the reviewers' decision. Nothing is written."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency

from api.http.answers import ClassifyAnswer, ReviewAnswer, classify_answer, review_answer
from api.http.bodies import CLASSIFY, REVIEW
from api.http.endpoint import Call, HttpRequest, answer, read_body, scope_of
from api.wiring.container import Services
from ingest.screening.examine import Examiner
from memtypes.model.errors import Unavailable

TAG = "Ingestion without writing"

_CLASSIFY = Call("Find the type of a text", TAG, {200: ClassifyAnswer}, body=CLASSIFY, may_fail=(503,))
_REVIEW = Call("Review a text", TAG, {200: ReviewAnswer}, body=REVIEW, may_fail=(503,))


@post("/v1/classify", opt=_CLASSIFY.opt(), status_code=200)
async def post_classify(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The type, with its reason, the alternatives, and parts of other types."""
    asked = await read_body(request, CLASSIFY)
    examiner = _examiner(services)
    found = await examiner.classify(request.auth.tenant, asked.content, asked.context)
    parts = await examiner.parts(request.auth.tenant, asked.content)
    shown = [{"type": kind, "content": part} for kind, part in parts]
    return answer({**classify_answer(found), "parts": shown})


@post("/v1/review", opt=_REVIEW.opt(), status_code=200)
async def post_review(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The decision, with each vote."""
    asked = await read_body(request, REVIEW)
    scope = scope_of(request, asked.namespace)
    return answer(review_answer(await _examiner(services).review(scope, asked.content, asked.type)))


def _examiner(services: Services) -> Examiner:
    if services.examiner is None:
        raise Unavailable("nothing here classifies or reviews")
    return services.examiner
