"""Calls on workflows: append events to a log, read the state that results from them, and continue a workflow."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from litestar.di import NamedDependency
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
    ListedWorkflow,
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
from ingest.workflows.engine import DEFAULT_BUDGET, ResumeRequest, Workflows
from ingest.workflows.history import HistoryView, WorkflowHistory
from memtypes.live.workflows import NewEvent
from memtypes.ports.workflows import WorkflowListing
from retrieval.context.model_count import BuiltContext, CountedContext, within_model_budget

_READ_ERRORS = (404, 503)
_WRITE_ERRORS = (404, 409, 503)


LiveWorkflows: TypeAlias = NamedDependency[Workflows]


def live_workflows(services: AppServices) -> Workflows:
    """The service's workflows, for handlers."""
    return services.workflows


@Endpoint("POST /v1/workflows", "Begin a workflow", role=Role.WRITER, status=201, errors=_WRITE_ERRORS)
async def post_workflow(request: ApiRequest, workflows: LiveWorkflows, data: JSONBody[WorkflowPost]) -> BegunAnswer:
    """Create a workflow; answers with its id and version. A key bound to agents can end only what its agent began."""
    workflow_id, redactions = await workflows.create(request.agent_scope(data.namespace, agent_id=data.agent), data)
    return BegunAnswer(workflow_id=workflow_id, version=0, redactions=redactions)


@Endpoint("GET /v1/workflows", "List workflows, latest created first", errors=(503,))
async def list_workflows(
    request: ApiRequest, workflows: LiveWorkflows, params: Params[WorkflowsQuery]
) -> WorkflowsAnswer:
    """A page of the namespace's workflows that match the query."""
    listing = WorkflowListing(params.status, params.parent_id, params.limit, params.cursor)
    page = await workflows.store.page(request.scope_in(params.namespace), listing)
    listed = [ListedWorkflow.model_validate(workflow, from_attributes=True) for workflow in page.workflows]
    return WorkflowsAnswer(workflows=listed, next_cursor=page.next_cursor)


@Endpoint(
    "POST /v1/workflows/{workflow_id}/events",
    "Append an event; one that ends the workflow stores its record as memories",
    role=Role.WRITER,
    status=201,
    errors=_WRITE_ERRORS,
)
async def post_event(
    request: ApiRequest,
    workflows: LiveWorkflows,
    params: Params[InNamespace],
    workflow_id: PathId,
    data: JSONBody[NewEvent],
) -> EventAnswer:
    """Append the event; answers with its version. An event without an agent gets the one that the key is bound to."""
    scope = request.agent_scope(params.namespace, agent_id=data.agent)
    reported = await workflows.append(scope, workflow_id, data)
    return EventAnswer.model_validate(reported, from_attributes=True)


@Endpoint("GET /v1/workflows/{workflow_id}", "A workflow's state", errors=_READ_ERRORS)
async def get_workflow(
    request: ApiRequest, workflows: LiveWorkflows, params: Params[StateQuery], workflow_id: PathId
) -> WorkflowAnswer:
    """The workflow's state, the latest or that at a version."""
    scope = request.scope_in(params.namespace)
    log = await workflows.store.load(scope, workflow_id, params.at_version)
    state = log.state
    answer = WorkflowStateAnswer(**state.members())
    return WorkflowAnswer(
        workflow_id=workflow_id, parent_id=log.parent_id, on_end=log.on_end, version=state.version, state=answer
    )


@Endpoint("GET /v1/workflows/{workflow_id}/chain", "The workflows it continues", errors=_READ_ERRORS)
async def get_workflow_chain(
    workflows: LiveWorkflows, namespace: QueryScope, workflow_id: PathId
) -> WorkflowChainAnswer:
    """The workflows that this one continues and the workflow itself, oldest first, each with every status it had."""
    logs = await workflows.chain(namespace, workflow_id)
    gap = len(logs) <= len(logs[-1].ancestors)
    return WorkflowChainAnswer(workflows=[WorkflowLink.of(log) for log in logs], gap=gap, cycle=False)


@Endpoint("GET /v1/workflows/{workflow_id}/resources", "The resources of its chain", errors=_READ_ERRORS)
async def get_workflow_resources(
    workflows: LiveWorkflows, namespace: QueryScope, workflow_id: PathId
) -> ResourcesAnswer:
    """The latest value of each resource that was set by the workflow or by those that it continues."""
    resources = await workflows.resources(namespace, workflow_id)
    return ResourcesAnswer.model_validate({"resources": resources}, from_attributes=True)


@Endpoint("GET /v1/workflows/{workflow_id}/events", "A workflow's events", errors=_READ_ERRORS)
async def get_events(
    request: ApiRequest, workflows: LiveWorkflows, params: Params[EventsQuery], workflow_id: PathId
) -> EventsAnswer:
    """A page of the workflow's events, oldest first."""
    scope = request.scope_in(params.namespace)
    later = await workflows.store.events(scope, workflow_id, params.after, params.limit + 1)
    page = later[: params.limit]
    next_after = page[-1].version if len(page) < len(later) else None
    return EventsAnswer(events=[LoggedEvent(**event.members()) for event in page], next_after=next_after)


@Endpoint(
    "GET /v1/workflows/{workflow_id}/history",
    "The current values and the newest events of its chain, in a budget",
    errors=_READ_ERRORS,
)
async def get_workflow_history(
    request: ApiRequest,
    services: AppServices,
    workflows: LiveWorkflows,
    params: Params[HistoryQuery],
    workflow_id: PathId,
) -> WorkflowHistoryAnswer:
    """The workflow's history as text within the budget. Unlike `continue`, this appends nothing."""
    view = _view(services, workflows, params)
    read = partial(workflows.history, request.scope_in(params.namespace), workflow_id)
    counted = await _counted(services, params.model, view, read)
    return WorkflowHistoryAnswer.of(counted, view)


@Endpoint(
    "POST /v1/workflows/{workflow_id}/continue",
    "Continue: the history in a budget, and the input as the next event",
    role=Role.WRITER,
    errors=_WRITE_ERRORS,
)
async def post_continue(
    request: ApiRequest,
    services: AppServices,
    workflows: LiveWorkflows,
    params: Params[InNamespace],
    workflow_id: PathId,
    data: JSONBody[ResumeRequest],
) -> ContinueAnswer:
    """Append the input as an event; answers with the history before it, in the budget, and the event's version."""
    scope = request.agent_scope(params.namespace, agent_id=data.agent)
    view, counted = _view(services, workflows, data), None
    if services.counter is not None and data.model is not None and services.counter.counts(data.model):
        counted = await _counted(services, data.model, view, partial(workflows.history, scope, workflow_id))
        view = replace(view, margin=counted.margin)
    resumed = await workflows.resume(scope, workflow_id, data, view)
    if counted is None or counted.value[0] != resumed.history:  # events came between, or the call is repeated
        counted = CountedContext((resumed.history, resumed.version), view.margin)
    else:
        counted = replace(counted, value=(resumed.history, resumed.version))
    return ContinueAnswer.of(counted, view, redactions=resumed.redactions)


def _view(services: Services, workflows: Workflows, asked: HistoryQuery | ResumeRequest) -> HistoryView:
    """The budget, tokenizer and margin of a history. The default budget is the model's share for history."""
    tokenizer, margin, budget = workflows.tokenizer, 0.0, DEFAULT_BUDGET
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
    """The history that `read` writes, shortened until it is in the view's budget as the model's provider counts."""

    async def build(margin: float) -> BuiltContext[tuple[WorkflowHistory, int]]:
        written, version = await read(replace(view, margin=margin))
        tokens = math.ceil(written.total_tokens / (1.0 + margin))
        return BuiltContext((written, version), written.text, tokens, view.budget)

    return await within_model_budget(services.counter, model, view.margin, build)
