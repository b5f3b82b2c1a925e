"""Events of workflows: as a caller sends them, and as the log stores them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from memtypes.model.memory import Model, Whole, check_json
from memtypes.model.scope import Name

MAX_EVENT_BYTES = 256 * 1024
MAX_RESOURCES = 1_000


class WorkflowEventType(StrEnum):
    """The types of event."""

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


_STEP_TYPES = (WorkflowEventType.STEP_STARTED, WorkflowEventType.STEP_COMPLETED, WorkflowEventType.STEP_FAILED)
_REQUIRED = {WorkflowEventType.RESOURCE_CHANGED: "resources", WorkflowEventType.DATA_SET: "data"}


def small_json(value: object) -> object:
    """`value` itself, if it is plain JSON of at most MAX_EVENT_BYTES."""
    check_json(value, MAX_EVENT_BYTES)
    return value


def path_safe(value: str) -> str:
    """`value` itself, if it can be part of a URL's path."""
    if "/" in value or "\\" in value or value in (".", ".."):
        raise ValueError("must not contain slashes, because it is part of a path")
    return value


WorkflowId = Annotated[Name, AfterValidator(path_safe)]
Json = Annotated[Any, AfterValidator(small_json)]
JsonObject = Annotated[dict[str, Any], AfterValidator(small_json)]
Resources = Annotated[dict[Name, Any], Field(max_length=MAX_RESOURCES), AfterValidator(small_json)]


class NewEvent(Model):
    """An event as a caller sends it.

    input, output, error: any JSON. resources, data: merged into the state's by key, whatever the type.
    expected_version: the event is refused if another version is current.
    """

    type: WorkflowEventType
    step_id: Name | None = None
    agent: Name | None = None
    input: Json = None
    output: Json = None
    error: Json = None
    resources: Resources | None = None
    data: JsonObject | None = None
    expected_version: Annotated[Whole, Field(ge=0, lt=2**53)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type in _STEP_TYPES and self.step_id is None:
            raise ValueError(f"an event of type {self.type} needs a step_id")
        required = _REQUIRED.get(self.type)
        if required and getattr(self, required) is None:
            raise ValueError(f"an event of type {self.type} needs {required}")
        small_json([self.input, self.output, self.error, self.resources, self.data])
        return self

    def payload(self) -> dict[str, Any]:
        """The values that may contain secrets, without those that are None."""
        values = {name: getattr(self, name) for name in ("input", "output", "error", "resources", "data")}
        return {name: value for name, value in values.items() if value is not None}

    def at(self, moment: datetime) -> Event:
        """The event for the log, which assigns its version."""
        fields = {name: getattr(self, name) for name in ("step_id", "agent", "input", "output", "error")}
        return Event(self.type, moment, **fields, resources=self.resources or {}, data=self.data or {})


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the log. version: its position, from 1; 0 before it is appended."""

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

    def to_json(self) -> bytes:
        """The event as the log stores it: JSON without default values."""
        return _EVENT.dump_json(self, exclude_defaults=True)

    @classmethod
    def from_json(cls, stored: bytes | str, version: int) -> Event:
        """The event of `to_json`, with its version."""
        return replace(_EVENT.validate_json(stored), version=version)

    def members(self) -> dict[str, Any]:
        """The event for an API answer, without default values."""
        members: dict[str, Any] = _EVENT.dump_python(self, mode="json", exclude_defaults=True)
        return {"version": self.version, **members}


_EVENT = TypeAdapter(Event)
