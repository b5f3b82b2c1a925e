"""The inspector's search page, with the signals behind each hit's score, and the form that builds a
context.
"""

from __future__ import annotations

from typing import Annotated

from litestar.response import Redirect
from pydantic import Field

from api.http.endpoint import Params
from api.http.inspector.page import Html, Page, redirect
from api.http.inspector.view import View, namespace_in, read_address
from api.http.problems import FieldError, InvalidInput
from api.http.request import ApiRequest, InNamespace, QueryWhole
from api.http.use_cases import run_retrieve, run_search
from api.wiring.container import AppServices
from memtypes.llms.registry import MAX_BUDGET
from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from retrieval.query.request import Query, RetrieveRequest, SearchRequest

DEFAULT_BUDGET = 1_500


class SearchAddress(InNamespace):
    """Parameters of the search page. q: the query; without it, the page shows only the form."""

    q: Query | None = None
    type: MemoryType | None = None
    session_id: Name | None = None
    top_k: Annotated[QueryWhole, Field(ge=1, le=100)] = 10


class ContextForm(InNamespace):
    """The form that builds a context for the query `q` in `budget` tokens."""

    q: Query
    session_id: Name | None = None
    budget: Annotated[QueryWhole, Field(ge=0, le=MAX_BUDGET)] = DEFAULT_BUDGET


@View("GET /search")
async def search(request: ApiRequest, services: AppServices, page: Page) -> Html:
    """The search page: the best memories for a query with the parts of their scores, or the errors
    in the form.
    """
    answer = None
    errors = tuple[FieldError, ...]()
    try:
        params = read_address(request, SearchAddress)
    except InvalidInput as error:
        params = SearchAddress(namespace=namespace_in(request))
        errors = error.errors
    if params.q is not None:
        search_request = SearchRequest(
            query=params.q,
            namespace=params.namespace,
            types=[params.type] if params.type else None,
            session_id=params.session_id,
            top_k=params.top_k,
            explain=True,
        )
        answer = await run_search(
            services, request.scope_in(params.namespace, params.session_id), search_request
        )
    return await page.show(
        "search.html", params, answer=answer, budget=DEFAULT_BUDGET, errors=errors
    )


@View("POST /context")
async def build_context(
    request: ApiRequest, services: AppServices, params: Params[ContextForm]
) -> Redirect:
    """Build a context for a query and redirect to its receipt. Raises Unavailable if no receipt
    could be recorded.
    """
    retrieve_request = RetrieveRequest(
        query=params.q,
        namespace=params.namespace,
        session_id=params.session_id,
        # A key of one agent may read the receipts of that agent alone
        agent_id=request.auth.agent(None),
        budget=params.budget,
    )
    answer = await run_retrieve(
        services, request.agent_scope(params.namespace, params.session_id), retrieve_request
    )
    if answer.receipt_id is None:
        raise Unavailable(
            "the context was built, but its receipt could not be recorded: the live store is away"
        )
    return redirect("/receipt", namespace=params.namespace, id=answer.receipt_id)
