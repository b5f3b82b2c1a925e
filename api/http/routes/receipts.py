"""Receipts: how an answer came to be, whether that holds, and what the same question gives now."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.http.bodies import QueryFlag
from api.http.endpoint import JSON, Call, HttpRequest, answer, read_query, safe_get
from api.wiring.container import Services
from memtypes.model.errors import Unavailable
from memtypes.model.memory import Model
from retrieval.receipts.model import Receipt, ReceiptVerdict, ReplayAnswer
from retrieval.receipts.service import Receipts

TAG = "Receipts"


class ReceiptQuery(Model):
    """contents: also the entries and the context that it speaks of, for a check elsewhere."""

    contents: QueryFlag = False


class ReceiptAnswer(Receipt):
    """A receipt, with the contents that it speaks of where they were asked for."""

    contents: dict[str, object] | None = None


_GET = Call("The receipt of a retrieval", TAG, {200: ReceiptAnswer}, query=ReceiptQuery, may_fail=(404, 503))
_VERIFY = Call("Whether a receipt holds", TAG, {200: ReceiptVerdict}, may_fail=(404, 503))
_REPLAY = Call("The same retrieval at the receipt's clock, compared", TAG, {200: ReplayAnswer}, may_fail=(404, 503))


@safe_get("/v1/receipts/{receipt_id:str}", opt=_GET.opt())
async def get_receipt(
    request: HttpRequest, services: NamedDependency[Services], receipt_id: FromPath[str]
) -> Response[bytes]:
    """The receipt as it was sealed."""
    query = read_query(request, ReceiptQuery)
    kept = _receipts(services)
    text = await kept.text(request.auth.tenant, receipt_id)
    if query.contents:
        text = await kept.with_contents(request.auth.tenant, text)
    return Response(text, media_type=JSON)


@post("/v1/receipts/{receipt_id:str}/verify", opt=_VERIFY.opt(), status_code=200)
async def verify_receipt(
    request: HttpRequest, services: NamedDependency[Services], receipt_id: FromPath[str]
) -> Response[bytes]:
    """What was checked, and whether all of it held."""
    return answer(await _receipts(services).verify(request.auth.tenant, receipt_id))


@post("/v1/receipts/{receipt_id:str}/replay", opt=_REPLAY.opt(), status_code=200)
async def replay_receipt(
    request: HttpRequest, services: NamedDependency[Services], receipt_id: FromPath[str]
) -> Response[bytes]:
    """Whether the context is the same, and what changed."""
    return answer(await _receipts(services).replay(request.auth.tenant, receipt_id))


def _receipts(services: Services) -> Receipts:
    if services.receipts is None:
        raise Unavailable("receipts are kept in the live store, and this service has none")
    return services.receipts
