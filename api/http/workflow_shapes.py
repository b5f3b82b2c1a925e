"""What callers send about workflows, and what they get."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from api.http.bodies import InNamespace, QueryWhole
from memtypes.live.events import JsonObject, WorkflowEventType, WorkflowId, small_json
from memtypes.live.workflow_state import WorkflowStatus
from memtypes.model.memory import Model, Whole
from memtypes.model.scope import Name

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


class BegunAnswer(TypedDict):
    """The workflow that was begun. redactions: taken out of its data, by kind."""

    workflow_id: str
    version: int
    redactions: NotRequired[dict[str, int]]


class EventAnswer(TypedDict):
    """The version that the event got; memories: where the record of an ended workflow is kept, by type.

    redactions: taken out of the event, by kind.
    """

    version: int
    memories: dict[str, str]
    redactions: NotRequired[dict[str, int]]


class WorkflowStateAnswer(TypedDict):
    """What follows from the events."""

    status: WorkflowStatus
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
    status: WorkflowStatus
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
    """The history before this input, and the version that the input got. redactions: taken out of the input."""

    history: str
    version: int
    metadata: ContinueMetadata
    redactions: NotRequired[dict[str, int]]
