"""Search, retrieval in a budget, and the receipts of retrievals."""

from __future__ import annotations

from litestar import Response
from litestar.params import JSONBody

from api.http.endpoint import Endpoint, Params, PathId
from api.http.queries import retrieve, search
from api.http.request import JSON, ApiRequest
from api.http.shapes import QueryFlag
from api.wiring.container import AppServices, Services
from memtypes.model.errors import Unavailable
from memtypes.model.memory import Model
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.receipts.model import Receipt, ReceiptVerdict, ReplayAnswer
from retrieval.receipts.service import Receipts


@Endpoint("POST /v1/search", "The best memories for a query, ranked", errors=(503,))
async def post_search(request: ApiRequest, services: AppServices, data: JSONBody[SearchRequest]) -> SearchAnswer:
    """Hits, best first."""
    return await search(services, request.auth.tenant, data)


@Endpoint("POST /v1/retrieve", "A context for a query that fits a budget of tokens", errors=(503,))
async def post_retrieve(request: ApiRequest, services: AppServices, data: JSONBody[RetrieveRequest]) -> RetrieveAnswer:
    """The context, its items and their cost."""
    return await retrieve(services, request.auth.tenant, data)


class ReceiptQuery(Model):
    """contents: also return the entries and the context, for a check elsewhere."""

    contents: QueryFlag = False


class ReceiptAnswer(Receipt):
    """A receipt, with its contents where they were asked for."""

    contents: dict[str, object] | None = None


@Endpoint("GET /v1/receipts/{receipt_id}", "The receipt of a retrieval", also={200: ReceiptAnswer}, errors=(404, 503))
async def get_receipt(
    request: ApiRequest, services: AppServices, params: Params[ReceiptQuery], receipt_id: PathId
) -> Response[bytes]:
    """The receipt as the text that was sealed."""
    receipts = _receipts(services)
    text = await receipts.text(request.auth.tenant, receipt_id)
    if params.contents:
        text = await receipts.with_contents(request.auth.tenant, text)
    return Response(text, media_type=JSON)


@Endpoint("POST /v1/receipts/{receipt_id}/verify", "Check a receipt", errors=(404, 503))
async def verify_receipt(request: ApiRequest, services: AppServices, receipt_id: PathId) -> ReceiptVerdict:
    """Each check and whether all of them passed."""
    return await _receipts(services).verify(request.auth.tenant, receipt_id)


@Endpoint(
    "POST /v1/receipts/{receipt_id}/replay",
    "Repeat a retrieval at the receipt's clock and compare",
    errors=(404, 503),
)
async def replay_receipt(request: ApiRequest, services: AppServices, receipt_id: PathId) -> ReplayAnswer:
    """Whether the context is the same, and each change."""
    return await _receipts(services).replay(request.auth.tenant, receipt_id)


def _receipts(services: Services) -> Receipts:
    if services.receipts is None:
        raise Unavailable("receipts need the live store, and this service has none")
    return services.receipts
