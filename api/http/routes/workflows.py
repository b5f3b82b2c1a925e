"""Workflows: an append-only log of events, the state that follows from it, and going on from there."""

from __future__ import annotations

from dataclasses import asdict

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import TypeAdapter

from api.auth.keys import Role
from api.http.bodies import InNamespace
from api.http.endpoint import Call, HttpRequest, answer, read_body, read_query, redactions_of, safe_get, scope_of
from api.http.workflow_shapes import (
    BegunAnswer,
    ContinueAnswer,
    ContinuePost,
    EventAnswer,
    EventsAnswer,
    EventsQuery,
    ResourcesAnswer,
    StateQuery,
    WorkflowAnswer,
    WorkflowChainAnswer,
    WorkflowPost,
)
from api.wiring.container import Services
from ingest.workflows.engine import ResumeRequest, WorkflowRequest, Workflows
from memtypes.live.events import NewEvent
from memtypes.model.errors import Unavailable

TAG = "Workflows"


POST: TypeAdapter[WorkflowPost] = TypeAdapter(WorkflowPost)
EVENT: TypeAdapter[NewEvent] = TypeAdapter(NewEvent)
CONTINUE: TypeAdapter[ContinuePost] = TypeAdapter(ContinuePost)

_POST = Call("Begin a workflow", TAG, {201: BegunAnswer}, role=Role.WRITER, body=POST, may_fail=(404, 409, 503))
_EVENT = Call(
    "Report an event; one that ends the workflow leaves its record as memories",
    TAG,
    {201: EventAnswer},
    role=Role.WRITER,
    query=InNamespace,
    body=EVENT,
    may_fail=(404, 409, 503),
)
_GET = Call("A workflow's state", TAG, {200: WorkflowAnswer}, query=StateQuery, may_fail=(404, 503))
_CHAIN = Call("The workflows it goes on from", TAG, {200: WorkflowChainAnswer}, query=InNamespace, may_fail=(404, 503))
_RESOURCES = Call("The resources of its chain", TAG, {200: ResourcesAnswer}, query=InNamespace, may_fail=(404, 503))
_EVENTS = Call("A workflow's events", TAG, {200: EventsAnswer}, query=EventsQuery, may_fail=(404, 503))
_CONTINUE = Call(
    "Go on: the history in a budget, and the input as the next event",
    TAG,
    {200: ContinueAnswer},
    role=Role.WRITER,
    query=InNamespace,
    body=CONTINUE,
    may_fail=(404, 409, 503),
)


def _of(services: Services) -> Workflows:
    if services.workflows is None:
        raise Unavailable("live state is away")
    return services.workflows


@post("/v1/workflows", opt=_POST.opt())
async def post_workflow(request: HttpRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """201 with the id."""
    asked = await read_body(request, POST)
    scope = scope_of(request, asked.namespace)
    created = await _of(services).create(scope, WorkflowRequest(asked.workflow_id, asked.parent_id, asked.data))
    return answer({"workflow_id": created.workflow_id, "version": 0, **redactions_of(created)}, 201)


@post("/v1/workflows/{workflow_id:str}/events", opt=_EVENT.opt())
async def post_event(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """201 with the event's version."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    event = await read_body(request, EVENT)
    reported = await _of(services).append(scope, workflow_id, event)
    return answer({"version": reported.version, "memories": reported.memories, **redactions_of(reported)}, 201)


@safe_get("/v1/workflows/{workflow_id:str}", opt=_GET.opt())
async def get_workflow(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """The state, now or at a version."""
    query = read_query(request, StateQuery)
    seen = await _of(services).read(scope_of(request, query.namespace), workflow_id, query.at_version)
    members = {"workflow_id": workflow_id, "parent_id": seen.parent_id, "version": seen.state.version}
    return answer({**members, "state": seen.state.members()})


@safe_get("/v1/workflows/{workflow_id:str}/chain", opt=_CHAIN.opt())
async def get_workflow_chain(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """Ancestors and the workflow itself, oldest first."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    chain = await _of(services).chain(scope, workflow_id)
    return answer({"workflows": [asdict(link) for link in chain.links], "gap": chain.gap, "cycle": chain.cycle})


@safe_get("/v1/workflows/{workflow_id:str}/resources", opt=_RESOURCES.opt())
async def get_workflow_resources(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """The newest value of each resource."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    found = await _of(services).resources(scope, workflow_id)
    shown = [
        {"id": one.id, "value": one.resource.value, "version": one.resource.version, "workflow_id": one.workflow_id}
        for one in found
    ]
    return answer({"resources": shown})


@safe_get("/v1/workflows/{workflow_id:str}/events", opt=_EVENTS.opt())
async def get_events(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """Events in order."""
    query = read_query(request, EventsQuery)
    events = await _of(services).events(scope_of(request, query.namespace), workflow_id, query.after, query.limit)
    following = events[-1].version if events else query.after
    return answer({"events": [event.members() for event in events], "next_after": following})


@post("/v1/workflows/{workflow_id:str}/continue", opt=_CONTINUE.opt(), status_code=200)
async def post_continue(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """The history, and the version of the input."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    asked = await read_body(request, CONTINUE)
    request_to_resume = ResumeRequest(asked.input, asked.budget, asked.idempotency_key)
    resumed = await _of(services).resume(scope, workflow_id, request_to_resume)
    metadata = {name: getattr(resumed, name) for name in ("total_tokens", "budget", "tokenizer", "omitted")}
    told = {"history": resumed.history, "version": resumed.version, "metadata": metadata}
    return answer({**told, **redactions_of(resumed)})
