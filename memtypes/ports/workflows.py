"""Stores of workflows. The docstrings are the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from memtypes.live.workflows import Event, WorkflowState, WorkflowStatus, fold
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Workflows in a chain, the youngest included."""

MAX_EVENTS = 10_000
"""Events of one workflow; a longer one continues in a child."""


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow to create. base: its state at version 0."""

    workflow_id: str
    parent_id: str | None
    base: WorkflowState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class IdempotentAnswer:
    """An answer that is stored with the event, for repeated calls. digest: of the request."""

    key: str
    digest: str
    answer: str


@dataclass(frozen=True, slots=True)
class AppendEvent:
    """An event to append. expected: the version that must be current; None for any."""

    workflow_id: str
    event: Event
    expected: int | None = None
    once: IdempotentAnswer | None = None


@dataclass(frozen=True, slots=True)
class EventAppended:
    """The result of an append. answer: the stored one if the call is a repetition; then nothing was appended."""

    version: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowLog:
    """A stored workflow. base: a state. events: those that follow it, up to the requested version.

    version: the newest. ancestors: ids, oldest first. lost: the events have expired, and `base` is the last state.
    """

    workflow_id: str
    parent_id: str | None
    version: int
    ancestors: tuple[str, ...]
    base: WorkflowState
    events: tuple[Event, ...]
    lost: bool = False

    @property
    def state(self) -> WorkflowState:
        """The state after the events."""
        return fold(self.base, self.events)


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A workflow of a chain; status and version are None if it has expired."""

    workflow_id: str
    parent_id: str | None = None
    status: WorkflowStatus | None = None
    version: int | None = None


class WorkflowStore(ABC):
    """Stores workflows, each for a day after its last event.

    An id of another scope is unknown. Every call is atomic. Raises Unavailable if the server is away.
    """

    @abstractmethod
    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Create a workflow.

        Raises Conflict if its id is taken, NotFound for an unknown parent, InvalidRequest if it would be its own
        ancestor or deeper than MAX_CHAIN.
        """

    @abstractmethod
    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event and refresh the TTL of the workflow and its ancestors.

        An event that ends the workflow shortens the TTL of its log, and lists the workflow as unrecorded. Raises
        NotFound, VersionConflict for another version than expected and for an ended workflow, Conflict for an
        idempotency key with another digest and for a full log.
        """

    @abstractmethod
    async def load(self, scope: Scope, workflow_id: str, at_version: int | None = None) -> WorkflowLog:
        """The workflow from its newest snapshot; from its beginning if `at_version` is older than that.

        Raises NotFound, and InvalidRequest for a future version.
        """

    @abstractmethod
    async def events(self, scope: Scope, workflow_id: str, after: int, limit: int) -> tuple[Event, ...]:
        """At most `limit` events after version `after`. Raises NotFound, also if the log has expired."""

    @abstractmethod
    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Store `state`, unless a newer snapshot exists or the workflow has expired."""

    @abstractmethod
    async def chain(self, scope: Scope, workflow_id: str) -> tuple[ChainLink, ...]:
        """The ancestors, oldest first, and the workflow itself. Raises NotFound for the workflow itself."""

    @abstractmethod
    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Whether the caller may record the ended workflow. A claim is exclusive and lasts for a minute."""

    @abstractmethod
    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Remove the workflow from the list of unrecorded ones."""

    @abstractmethod
    def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """Every ended workflow, of any scope, without a record."""
