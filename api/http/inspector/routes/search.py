"""The inspector's search page, with the signals behind each hit's score, and the form that builds a context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from litestar import Response
from litestar.response import Redirect
from pydantic import Field

from api.http.inspector.charts import Segment, SignalRow, signal_bar, signal_rows
from api.http.inspector.page import LivePage, go
from api.http.inspector.view import View, namespace_in, read_address, read_form
from api.http.problems import FieldError, InvalidInput
from api.http.request import ApiRequest, InNamespace, QueryWhole
from api.http.use_cases import run_retrieve, run_search
from api.wiring.container import AppServices
from memtypes.llms.registry import MAX_BUDGET
from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Name
from retrieval.answer import SearchHit
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


@dataclass(frozen=True, slots=True)
class ShownHit:
    """A search hit as the page shows it. signals: the parts of its score. bar: the share of each part, as a bar."""

    hit: SearchHit
    bar: list[Segment]
    signals: list[SignalRow]


@View("GET /search")
async def search(request: ApiRequest, services: AppServices, page: LivePage) -> Response[str]:
    """The search page: the best memories for a query with the parts of their scores, or the errors in the form."""
    answer, shown = None, list[ShownHit]()
    errors: tuple[FieldError, ...] = ()
    try:
        asked = read_address(request, SearchAddress)
    except InvalidInput as error:
        asked = SearchAddress(namespace=namespace_in(request))
        errors = error.errors
    if asked.q is not None:
        searched = SearchRequest(
            query=asked.q,
            namespace=asked.namespace,
            types=[asked.type] if asked.type else None,
            session_id=asked.session_id,
            top_k=asked.top_k,
            explain=True,
        )
        answer = await run_search(services, request.scope_in(asked.namespace, asked.session_id), searched)
        best = max((hit.score for hit in answer.hits), default=0.0)
        for hit in answer.hits:
            rows = signal_rows(hit.signals or {}, answer.weights)
            shown.append(ShownHit(hit, signal_bar(rows, best), rows))
    return await page.show("search.html", asked, answer=answer, hits=shown, budget=DEFAULT_BUDGET, errors=errors)


@View("POST /context")
async def build_context(request: ApiRequest, services: AppServices) -> Redirect:
    """Build a context for a query and redirect to its receipt. Raises Unavailable if no receipt could be recorded."""
    form = await read_form(request, ContextForm)
    scope = request.agent_scope(form.namespace, form.session_id)
    asked = RetrieveRequest(
        query=form.q,
        namespace=form.namespace,
        session_id=form.session_id,
        agent_id=request.auth.agent(None),  # a key of one agent may read the receipts of that agent alone
        budget=form.budget,
    )
    answer = await run_retrieve(services, scope, asked)
    if answer.receipt_id is None:
        raise Unavailable("the context was built, but its receipt could not be recorded: the live store is away")
    return go("/receipt", namespace=form.namespace, id=answer.receipt_id)
