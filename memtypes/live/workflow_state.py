"""The state of a workflow: a fold over its events. Pure; knows no store and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from memtypes.live.events import Event, WorkflowEventType

SNAPSHOT_EVERY = 50
"""Events between two snapshots: no read folds more than this many."""


class WorkflowStatus(StrEnum):
    """Where a workflow stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing can happen any more."""
        return self not in (WorkflowStatus.PENDING, WorkflowStatus.RUNNING)


class StepStatus(StrEnum):
    """Where a step stands."""

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
"""The status that an event leads to, whatever it was; other events leave it."""

_STEP_ENDS = {WorkflowEventType.STEP_COMPLETED: StepStatus.COMPLETED, WorkflowEventType.STEP_FAILED: StepStatus.FAILED}


@dataclass(frozen=True, slots=True)
class Step:
    """One step's last attempt. started_at: None where only its end was reported."""

    status: StepStatus
    agent: str | None = None
    input: Any = None
    output: Any = None
    error: Any = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def ended(self, event: Event) -> Step:
        """The step after `event` ended it; what the event leaves out stays."""
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
    """A resource's newest value, and when and by which event it was set."""

    value: Any
    version: int
    at: datetime


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """What a workflow is at `version`. steps: in the order in which they first appeared."""

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
        """The state as a snapshot keeps it."""
        return _STATE.dump_json(self)

    @classmethod
    def from_json(cls, kept: bytes | str) -> WorkflowState:
        """The state of a snapshot."""
        return _STATE.validate_json(kept)

    def members(self) -> dict[str, Any]:
        """The state as an answer shows it: resources by their values, without the version."""
        shown: dict[str, Any] = _STATE.dump_python(self, mode="json", exclude={"version", "resources"})
        return {**shown, "resources": {name: one.value for name, one in self.resources.items()}}


_STATE = TypeAdapter(WorkflowState)


class _Folding:
    """A state while events are added; the mappings are copied once, not once an event."""

    def __init__(self, state: WorkflowState) -> None:
        self.status = state.status
        self.version = state.version
        self.steps = dict(state.steps)
        self.resources = dict(state.resources)
        self.data = dict(state.data)
        self.output, self.error = state.output, state.error
        self.started_at, self.ended_at = state.started_at, state.ended_at

    def add(self, event: Event) -> None:
        self.version = event.version
        self.resources |= {
            name: ResourceValue(value, event.version, event.at) for name, value in event.resources.items()
        }
        self.data |= event.data
        if event.step_id is not None:
            self._step(event, event.step_id)
        after = STATUS_AFTER.get(event.type, self.status)
        if after is not self.status:
            self._status(after, event)

    def _step(self, event: Event, step_id: str) -> None:
        if event.type is WorkflowEventType.STEP_STARTED:
            self.steps[step_id] = Step(StepStatus.RUNNING, event.agent, event.input, started_at=event.at)
        elif event.type in _STEP_ENDS:
            self.steps[step_id] = self.steps.get(step_id, Step(StepStatus.RUNNING)).ended(event)

    def _status(self, after: WorkflowStatus, event: Event) -> None:
        if after is WorkflowStatus.RUNNING:
            self.started_at = event.at
        else:
            self.ended_at, self.output, self.error = event.at, event.output, event.error
        self.status = after

    def done(self) -> WorkflowState:
        return WorkflowState(
            self.version,
            self.status,
            self.steps,
            self.resources,
            self.data,
            self.output,
            self.error,
            self.started_at,
            self.ended_at,
        )


def fold(state: WorkflowState, events: Iterable[Event]) -> WorkflowState:
    """The state after `events`, which follow `state` in the log; in two parts or at once is the same."""
    folding = _Folding(state)
    for event in events:
        folding.add(event)
    return folding.done()


def needs_snapshot(version: int, status: WorkflowStatus) -> bool:
    """Whether the state at `version` is to be kept: every SNAPSHOT_EVERY events, and at the end."""
    return status.ended or (version > 0 and version % SNAPSHOT_EVERY == 0)
