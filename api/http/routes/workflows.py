"""HTTP calls on workflows: append events to a log, and read the events and the state that results
from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Self

from litestar.params import JSONBody
from pydantic import Field

from api.auth.keys import Role
from api.http.endpoint import Endpoint, Params, PathId, QueryScope
from api.http.request import ApiRequest, InNamespace, QueryWhole
from api.http.shapes.memories import Redactions
from api.wiring.container import AppServices
from ingest.workflows.workflows import WorkflowRequest
from memtypes.live.workflows import NewEvent, OnEnd, WorkflowEventType, WorkflowStatus
from memtypes.model.scope import Name
from memtypes.model.times import Instant, TimeText
from memtypes.ports.workflows import WorkflowListing, WorkflowLog
from retrieval.answer import Answer, OmittedIfNone

READ_ERRORS = (404, 503)
WRITE_ERRORS = (404, 409, 503)


class WorkflowPost(WorkflowRequest):
    """A workflow to create in a namespace."""

    namespace: Name


class StateQuery(InNamespace):
    """Which state of a workflow to return. at_version: number of the last event to include; by
    default the newest.
    """

    at_version: Annotated[QueryWhole, Field(ge=0)] | None = None


class EventsQuery(InNamespace):
    """Which events of a workflow to return: the `limit` oldest events whose version is above
    `after`.
    """

    after: Annotated[QueryWhole, Field(ge=0)] = 0
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 500


class WorkflowsQuery(InNamespace):
    """Filters for a list of workflows. parent_id: id of the workflow that the listed workflows
    continue.
    """

    status: WorkflowStatus | None = None
    parent_id: Name | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=2_048)] | None = None


class BegunAnswer(Answer):
    """A workflow that was created. ttl_s: seconds until it expires if no event follows. redactions:
    number of secrets removed from its data, by kind.
    """

    workflow_id: str
    version: int
    ttl_s: int
    redactions: Redactions = None


class EventAnswer(Answer):
    """The version of an appended event. redactions: number of secrets removed from the event, by
    kind.

    The other fields are empty or 0 unless the event ended the workflow. memories: ids of the
    memories that record the workflow, by memory type. threads: how many of its threads were flushed
    or deleted. items: how many of its working memory items ended.
    """

    version: int
    memories: Mapping[str, str]
    threads: int
    items: int
    redactions: Redactions = None


class StatusAnswer(Answer):
    """A status that a workflow had, and the event that set it.

    at: time of the event. version: number of the event. actor: agent that reported the event; null
    if unknown. reason: reason that the agent gave.
    """

    status: WorkflowStatus
    at: Instant
    version: int
    actor: str | None
    reason: str | None


class WorkflowStateAnswer(Answer):
    """The state of a workflow that results from its events. changes: every status that it had,
    oldest first.
    """

    status: WorkflowStatus
    steps: dict[str, dict[str, Any]]
    resources: dict[str, Any]
    data: dict[str, Any]
    output: Any
    error: Any
    started_at: TimeText | None
    ended_at: TimeText | None
    changes: list[StatusAnswer]


class WorkflowAnswer(Answer):
    """A workflow and its state. version: number of the last event that the state includes. ttl_s:
    seconds until it expires if no event of it or of a descendant follows.
    """

    workflow_id: str
    parent_id: str | None
    on_end: OnEnd
    version: int
    ttl_s: int
    state: WorkflowStateAnswer


class ListedWorkflow(Answer):
    """A workflow in a list of workflows. updated_at: time of its last event, or of its creation if
    it has none.
    """

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    on_end: OnEnd
    created_at: Instant
    updated_at: Instant


class WorkflowsAnswer(Answer):
    """A page of workflows, latest created first, maybe fewer than `limit`. next_cursor: null on the
    last page only.
    """

    workflows: list[ListedWorkflow]
    next_cursor: str | None


class WorkflowLink(Answer):
    """A workflow in a chain of workflows, each of which continues the one before.

    actor, reason: which agent reported its current status, and why. states: every status that it
    had, oldest first.
    """

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    actor: str | None
    reason: str | None
    states: list[StatusAnswer]

    @classmethod
    def from_log(cls, log: WorkflowLog) -> Self:
        """The answer for one workflow of the chain, given its event log."""
        state = log.state
        states = [
            StatusAnswer.model_validate(change, from_attributes=True) for change in state.changes
        ]
        latest = {
            name: getattr(states[-1], name) if states else None for name in ("actor", "reason")
        }
        ids = {"workflow_id": log.workflow_id, "parent_id": log.parent_id}
        return cls(**ids, status=state.status, version=log.version, **latest, states=states)


class WorkflowChainAnswer(Answer):
    """A workflow and the workflows that it continues, oldest first. gap: whether any of them has
    expired.
    """

    workflows: list[WorkflowLink]
    gap: bool
    cycle: bool


class ResourceAnswer(Answer):
    """The latest value of a resource (a named value). workflow_id, version: the workflow and the
    event that set it.
    """

    id: str
    value: Any
    version: int
    workflow_id: str


class ResourcesAnswer(Answer):
    """The resources (named values) of a workflow and of the workflows that it continues, latest
    change first.
    """

    resources: list[ResourceAnswer]


class LoggedEvent(Answer):
    """An event of a workflow's log. Fields that the event does not have are left out."""

    version: int
    type: WorkflowEventType
    at: TimeText
    step_id: OmittedIfNone[str] = None
    agent: OmittedIfNone[str] = None
    input: OmittedIfNone[Any] = None
    output: OmittedIfNone[Any] = None
    error: OmittedIfNone[Any] = None
    resources: OmittedIfNone[dict[str, Any]] = None
    data: OmittedIfNone[dict[str, Any]] = None
    reason: OmittedIfNone[str] = None


class EventsAnswer(Answer):
    """A page of a workflow's events, oldest first. next_after: `after` of the next page; null on
    the last page.
    """

    events: list[LoggedEvent]
    next_after: int | None


@Endpoint("POST /v1/workflows", role=Role.WRITER, status=201, errors=WRITE_ERRORS)
async def post_workflow(
    request: ApiRequest, services: AppServices, data: JSONBody[WorkflowPost]
) -> BegunAnswer:
    """Begin a workflow.

    An API key that is bound to agents can end the workflow later only if the key's agent began it.
    """
    scope = request.agent_scope(data.namespace, agent_id=data.agent, field="agent")
    workflow_id, redactions = await services.workflows.create(scope, data)
    log = await services.workflows.store.load(scope, workflow_id)
    return BegunAnswer(
        workflow_id=workflow_id, version=0, ttl_s=log.ttl_left_s, redactions=redactions
    )


@Endpoint("GET /v1/workflows", errors=(503,))
async def list_workflows(
    services: AppServices, namespace: QueryScope, params: Params[WorkflowsQuery]
) -> WorkflowsAnswer:
    """List workflows, latest created first."""
    listing = WorkflowListing(params.status, params.parent_id, params.limit, params.cursor)
    page = await services.workflows.store.page(namespace, listing)
    return WorkflowsAnswer.model_validate(page, from_attributes=True)


@Endpoint(
    "POST /v1/workflows/{workflow_id}/events", role=Role.WRITER, status=201, errors=WRITE_ERRORS
)
async def post_event(
    request: ApiRequest,
    services: AppServices,
    params: Params[InNamespace],
    workflow_id: PathId,
    data: JSONBody[NewEvent],
) -> EventAnswer:
    """Append an event to a workflow.

    An event that ends the workflow also stores a record of the workflow as memories. An event that
    names no agent gets the agent that the API key is bound to.
    """
    scope = request.agent_scope(params.namespace, agent_id=data.agent, field="agent")
    version, redactions, ended = await services.workflows.append(scope, workflow_id, data)
    return EventAnswer(version=version, redactions=redactions, **asdict(ended))


@Endpoint("GET /v1/workflows/{workflow_id}", errors=READ_ERRORS)
async def get_workflow(
    services: AppServices, namespace: QueryScope, params: Params[StateQuery], workflow_id: PathId
) -> WorkflowAnswer:
    """Read a workflow and its state."""
    log = await services.workflows.store.load(namespace, workflow_id, params.at_version)
    state = log.state
    return WorkflowAnswer(
        workflow_id=workflow_id,
        parent_id=log.parent_id,
        on_end=log.on_end,
        version=state.version,
        ttl_s=log.ttl_left_s,
        state=WorkflowStateAnswer(**state.members()),
    )


@Endpoint("GET /v1/workflows/{workflow_id}/chain", errors=READ_ERRORS)
async def get_workflow_chain(
    services: AppServices, namespace: QueryScope, workflow_id: PathId
) -> WorkflowChainAnswer:
    """List a workflow and the workflows that it continues."""
    logs = await services.workflows.chain(namespace, workflow_id)
    gap = len(logs) <= len(logs[-1].ancestors)
    return WorkflowChainAnswer(
        workflows=[WorkflowLink.from_log(log) for log in logs], gap=gap, cycle=False
    )


@Endpoint("GET /v1/workflows/{workflow_id}/resources", errors=READ_ERRORS)
async def get_workflow_resources(
    services: AppServices, namespace: QueryScope, workflow_id: PathId
) -> ResourcesAnswer:
    """List the resources (named values) of a workflow and its ancestors."""
    resources = await services.workflows.resources(namespace, workflow_id)
    return ResourcesAnswer.model_validate({"resources": resources}, from_attributes=True)


@Endpoint("GET /v1/workflows/{workflow_id}/events", errors=READ_ERRORS)
async def get_events(
    services: AppServices, namespace: QueryScope, params: Params[EventsQuery], workflow_id: PathId
) -> EventsAnswer:
    """List the events of a workflow."""
    later = await services.workflows.store.events(
        namespace, workflow_id, params.after, params.limit + 1
    )
    page = later[: params.limit]
    next_after = page[-1].version if len(page) < len(later) else None
    return EventsAnswer(
        events=[LoggedEvent(**event.members()) for event in page], next_after=next_after
    )
