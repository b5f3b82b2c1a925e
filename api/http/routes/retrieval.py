"""HTTP calls that search memories, retrieve a context in a token budget, and read and check
receipts.

A receipt records a retrieval: its query, its candidates and what became of each.
"""

from __future__ import annotations

from litestar import Response
from litestar.params import JSONBody

from api.http.endpoint import Endpoint, Params, PathId
from api.http.request import JSON, ApiRequest, QueryFlag
from api.http.use_cases import readable_receipts, run_retrieve, run_search
from api.wiring.container import AppServices
from memtypes.model.memory import StrictModel
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.receipts.model import Receipt, ReceiptVerdict, ReplayAnswer


@Endpoint("POST /v1/search", errors=(503,))
async def post_search(
    request: ApiRequest, services: AppServices, data: JSONBody[SearchRequest]
) -> SearchAnswer:
    """Search for the best memories for a query, ranked."""
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    return await run_search(services, scope, data)


@Endpoint("POST /v1/retrieve", errors=(503,))
async def post_retrieve(
    request: ApiRequest, services: AppServices, data: JSONBody[RetrieveRequest]
) -> RetrieveAnswer:
    """Retrieve a context for a query, within a token budget."""
    scope = request.agent_scope(data.namespace, data.session_id, data.agent_id)
    return await run_retrieve(services, scope, data)


class ReceiptQuery(StrictModel):
    """Query parameters for reading a receipt. contents: also return the texts of its memories and
    its context.
    """

    contents: QueryFlag = False


class ReceiptAnswer(Receipt):
    """A receipt of a retrieval. contents: the texts of its memories and its context; absent unless
    requested.
    """

    contents: dict[str, object] | None = None


@Endpoint("GET /v1/receipts/{receipt_id}", answers={200: ReceiptAnswer}, errors=(404, 503))
async def get_receipt(
    request: ApiRequest, services: AppServices, params: Params[ReceiptQuery], receipt_id: PathId
) -> Response[bytes]:
    """Read the receipt of a retrieval.

    The answer is the exact JSON text that was stored. With `contents=true`, the context and the
    texts of its memories are added, so that the receipt can be checked without the service.
    """
    receipts = await readable_receipts(services, request.auth, receipt_id)
    text = await receipts.text(request.auth.tenant, receipt_id)
    if params.contents:
        text = await receipts.with_contents(request.auth.tenant, text)
    return Response(text, media_type=JSON)


@Endpoint("POST /v1/receipts/{receipt_id}/verify", errors=(404, 503))
async def verify_receipt(
    request: ApiRequest, services: AppServices, receipt_id: PathId
) -> ReceiptVerdict:
    """Check that a receipt was not altered and agrees with the stored memories."""
    receipts = await readable_receipts(services, request.auth, receipt_id)
    return await receipts.verify(request.auth.tenant, receipt_id)


@Endpoint("POST /v1/receipts/{receipt_id}/replay", errors=(404, 503))
async def replay_receipt(
    request: ApiRequest, services: AppServices, receipt_id: PathId
) -> ReplayAnswer:
    """Repeat a receipt's retrieval as of the time of the receipt, and compare the results."""
    receipts = await readable_receipts(services, request.auth, receipt_id)
    return await receipts.replay(request.auth.tenant, receipt_id, bound=bool(request.auth.agents))
