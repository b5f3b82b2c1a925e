"""The two questions: what is known about this (search), and what belongs into a prompt of this size (retrieve)."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from pydantic import TypeAdapter

from api.http.endpoint import Call, HttpRequest, answer, read_body
from api.http.queries import retrieved, searched
from api.wiring.container import Services
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.query.request import RetrieveRequest, SearchRequest

TAG = "Search"
SEARCH: TypeAdapter[SearchRequest] = TypeAdapter(SearchRequest)
RETRIEVE: TypeAdapter[RetrieveRequest] = TypeAdapter(RetrieveRequest)

_SEARCH = Call("The best memories for a query, ranked", TAG, {200: SearchAnswer}, body=SEARCH, may_fail=(503,))
_RETRIEVE = Call(
    "A context for a query that fits a budget of tokens", TAG, {200: RetrieveAnswer}, body=RETRIEVE, may_fail=(503,)
)


@post("/v1/search", opt=_SEARCH.opt(), status_code=200)
async def post_search(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """Hits, best first."""
    return answer(await searched(services, request.auth.tenant, await read_body(request, SEARCH)))


@post("/v1/retrieve", opt=_RETRIEVE.opt(), status_code=200)
async def post_retrieve(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """A context, what is in it, and what it cost."""
    return answer(await retrieved(services, request.auth.tenant, await read_body(request, RETRIEVE)))
