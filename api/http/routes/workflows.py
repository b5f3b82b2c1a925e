"""Calls on workflows: append events to a log, read the state that results from them, and continue a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import ConfigDict, Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.request import ApiRequest, InNamespace, QueryWhole
from api.http.routes.memory_shapes import Redactions
from api.wiring.container import AppServices, Services
from ingest.workflows.engine import DEFAULT_BUDGET, MAX_BUDGET, ResumeRequest, WorkflowRequest, Workflows
from ingest.workflows.history import HistoryView, Versions, WorkflowHistory
from memtypes.live.workflows import NewEvent, OnEnd, WorkflowEventType, WorkflowStatus
from memtypes.model.errors import Unavailable
from memtypes.model.scope import Name
from memtypes.model.times import Instant
from memtypes.ports.workflows import WorkflowListing, WorkflowLog
from retrieval.answer import Answer

_READ_ERRORS = (404, 503)
_WRITE_ERRORS = (404, 409, 503)


class WorkflowPost(WorkflowRequest):
    """A workflow to create in a namespace."""

    namespace: Name


class StateQuery(InNamespace):
    """Which state of a workflow: the latest, or that after the event at_version."""

    at_version: Annotated[QueryWhole, Field(ge=0)] | None = None


class EventsQuery(InNamespace):
    """Which events of a workflow: at most `limit` whose version is above `after`."""

    after: Annotated[QueryWhole, Field(ge=0)] = 0
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 500


class HistoryQuery(InNamespace):
    """How to write a history: in how many tokens, counted for which model, with which values of resources."""

    budget: Annotated[QueryWhole, Field(ge=0, le=MAX_BUDGET)] | None = None
    model: Name | None = None
    versions: Versions = Versions.NEWEST


class WorkflowsQuery(InNamespace):
    """Which workflows to list: those with a status, or those that continue `parent_id`."""

    status: WorkflowStatus | None = None
    parent_id: Name | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=2_048)] | None = None


class BegunAnswer(Answer):
    """A workflow that was created. redactions: secrets removed from its data, by kind."""

    workflow_id: str
    version: int
    redactions: Redactions = None


class EventAnswer(Answer):
    """An appended event's version. redactions: secrets removed from the event, by kind.

    If it ended the workflow: memories, by type the ids of the memories of it; threads and items, the numbers of its
    threads that were flushed or deleted and of its working items that ended.
    """

    version: int
    memories: Mapping[str, str]
    threads: int
    items: int
    redactions: Redactions = None


class StatusAnswer(Answer):
    """A status of a workflow, and the event that set it: its time, version and agent, and why it was reported."""

    status: WorkflowStatus
    at: Instant
    version: int
    actor: str | None
    reason: str | None


class WorkflowStateAnswer(Answer):
    """The state of a workflow that results from its events. changes: every status that it had, the first one first."""

    status: WorkflowStatus
    steps: dict[str, dict[str, Any]]
    resources: dict[str, Any]
    data: dict[str, Any]
    output: Any
    error: Any
    started_at: str | None
    ended_at: str | None
    changes: list[StatusAnswer]


class WorkflowAnswer(Answer):
    """A workflow with its state at a version."""

    workflow_id: str
    parent_id: str | None
    on_end: OnEnd
    version: int
    state: WorkflowStateAnswer


class ListedWorkflow(Answer):
    """A workflow in a list. updated_at: time of its last event, or of its creation."""

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    on_end: OnEnd
    created_at: Instant
    updated_at: Instant


class WorkflowsAnswer(Answer):
    """A page of workflows, latest created first. It may be short before the last one, where next_cursor is null."""

    workflows: list[ListedWorkflow]
    next_cursor: str | None


class WorkflowLink(Answer):
    """One workflow of a chain: its status, who reported that and why, and every status before it in `states`."""

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    actor: str | None
    reason: str | None
    states: list[StatusAnswer]

    @classmethod
    def of(cls, log: WorkflowLog) -> Self:
        """The link for a workflow of the chain."""
        state = log.state
        states = [StatusAnswer.model_validate(change, from_attributes=True) for change in state.changes]
        latest = {name: getattr(states[-1], name) if states else None for name in ("actor", "reason")}
        ids = {"workflow_id": log.workflow_id, "parent_id": log.parent_id}
        return cls(**ids, status=state.status, version=log.version, **latest, states=states)


class WorkflowChainAnswer(Answer):
    """A workflow preceded by those that it continues, oldest first. gap: whether one of those has expired."""

    workflows: list[WorkflowLink]
    gap: bool
    cycle: bool


class ResourceAnswer(Answer):
    """The latest value of a resource in a chain, and the workflow and event version that set it."""

    id: str
    value: Any
    version: int
    workflow_id: str


class ResourcesAnswer(Answer):
    """The resources of a chain of workflows, latest change first."""

    resources: list[ResourceAnswer]


class LoggedEvent(Answer):
    """An event of a workflow's log: version, type, time, and the fields of its type."""

    model_config = ConfigDict(frozen=True, extra="allow")

    version: int
    type: WorkflowEventType
    at: str


class EventsAnswer(Answer):
    """A page of a workflow's events. next_after: `after` of the next page; the same again if nothing is newer."""

    events: list[LoggedEvent]
    next_after: int


class OmittedFromHistory(Answer):
    """What the history leaves out or cuts: events, values of resources, and values of the data.

    older_values: those of the resources' values that were replaced since; `versions=all` shows them.
    """

    events: int
    resources: int
    data: int
    older_values: int


class HistoryMetadata(Answer):
    """The cost of a history. tokenizer: the one that counted; total_tokens includes a margin for the model."""

    total_tokens: int
    budget: int
    tokenizer: str


class WorkflowHistoryAnswer(Answer):
    """The history of a workflow and those that it continues, up to the event `version`."""

    history: str
    version: int
    omitted: OmittedFromHistory
    metadata: HistoryMetadata

    @classmethod
    def of(cls, written: WorkflowHistory, view: HistoryView, version: int, **fields: Any) -> Self:
        """The answer with a history that was written for `view`."""
        metadata = HistoryMetadata(total_tokens=written.total_tokens, budget=view.budget, tokenizer=view.tokenizer.name)
        omitted = OmittedFromHistory.model_validate(written.omitted, from_attributes=True)
        return cls(history=written.text, version=version, omitted=omitted, metadata=metadata, **fields)


class ContinueAnswer(WorkflowHistoryAnswer):
    """The history before the input, and the input's version. redactions: secrets removed from the input, by kind."""

    redactions: Redactions = None


LiveWorkflows: TypeAlias = NamedDependency[Workflows]


def live_workflows(services: AppServices) -> Workflows:
    """The service's workflows, for handlers. Raises Unavailable for a service without live state."""
    if services.workflows is None:
        raise Unavailable("live state is away")
    return services.workflows


@Endpoint("POST /v1/workflows", "Begin a workflow", role=Role.WRITER, status=201, errors=_WRITE_ERRORS)
async def post_workflow(request: ApiRequest, workflows: LiveWorkflows, data: JSONBody[WorkflowPost]) -> BegunAnswer:
    """The id of the new workflow and its version, 0. A key that is bound to agents ends only what its agent began."""
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
    """The version of the appended event, which is of the agent that the key is bound to if it names none."""
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
    """The workflows that this one continues and the workflow itself, oldest first, each with its states."""
    chain = await workflows.chain(namespace, workflow_id)
    return WorkflowChainAnswer(workflows=[WorkflowLink.of(log) for log in chain.logs], gap=chain.gap, cycle=False)


@Endpoint("GET /v1/workflows/{workflow_id}/resources", "The resources of its chain", errors=_READ_ERRORS)
async def get_workflow_resources(
    workflows: LiveWorkflows, namespace: QueryScope, workflow_id: PathId
) -> ResourcesAnswer:
    """The latest value of each resource that a workflow of the chain set."""
    resources = await workflows.resources(namespace, workflow_id)
    answers = [
        ResourceAnswer(
            id=entry.id, value=entry.resource.value, version=entry.resource.version, workflow_id=entry.workflow_id
        )
        for entry in resources
    ]
    return ResourcesAnswer(resources=answers)


@Endpoint("GET /v1/workflows/{workflow_id}/events", "A workflow's events", errors=_READ_ERRORS)
async def get_events(
    request: ApiRequest, workflows: LiveWorkflows, params: Params[EventsQuery], workflow_id: PathId
) -> EventsAnswer:
    """A page of the workflow's events, oldest first."""
    scope = request.scope_in(params.namespace)
    events = await workflows.store.events(scope, workflow_id, params.after, params.limit)
    next_after = events[-1].version if events else params.after
    return EventsAnswer(events=[LoggedEvent(**event.members()) for event in events], next_after=next_after)


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
    """The history in the budget, as `continue` gives it; nothing is appended."""
    view = _view(services, workflows, params)
    written, version = await workflows.history(request.scope_in(params.namespace), workflow_id, view)
    return WorkflowHistoryAnswer.of(written, view, version)


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
    """The history in the budget, and the version of the input, which was appended as an event."""
    view = _view(services, workflows, data)
    scope = request.agent_scope(params.namespace, agent_id=data.agent)
    resumed = await workflows.resume(scope, workflow_id, data, view)
    return ContinueAnswer.of(resumed.history, view, resumed.version, redactions=resumed.redactions)


def _view(services: Services, workflows: Workflows, asked: HistoryQuery | ResumeRequest) -> HistoryView:
    """How to write the history that a call asks for: in its budget, or its model's share for history."""
    tokenizer, margin, budget = workflows.tokenizer, 0.0, DEFAULT_BUDGET
    if asked.model is not None:
        model = services.models().find(asked.model)
        tokenizer, margin = services.tokenizers.get(model.tokenizer, tokenizer), model.margin
        budget = model.allocation.history if model.allocation else budget
    return HistoryView(budget if asked.budget is None else asked.budget, tokenizer, margin, asked.versions)
