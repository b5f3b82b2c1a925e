"""Calls that search memories, retrieve a context in a token budget, and read and check receipts of retrievals.

A receipt stores the query, so secrets are redacted from queries as they are from texts that are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from litestar import Response
from litestar.params import JSONBody

from api.auth.keys import Caller
from api.http.endpoint import Endpoint, Params, PathId
from api.http.request import JSON, ApiRequest, QueryFlag
from api.wiring.container import AppServices, Services
from ingest.screening.redaction.redactor import ID_FIELDS
from memtypes.model.errors import AccessDenied
from memtypes.model.filters import parse_filter
from memtypes.model.memory import Model
from memtypes.model.scope import Scope
from memtypes.offload import offload
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.query.request import RankedRequest, RetrieveRequest, SearchRequest
from retrieval.receipts.model import Receipt, ReceiptVerdict, ReplayAnswer
from retrieval.receipts.service import Receipts

RequestT = TypeVar("RequestT", bound=RankedRequest)


@Endpoint("POST /v1/search", "The best memories for a query, ranked", errors=(503,))
async def post_search(request: ApiRequest, services: AppServices, data: JSONBody[SearchRequest]) -> SearchAnswer:
    """The hits, best first."""
    return await run_search(services, _scope(request, data), data)


@Endpoint("POST /v1/retrieve", "A context for a query that fits a budget of tokens", errors=(503,))
async def post_retrieve(request: ApiRequest, services: AppServices, data: JSONBody[RetrieveRequest]) -> RetrieveAnswer:
    """The context, the memories in it, and their tokens."""
    return await run_retrieve(services, _scope(request, data), data)


async def run_search(services: Services, scope: Scope, request: SearchRequest) -> SearchAnswer:
    """Search with the secrets in the query redacted. Raises InvalidRequest or Unavailable."""
    answer = await services.retriever.search(scope, await redact_query(services, scope.tenant, request))
    services.metrics.note_context("search", 0, answer.degraded)
    return answer


async def run_retrieve(services: Services, scope: Scope, request: RetrieveRequest) -> RetrieveAnswer:
    """Retrieve with the secrets in the query redacted. Raises InvalidRequest or Unavailable."""
    answer = await services.retriever.retrieve(scope, await redact_query(services, scope.tenant, request))
    services.metrics.note_context("retrieve", answer.metadata.total_tokens, answer.metadata.degraded)
    return answer


def _scope(request: ApiRequest, asked: RankedRequest) -> Scope:
    return request.agent_scope(asked.namespace, asked.session_id, asked.agent_id)


async def redact_query(services: Services, tenant: str, request: RequestT) -> RequestT:
    """`request` with secrets removed from query and filters by the tenant's rules. Ids are not changed.

    Raises InvalidRequest for a malformed filter or a secret in an id, and Unavailable when redaction could not run.
    """
    if request.filters is not None:
        parse_filter(request.filters)  # first, because it limits how much text there is to redact
    redactor = services.examiner.redactor
    ids = {name: getattr(request, name, None) for name in ("session_id", "agent_id", "todo_id")}
    redactor.check_ids(tenant, ids | {"filters": list(_filtered_ids(request.filters))})

    def redact(text: str) -> str:
        redacted: str = redactor.clean_query(tenant, text).value
        return redacted

    def redact_all() -> dict[str, Any]:
        return {"query": redact(request.query), "filters": _redacted_filter(request.filters, redact)}

    changes = await offload([request.query, str(request.filters)], redact_all)
    return request.model_copy(update={name: new for name, new in changes.items() if new != getattr(request, name)})


def _redacted_filter(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: part if name in ID_FIELDS else _redacted_filter(part, redact) for name, part in value.items()}
    if isinstance(value, list):
        return [_redacted_filter(part, redact) for part in value]
    return redact(value) if isinstance(value, str) else value


def _filtered_ids(value: Any, *, inside: bool = False) -> Iterator[str]:
    """The values with which the filter `value` compares id fields. inside: whether it is part of such a comparison."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _filtered_ids(part, inside=inside or name in ID_FIELDS or name.startswith("links."))
    elif isinstance(value, list):
        for part in value:
            yield from _filtered_ids(part, inside=inside)
    elif inside and isinstance(value, str):
        yield value


class ReceiptQuery(Model):
    """Query parameters of a receipt. contents: also return its entries and context, for a check outside the service."""

    contents: QueryFlag = False


class ReceiptAnswer(Receipt):
    """A receipt. contents: the entries and the context, if the query asks for them."""

    contents: dict[str, object] | None = None


@Endpoint("GET /v1/receipts/{receipt_id}", "The receipt of a retrieval", also={200: ReceiptAnswer}, errors=(404, 503))
async def get_receipt(
    request: ApiRequest, services: AppServices, params: Params[ReceiptQuery], receipt_id: PathId
) -> Response[bytes]:
    """The receipt as the exact JSON text that was stored; with its contents if the query asks for them."""
    receipts = await receipts_with(services, request.auth, receipt_id)
    text = await receipts.text(request.auth.tenant, receipt_id)
    if params.contents:
        text = await receipts.with_contents(request.auth.tenant, text)
    return Response(text, media_type=JSON)


@Endpoint("POST /v1/receipts/{receipt_id}/verify", "Check a receipt", errors=(404, 503))
async def verify_receipt(request: ApiRequest, services: AppServices, receipt_id: PathId) -> ReceiptVerdict:
    """Each check of the receipt, and whether all passed."""
    receipts = await receipts_with(services, request.auth, receipt_id)
    return await receipts.verify(request.auth.tenant, receipt_id)


@Endpoint(
    "POST /v1/receipts/{receipt_id}/replay",
    "Repeat a retrieval at the receipt's clock and compare",
    errors=(404, 503),
)
async def replay_receipt(request: ApiRequest, services: AppServices, receipt_id: PathId) -> ReplayAnswer:
    """Whether the repeated retrieval gives the same context, and what changed."""
    receipts = await receipts_with(services, request.auth, receipt_id)
    return await receipts.replay(request.auth.tenant, receipt_id, bound=bool(request.auth.agents))


async def receipts_with(services: Services, caller: Caller, receipt_id: str) -> Receipts:
    """The service's receipts, after a check that `caller` may read the receipt `receipt_id`.

    Raises Unavailable, NotFound, or AccessDenied if the caller's key is bound to other agents than the receipt's.
    """
    if caller.agents:
        text = await services.receipts.text(caller.tenant, receipt_id)
        asked_by = Receipt.model_validate_json(text).request.get("agent_id")
        if asked_by not in caller.agents:
            raise AccessDenied("this receipt is of a retrieval by another agent")
    return services.receipts
