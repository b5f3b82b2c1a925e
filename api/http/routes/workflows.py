"""HTTP calls on workflows: append events to a log, read the state that results from the events, continue a workflow."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from functools import partial

from litestar.params import JSONBody

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.request import ApiRequest, InNamespace
from api.http.shapes.workflows import (
    BegunAnswer,
    ContinueAnswer,
    CountedHistory,
    EventAnswer,
    EventsAnswer,
    EventsQuery,
    HistoryQuery,
    LoggedEvent,
    ResourcesAnswer,
    StateQuery,
    WorkflowAnswer,
    WorkflowChainAnswer,
    WorkflowHistoryAnswer,
    WorkflowLink,
    WorkflowPost,
    WorkflowsAnswer,
    WorkflowsQuery,
    WorkflowStateAnswer,
)
from api.wiring.container import AppServices, Services
from ingest.workflows.engine import DEFAULT_BUDGET, ResumeRequest
from ingest.workflows.history import HistoryView, WorkflowHistory
from memtypes.live.workflows import NewEvent
from memtypes.ports.workflows import WorkflowListing
from retrieval.context.model_count import BuiltContext, CountedContext, within_model_budget

_READ_ERRORS = (404, 503)
_WRITE_ERRORS = (404, 409, 503)


@Endpoint("POST /v1/workflows", role=Role.WRITER, status=201, errors=_WRITE_ERRORS)
async def post_workflow(request: ApiRequest, services: AppServices, data: JSONBody[WorkflowPost]) -> BegunAnswer:
    """Begin a workflow.

    An API key that is bound to agents can end the workflow later only if the key's agent began it.
    """
    scope = request.agent_scope(data.namespace, agent_id=data.agent, field="agent")
    workflow_id, redactions = await services.workflows.create(scope, data)
    return BegunAnswer(workflow_id=workflow_id, version=0, redactions=redactions)


@Endpoint("GET /v1/workflows", errors=(503,))
async def list_workflows(request: ApiRequest, services: AppServices, params: Params[WorkflowsQuery]) -> WorkflowsAnswer:
    """List workflows, latest created first."""
    listing = WorkflowListing(params.status, params.parent_id, params.limit, params.cursor)
    page = await services.workflows.store.page(request.scope_in(params.namespace), listing)
    return WorkflowsAnswer.model_validate(page, from_attributes=True)


@Endpoint("POST /v1/workflows/{workflow_id}/events", role=Role.WRITER, status=201, errors=_WRITE_ERRORS)
async def post_event(
    request: ApiRequest,
    services: AppServices,
    params: Params[InNamespace],
    workflow_id: PathId,
    data: JSONBody[NewEvent],
) -> EventAnswer:
    """Append an event to a workflow.

    An event that ends the workflow also stores a record of the workflow as memories. An event that names no agent gets
    the agent that the API key is bound to.
    """
    scope = request.agent_scope(params.namespace, agent_id=data.agent, field="agent")
    version, redactions, ended = await services.workflows.append(scope, workflow_id, data)
    return EventAnswer(version=version, redactions=redactions, **asdict(ended))


@Endpoint("GET /v1/workflows/{workflow_id}", errors=_READ_ERRORS)
async def get_workflow(
    request: ApiRequest, services: AppServices, params: Params[StateQuery], workflow_id: PathId
) -> WorkflowAnswer:
    """Read a workflow and its state."""
    scope = request.scope_in(params.namespace)
    log = await services.workflows.store.load(scope, workflow_id, params.at_version)
    state, version = WorkflowStateAnswer(**log.state.members()), log.state.version
    return WorkflowAnswer(
        workflow_id=workflow_id, parent_id=log.parent_id, on_end=log.on_end, version=version, state=state
    )


@Endpoint("GET /v1/workflows/{workflow_id}/chain", errors=_READ_ERRORS)
async def get_workflow_chain(services: AppServices, namespace: QueryScope, workflow_id: PathId) -> WorkflowChainAnswer:
    """List a workflow and the workflows that it continues."""
    logs = await services.workflows.chain(namespace, workflow_id)
    gap = len(logs) <= len(logs[-1].ancestors)
    return WorkflowChainAnswer(workflows=[WorkflowLink.of(log) for log in logs], gap=gap, cycle=False)


@Endpoint("GET /v1/workflows/{workflow_id}/resources", errors=_READ_ERRORS)
async def get_workflow_resources(services: AppServices, namespace: QueryScope, workflow_id: PathId) -> ResourcesAnswer:
    """List the resources (named values) of a workflow and its ancestors."""
    resources = await services.workflows.resources(namespace, workflow_id)
    return ResourcesAnswer.model_validate({"resources": resources}, from_attributes=True)


@Endpoint("GET /v1/workflows/{workflow_id}/events", errors=_READ_ERRORS)
async def get_events(
    request: ApiRequest, services: AppServices, params: Params[EventsQuery], workflow_id: PathId
) -> EventsAnswer:
    """List the events of a workflow."""
    scope = request.scope_in(params.namespace)
    later = await services.workflows.store.events(scope, workflow_id, params.after, params.limit + 1)
    page = later[: params.limit]
    next_after = page[-1].version if len(page) < len(later) else None
    return EventsAnswer(events=[LoggedEvent(**event.members()) for event in page], next_after=next_after)


@Endpoint("GET /v1/workflows/{workflow_id}/history", errors=_READ_ERRORS)
async def get_workflow_history(
    request: ApiRequest, services: AppServices, params: Params[HistoryQuery], workflow_id: PathId
) -> WorkflowHistoryAnswer:
    """Write the history of a workflow and its ancestors as text, in a token budget.

    The text has the current values of the workflow's data and resources, and the newest events.
    """
    view = _view(services, params)
    read = partial(services.workflows.history, request.scope_in(params.namespace), workflow_id)
    counted = await _counted(services, params.model, view, read)
    return WorkflowHistoryAnswer.of(counted, view)


@Endpoint("POST /v1/workflows/{workflow_id}/continue", role=Role.WRITER, errors=_WRITE_ERRORS)
async def post_continue(
    request: ApiRequest,
    services: AppServices,
    params: Params[InNamespace],
    workflow_id: PathId,
    data: JSONBody[ResumeRequest],
) -> ContinueAnswer:
    """Continue a workflow: append the input as its next event, and return its history in a token budget."""
    scope = request.agent_scope(params.namespace, agent_id=data.agent, field="agent")
    view, counted = _view(services, data), None
    if services.counter is not None and data.model is not None and services.counter.counts(data.model):
        counted = await _counted(services, data.model, view, partial(services.workflows.history, scope, workflow_id))
        view = replace(view, margin=counted.margin)
    history, version, redactions = await services.workflows.resume(scope, workflow_id, data, view)
    if counted is None or counted.value[0] != history:  # events came between, or the call is repeated
        counted = CountedContext((history, version), view.margin)
    else:
        counted = replace(counted, value=(history, version))
    return ContinueAnswer.of(counted, view, redactions=redactions)


def _view(services: Services, asked: HistoryQuery | ResumeRequest) -> HistoryView:
    """Options for writing a history: those of `asked`, completed with the tokenizer, margin and budget of its model."""
    tokenizer, margin, budget = services.workflows.tokenizer, 0.0, DEFAULT_BUDGET
    if asked.model is not None:
        model = services.models().find(asked.model)
        tokenizer, margin = services.tokenizers.get(model.tokenizer, tokenizer), model.margin
        budget = model.allocation.history if model.allocation else budget
    return HistoryView(budget if asked.budget is None else asked.budget, tokenizer, margin, asked.versions)


async def _counted(
    services: Services,
    model: str | None,
    view: HistoryView,
    read: Callable[[HistoryView], Awaitable[tuple[WorkflowHistory, int]]],
) -> CountedHistory:
    """The workflow history that `read` writes, its version (number of an event), and its token count.

    If the model's provider counts tokens, the history is shortened until the provider's count fits `view.budget`.
    """

    async def build(margin: float) -> BuiltContext[tuple[WorkflowHistory, int]]:
        written, version = await read(replace(view, margin=margin))
        tokens = math.ceil(written.total_tokens / (1.0 + margin))
        return BuiltContext((written, version), written.text, tokens, view.budget)

    return await within_model_budget(services.counter, model, view.margin, build)
