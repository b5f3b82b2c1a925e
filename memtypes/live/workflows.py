"""Workflows of agents: logs of events, and the states computed from them. It does no I/O and reads
no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, model_validator

from memtypes.model.memory import StrictModel, Whole, check_json
from memtypes.model.scope import Name

MAX_EVENT_BYTES = 256 * 1024
MAX_RESOURCES = 1_000

SNAPSHOT_EVENTS = 50
"""Default number of events after which the state is stored as a snapshot. A read applies at most as
many events.
"""

MAX_REASON = 400
"""Maximum characters of the reason for a status change; a longer reason is cut."""


class WorkflowEventType(StrEnum):
    """What a workflow event reports: a change of the workflow, of one of its steps, or of its
    data. expired: the workflow had no event for its time to live; only the service appends this.
    """

    STARTED = "started"
    STEP_STARTED = "step_started"
    STEP_COMPLETED = "step_completed"
    STEP_FAILED = "step_failed"
    RESOURCE_CHANGED = "resource_changed"
    DATA_SET = "data_set"
    NOTE = "note"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_STEP_TYPES = (
    WorkflowEventType.STEP_STARTED,
    WorkflowEventType.STEP_COMPLETED,
    WorkflowEventType.STEP_FAILED,
)
_REQUIRED = {WorkflowEventType.RESOURCE_CHANGED: "resources", WorkflowEventType.DATA_SET: "data"}


def small_json(value: object) -> object:
    """Return `value` unchanged. Raises ValueError unless it is JSON of at most MAX_EVENT_BYTES."""
    check_json(value, MAX_EVENT_BYTES)
    return value


def path_safe(value: str) -> str:
    """Return `value` unchanged. Raises ValueError if it has slashes or is "." or "..", as it is
    part of URL paths.
    """
    if "/" in value or "\\" in value or value in (".", ".."):
        raise ValueError("must not contain slashes, because it is part of a path")
    return value


WorkflowId = Annotated[Name, AfterValidator(path_safe)]
Json = Annotated[Any, AfterValidator(small_json)]
JsonObject = Annotated[dict[str, Any], AfterValidator(small_json)]
Resources = Annotated[dict[Name, Any], Field(max_length=MAX_RESOURCES), AfterValidator(small_json)]


class NewEvent(StrictModel):
    """A workflow event as a caller sends it.

    input, output, error: of the step or the workflow, any JSON. resources, data: values to set in
    the workflow's state, by name. reason: why the agent reports the event. expected_version: the
    version of the workflow at which the event is accepted; None for any.
    """

    type: WorkflowEventType
    step_id: Name | None = None
    agent: Name | None = None
    input: Json = None
    output: Json = None
    error: Json = None
    resources: Resources | None = None
    data: JsonObject | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] | None = None
    expected_version: Annotated[Whole, Field(ge=0, lt=2**53)] | None = None

    @model_validator(mode="after")
    def _has_required_fields(self) -> Self:
        if self.type in _STEP_TYPES and self.step_id is None:
            raise ValueError(f"an event of type {self.type} needs a step_id")
        if self.type is WorkflowEventType.EXPIRED:
            raise ValueError("the service ends a workflow as expired; send cancelled or failed")
        required = _REQUIRED.get(self.type)
        if required and getattr(self, required) is None:
            raise ValueError(f"an event of type {self.type} needs {required}")
        small_json(self.payload())
        return self

    def payload(self) -> dict[str, Any]:
        """The fields with free text or JSON, such as `output`, that are set. They may contain
        secrets.
        """
        values = {
            name: getattr(self, name)
            for name in ("input", "output", "error", "resources", "data", "reason")
        }
        return {name: value for name, value in values.items() if value is not None}

    def at(self, moment: datetime) -> Event:
        """The event as the log stores it, at the time `moment`. Its version is 0 until it is
        appended.
        """
        fields = {
            name: getattr(self, name)
            for name in ("step_id", "agent", "input", "output", "error", "reason")
        }
        return Event(
            self.type, moment, **fields, resources=self.resources or {}, data=self.data or {}
        )


@dataclass(frozen=True, slots=True)
class Event:
    """An event in a workflow's log. version: its position in the log, counted from 1; 0 before it
    is appended.
    """

    type: WorkflowEventType
    at: datetime
    version: int = 0
    step_id: str | None = None
    agent: str | None = None
    input: Any = None
    output: Any = None
    error: Any = None
    resources: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None

    def to_json(self) -> bytes:
        """The event as the log stores it: JSON without default values."""
        return _EVENT.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, stored: bytes | str, version: int) -> Event:
        """Decode an event from the JSON that `to_json` wrote. version: the event's position in the
        log.
        """
        return replace(_EVENT.validate_json(stored), version=version)

    def members(self) -> dict[str, Any]:
        """The event as a JSON object for API answers; fields with default values are left out."""
        members: dict[str, Any] = _EVENT.dump_python(self, mode="json", exclude_defaults=True)
        return {"version": self.version, **members}


_EVENT = TypeAdapter(Event)


class WorkflowStatus(StrEnum):
    """The status of a workflow. pending: no event has started it yet. expired: it had no event for
    its time to live, and the service has ended it.
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        """Whether a workflow with this status has ended, so that it accepts no more events."""
        return self not in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)


class OnEnd(StrEnum):
    """What happens to a workflow's threads and working items when the workflow ends.

    keep: they stay until their time to live is over. flush: the threads' turns become memories, and
    the working items are cleared. delete: threads and items are deleted; memories made from the
    threads' turns earlier stay.
    """

    KEEP = "keep"
    FLUSH = "flush"
    DELETE = "delete"


class StepStatus(StrEnum):
    """Status of the latest attempt at a workflow step."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


STATUS_AFTER: Mapping[WorkflowEventType, WorkflowStatus] = {
    **dict.fromkeys((WorkflowEventType.STARTED, *_STEP_TYPES), WorkflowStatus.RUNNING),
    WorkflowEventType.COMPLETED: WorkflowStatus.COMPLETED,
    WorkflowEventType.FAILED: WorkflowStatus.FAILED,
    WorkflowEventType.CANCELLED: WorkflowStatus.CANCELLED,
    WorkflowEventType.EXPIRED: WorkflowStatus.EXPIRED,
}
"""The workflow's status after an event of each type; events of other types do not change the
status.
"""

_STEP_ENDS = {
    WorkflowEventType.STEP_COMPLETED: StepStatus.COMPLETED,
    WorkflowEventType.STEP_FAILED: StepStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Step:
    """State of the latest attempt at a workflow step. started_at: None if an event reported only
    the step's end.
    """

    status: StepStatus
    agent: str | None = None
    input: Any = None
    output: Any = None
    error: Any = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def ended(self, event: Event) -> Step:
        """A copy of the step, ended as `event` reports. The event's agent and input, if set,
        replace the step's.
        """
        return replace(
            self,
            status=_STEP_ENDS[event.type],
            agent=event.agent or self.agent,
            input=self.input if event.input is None else event.input,
            output=event.output,
            error=event.error,
            ended_at=event.at,
        )


@dataclass(frozen=True, slots=True)
class ResourceValue:
    """The newest value of a resource. Resources are named values that the events of a workflow set.

    version, at: version and time of the event that set the value. values: how often events have set
    the resource.
    """

    value: Any
    version: int
    at: datetime
    values: int = 1


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change of a workflow's status to `status`. version, actor: version and agent of the event
    that changed it.

    reason: the event's `reason`, else the `reason` in its data, else, if it ended the workflow, its
    error, output or input; cut after MAX_REASON characters. None if the event has none of these.
    """

    status: WorkflowStatus
    at: datetime
    version: int = 0
    actor: str | None = None
    reason: str | None = None

    @classmethod
    def by(cls, event: Event, status: WorkflowStatus) -> StatusChange:
        """Make the `StatusChange` for `event`, which changed the status to `status`."""
        stated = [event.reason, event.data.get("reason")]
        if status.ended:
            stated += [event.error, event.output, event.input]
        reason = next((value_text(value) for value in stated if value is not None), None)
        if reason is not None and len(reason) > MAX_REASON:
            reason = reason[:MAX_REASON] + " ..."
        return cls(status, event.at, event.version, event.agent, reason)


def value_text(value: Any) -> str:
    """`value` itself if it is a string, else its JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """State of a workflow after its first `version` events. changes: every change of its status,
    oldest first.

    steps: by step id, in the order in which events first named them. output, error: of the event
    that ended it.
    """

    version: int = 0
    status: WorkflowStatus = WorkflowStatus.PENDING
    steps: Mapping[str, Step] = field(default_factory=dict)
    resources: Mapping[str, ResourceValue] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    error: Any = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    changes: tuple[StatusChange, ...] = ()

    def to_json(self) -> bytes:
        """The state as the JSON that a snapshot stores."""
        return _STATE.dump_json(self)

    @classmethod
    def from_json(cls, stored: bytes | str) -> WorkflowState:
        """Decode a state from `stored`, the JSON of a snapshot that `to_json` wrote."""
        return _STATE.validate_json(stored)

    def members(self) -> dict[str, Any]:
        """The state as a JSON object for API answers, without its version. Resources have only
        their values.
        """
        members: dict[str, Any] = _STATE.dump_python(
            self, mode="json", exclude={"version", "resources"}
        )
        return {
            **members,
            "resources": {name: resource.value for name, resource in self.resources.items()},
        }


_STATE = TypeAdapter(WorkflowState)


def fold(state: WorkflowState, events: Iterable[Event]) -> WorkflowState:
    """The state after `events`, which follow `state` in the log. Folding them in several calls
    gives the same state.
    """
    steps = dict(state.steps)
    resources = dict(state.resources)
    data = dict(state.data)
    version = state.version
    for event in events:
        version = event.version
        for name, value in event.resources.items():
            before = resources[name].values if name in resources else 0
            resources[name] = ResourceValue(value, version, event.at, before + 1)
        data |= event.data
        if event.step_id is not None and event.type is WorkflowEventType.STEP_STARTED:
            steps[event.step_id] = Step(
                StepStatus.RUNNING, event.agent, event.input, started_at=event.at
            )
        elif event.step_id is not None and event.type in _STEP_ENDS:
            steps[event.step_id] = steps.get(event.step_id, Step(StepStatus.RUNNING)).ended(event)
        status = STATUS_AFTER.get(event.type, state.status)
        if status is not state.status:
            state = replace(
                state, status=status, changes=(*state.changes, StatusChange.by(event, status))
            )
            if status is WorkflowStatus.RUNNING:
                state = replace(state, started_at=event.at)
            else:
                state = replace(state, ended_at=event.at, output=event.output, error=event.error)
    return replace(state, version=version, steps=steps, resources=resources, data=data)
