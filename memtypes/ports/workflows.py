"""What workflows ask of their store and of whoever keeps their record. The contract is the docstrings here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from memtypes.live.events import Event
from memtypes.live.workflow_state import WorkflowState, WorkflowStatus
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Workflows of a chain, the youngest included."""

MAX_EVENTS = 10_000
"""Events of one workflow: a longer one goes on in a child."""


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow that is to begin. base: its state before any event."""

    workflow_id: str
    parent_id: str | None
    base: WorkflowState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class IdempotentAnswer:
    """What lets a repeated call find the first one's answer. digest: of what was asked; answer: kept with the event."""

    key: str
    digest: str
    answer: str


@dataclass(frozen=True, slots=True)
class AppendEvent:
    """An event for a workflow's log. expected: the version that must be current, or None."""

    workflow_id: str
    event: Event
    expected: int | None = None
    once: IdempotentAnswer | None = None


@dataclass(frozen=True, slots=True)
class EventAppended:
    """version: of the event. answer: the kept one when the call was a repetition, and nothing was appended."""

    version: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowLog:
    """A workflow as it is kept. base: a state; events: those that follow it, up to the version asked for.

    version: the newest. ancestors: ids, oldest first. lost: the events are no longer kept, `base` is the last state.
    """

    workflow_id: str
    parent_id: str | None
    version: int
    ancestors: tuple[str, ...]
    base: WorkflowState
    events: tuple[Event, ...]
    lost: bool = False


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A workflow of a chain; status and version are None when it has expired."""

    workflow_id: str
    parent_id: str | None = None
    status: WorkflowStatus | None = None
    version: int | None = None


class WorkflowStore(ABC):
    """Where workflows are kept: bounded by the scope, living a day after their last event.

    An id of another scope is as unknown as one that does not exist. Every call is atomic, whoever else calls. Raises
    Unavailable when the server is away.
    """

    @abstractmethod
    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Begin a workflow.

        Raises Conflict when its id is taken, NotFound for an unknown parent, InvalidRequest when it would be its own
        ancestor or deeper than MAX_CHAIN.
        """

    @abstractmethod
    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event and refresh the lives of the workflow and its ancestors.

        An event that ends the workflow shortens its log's life and puts the workflow among those to be recorded.
        Raises NotFound, VersionConflict for another version than expected and for what has ended, Conflict for a key
        used with another digest and for a full log.
        """

    @abstractmethod
    async def load(self, scope: Scope, workflow_id: str, at_version: int | None = None) -> WorkflowLog:
        """The workflow from its newest snapshot; up to `at_version`, from its beginning where that is older.

        Raises NotFound, and InvalidRequest for a version that is not there yet.
        """

    @abstractmethod
    async def events(self, scope: Scope, workflow_id: str, after: int, limit: int) -> tuple[Event, ...]:
        """At most `limit` events after version `after`. Raises NotFound, also when the log is no longer kept."""

    @abstractmethod
    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Keep `state`, unless a newer one is kept or the workflow is gone."""

    @abstractmethod
    async def chain(self, scope: Scope, workflow_id: str) -> tuple[ChainLink, ...]:
        """The ancestors, oldest first, and the workflow itself. Raises NotFound for the workflow itself."""

    @abstractmethod
    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Whether the caller may record the ended workflow now: one does, for a minute, until it is recorded."""

    @abstractmethod
    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Take the workflow from those to be recorded."""

    @abstractmethod
    def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """Every ended workflow, of any scope, that is still to be recorded."""
