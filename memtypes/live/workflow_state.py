"""The state of a workflow: a fold over its events. Pure; reads no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from memtypes.live.events import Event, WorkflowEventType

SNAPSHOT_EVERY = 50
"""Events between two snapshots; no read folds more."""


class WorkflowStatus(StrEnum):
    """The status of a workflow."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the workflow accepts no more events."""
        return self not in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)


class StepStatus(StrEnum):
    """The status of a step."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


STATUS_AFTER: Mapping[WorkflowEventType, WorkflowStatus] = {
    WorkflowEventType.STARTED: WorkflowStatus.RUNNING,
    WorkflowEventType.STEP_STARTED: WorkflowStatus.RUNNING,
    WorkflowEventType.STEP_COMPLETED: WorkflowStatus.RUNNING,
    WorkflowEventType.STEP_FAILED: WorkflowStatus.RUNNING,
    WorkflowEventType.COMPLETED: WorkflowStatus.COMPLETED,
    WorkflowEventType.FAILED: WorkflowStatus.FAILED,
    WorkflowEventType.CANCELLED: WorkflowStatus.CANCELLED,
}
"""The status after an event, whatever it was before; other events do not change it."""

_STEP_ENDS = {WorkflowEventType.STEP_COMPLETED: StepStatus.COMPLETED, WorkflowEventType.STEP_FAILED: StepStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Step:
    """The last attempt of a step. started_at: None if only the end was reported."""

    status: StepStatus
    agent: str | None = None
    input: Any = None
    output: Any = None
    error: Any = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def ended(self, event: Event) -> Step:
        """The step after `event` ended it; agent and input stay if the event has none."""
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
    """The newest value of a resource. version, at: of the event that set it."""

    value: Any
    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """A workflow at `version`. steps: in order of first appearance."""

    version: int = 0
    status: WorkflowStatus = WorkflowStatus.PENDING
    steps: Mapping[str, Step] = field(default_factory=dict)
    resources: Mapping[str, ResourceValue] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    error: Any = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def to_json(self) -> bytes:
        """The state as a snapshot stores it."""
        return _STATE.dump_json(self)

    @classmethod
    def from_json(cls, stored: bytes | str) -> WorkflowState:
        """The state of a snapshot."""
        return _STATE.validate_json(stored)

    def members(self) -> dict[str, Any]:
        """The state for an API answer: resources as plain values, without the version."""
        members: dict[str, Any] = _STATE.dump_python(self, mode="json", exclude={"version", "resources"})
        return {**members, "resources": {name: resource.value for name, resource in self.resources.items()}}


_STATE = TypeAdapter(WorkflowState)


def fold(state: WorkflowState, events: Iterable[Event]) -> WorkflowState:
    """The state after `events`, which follow `state` in the log. Folding in two parts gives the same state."""
    steps, resources, data = dict(state.steps), dict(state.resources), dict(state.data)
    version = state.version
    for event in events:
        version = event.version
        resources |= {name: ResourceValue(value, version, event.at) for name, value in event.resources.items()}
        data |= event.data
        if event.step_id is not None:
            _apply_to_step(steps, event, event.step_id)
        state = _apply_status(state, event)
    return replace(state, version=version, steps=steps, resources=resources, data=data)


def _apply_to_step(steps: dict[str, Step], event: Event, step_id: str) -> None:
    if event.type is WorkflowEventType.STEP_STARTED:
        steps[step_id] = Step(StepStatus.RUNNING, event.agent, event.input, started_at=event.at)
    elif event.type in _STEP_ENDS:
        steps[step_id] = steps.get(step_id, Step(StepStatus.RUNNING)).ended(event)


def _apply_status(state: WorkflowState, event: Event) -> WorkflowState:
    status = STATUS_AFTER.get(event.type, state.status)
    if status is state.status:
        return state
    if status is WorkflowStatus.RUNNING:
        return replace(state, status=status, started_at=event.at)
    return replace(state, status=status, ended_at=event.at, output=event.output, error=event.error)


def needs_snapshot(version: int, status: WorkflowStatus) -> bool:
    """Whether a snapshot is due at `version`: every SNAPSHOT_EVERY events, and at the end."""
    return status.ended or (version > 0 and version % SNAPSHOT_EVERY == 0)
