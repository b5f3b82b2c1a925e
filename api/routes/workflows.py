"""Workflows: an append-only log of events, the state that follows from it, and going on from there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from api.bodies import InNamespace, QueryWhole
from api.calls import Call, HttpRequest, answer, read_body, read_query, scope_of
from api.keys import Role
from api.services import Services
from memtypes.errors import Unavailable
from memtypes.memory import Model, Whole
from memtypes.scope import Name
from memtypes.workflows.engine import Beginning, Resumption, Workflows
from memtypes.workflows.events import JsonObject, NewEvent, WorkflowEventType, WorkflowId, small_json
from memtypes.workflows.state import Status

TAG = "Workflows"
MAX_BUDGET = 1_000_000
DEFAULT_BUDGET = 8_000


def _something(value: object) -> object:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("must not be blank")
    return small_json(value)


class WorkflowPost(Model):
    """A workflow to begin. data: of its first state. parent_id: the workflow that it goes on from."""

    namespace: Name
    workflow_id: WorkflowId | None = None
    parent_id: WorkflowId | None = None
    data: JsonObject = Field(default_factory=dict)


class ContinuePost(Model):
    """How to go on. budget: tokens of the history. idempotency_key: the same key and body get the same answer."""

    input: Annotated[Any, AfterValidator(_something)]
    budget: Annotated[Whole, Field(ge=0, le=MAX_BUDGET)] = DEFAULT_BUDGET
    idempotency_key: Name | None = None


class StateQuery(InNamespace):
    """Which state: the newest, or the one after the event of this version."""

    at_version: Annotated[QueryWhole, Field(ge=0)] | None = None


class EventsQuery(InNamespace):
    """Which events: those after a version."""

    after: Annotated[QueryWhole, Field(ge=0)] = 0
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 500


class Begun(TypedDict):
    """The workflow that was begun."""

    workflow_id: str
    version: int


class EventAnswer(TypedDict):
    """The version that the event got; memories: where the record of an ended workflow is kept, by type."""

    version: int
    memories: dict[str, str]


class WorkflowStateAnswer(TypedDict):
    """What follows from the events."""

    status: Status
    steps: dict[str, dict[str, Any]]
    resources: dict[str, Any]
    data: dict[str, Any]
    output: Any
    error: Any
    started_at: str | None
    ended_at: str | None


class WorkflowAnswer(TypedDict):
    """A workflow at a version."""

    workflow_id: str
    parent_id: str | None
    version: int
    state: WorkflowStateAnswer


class LinkAnswer(TypedDict):
    """A workflow of a chain."""

    workflow_id: str
    parent_id: str | None
    status: Status
    version: int


class WorkflowChainAnswer(TypedDict):
    """A chain, oldest first. gap: an ancestor has expired."""

    workflows: list[LinkAnswer]
    gap: bool
    cycle: bool


class ResourceAnswer(TypedDict):
    """A resource's newest value in a chain, and which event of which workflow set it."""

    id: str
    value: Any
    version: int
    workflow_id: str


class ResourcesAnswer(TypedDict):
    """The resources of a chain, newest first."""

    resources: list[ResourceAnswer]


class LoggedEvent(TypedDict):
    """An event of the log; what it did not carry is left out."""

    version: int
    type: WorkflowEventType
    at: str


class EventsAnswer(TypedDict):
    """A part of the log. next_after: what to ask for next; it stays when there is nothing newer."""

    events: list[LoggedEvent]
    next_after: int


class ContinueMetadata(TypedDict):
    """What the history cost; omitted: events that are not whole in it."""

    total_tokens: int
    budget: int
    tokenizer: str
    omitted: int


class ContinueAnswer(TypedDict):
    """The history before this input, and the version that the input got."""

    history: str
    version: int
    metadata: ContinueMetadata


POST: TypeAdapter[WorkflowPost] = TypeAdapter(WorkflowPost)
EVENT: TypeAdapter[NewEvent] = TypeAdapter(NewEvent)
CONTINUE: TypeAdapter[ContinuePost] = TypeAdapter(ContinuePost)

_POST = Call("Begin a workflow", TAG, {201: Begun}, role=Role.WRITER, body=POST, may_fail=(404, 409, 503))
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
    beginning = Beginning(asked.workflow_id, asked.parent_id, asked.data)
    return answer({"workflow_id": await _of(services).begin(scope, beginning), "version": 0}, 201)


@post("/v1/workflows/{workflow_id:str}/events", opt=_EVENT.opt())
async def post_event(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """201 with the event's version."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    event = await read_body(request, EVENT)
    reported = await _of(services).report(scope, workflow_id, event)
    return answer({"version": reported.version, "memories": reported.memories}, 201)


@get("/v1/workflows/{workflow_id:str}", opt=_GET.opt())
async def get_workflow(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """The state, now or at a version."""
    query = read_query(request, StateQuery)
    seen = await _of(services).look(scope_of(request, query.namespace), workflow_id, query.at_version)
    members = {"workflow_id": workflow_id, "parent_id": seen.parent_id, "version": seen.state.version}
    return answer({**members, "state": seen.state.members()})


@get("/v1/workflows/{workflow_id:str}/chain", opt=_CHAIN.opt())
async def get_workflow_chain(
    request: HttpRequest, services: NamedDependency[Services], workflow_id: FromPath[str]
) -> Response[bytes]:
    """Ancestors and the workflow itself, oldest first."""
    scope = scope_of(request, read_query(request, InNamespace).namespace)
    chain = await _of(services).chain(scope, workflow_id)
    return answer({"workflows": [asdict(link) for link in chain.links], "gap": chain.gap, "cycle": chain.cycle})


@get("/v1/workflows/{workflow_id:str}/resources", opt=_RESOURCES.opt())
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


@get("/v1/workflows/{workflow_id:str}/events", opt=_EVENTS.opt())
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
    resumption = Resumption(asked.input, asked.budget, asked.idempotency_key)
    resumed = await _of(services).resume(scope, workflow_id, resumption)
    metadata = {name: getattr(resumed, name) for name in ("total_tokens", "budget", "tokenizer", "omitted")}
    return answer({"history": resumed.history, "version": resumed.version, "metadata": metadata})
