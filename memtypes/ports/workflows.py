"""Port of the store of workflows. The docstrings are the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from memtypes.live.workflows import Event, OnEnd, WorkflowState, WorkflowStatus, fold
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Most workflows in a chain of parents, the youngest included."""

MAX_EVENTS = 10_000
"""Events of one workflow; a longer one continues in a child."""


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow to create. base: its state at version 0."""

    workflow_id: str
    parent_id: str | None
    base: WorkflowState
    created_at: datetime
    on_end: OnEnd = OnEnd.FLUSH


@dataclass(frozen=True, slots=True)
class IdempotentAnswer:
    """An answer of the API to store with the event, for repeated calls with `key`. digest: of the request."""

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
    """Result of appending an event. answer: the stored one if the call was repeated and nothing appended, else None."""

    version: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowLog:
    """A stored workflow. base: state at a snapshot or the start. events: those after it, up to the requested version.

    version: newest version. ancestors: ids, oldest first. lost: the events have expired, and `base` is the last state.
    on_end: what becomes of its threads and working items when it ends.
    """

    workflow_id: str
    parent_id: str | None
    version: int
    ancestors: tuple[str, ...]
    base: WorkflowState
    events: tuple[Event, ...]
    lost: bool = False
    on_end: OnEnd = OnEnd.FLUSH

    @property
    def state(self) -> WorkflowState:
        """The state of the workflow: `base` and the events after it."""
        return fold(self.base, self.events)


@dataclass(frozen=True, slots=True)
class WorkflowMembers:
    """What belongs to a workflow: threads by id, and the sessions that have working items of it. Some may be gone."""

    threads: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkflowListing:
    """Which workflows to list: of a status, or the children of one. cursor: `next_cursor` of the page before."""

    status: WorkflowStatus | None = None
    parent_id: str | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowSummary:
    """A workflow in a list. updated_at: time of its last event, or of its creation."""

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    on_end: OnEnd
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """A page of workflows, latest created first. next_cursor: None on the last page."""

    workflows: tuple[WorkflowSummary, ...]
    next_cursor: str | None


class WorkflowStore(ABC):
    """Stores workflows, each for its TTL (a setting) after its last event, and at least as long as its descendants.

    The log of an ended workflow is stored until its descendants have ended too, and then for a time of its own.

    An id of another scope is unknown. Every call is atomic. Raises Unavailable if the server is away.
    """

    @abstractmethod
    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Create a workflow; its ancestors are kept as long as it.

        Raises Conflict if its id is taken, NotFound for an unknown parent, InvalidRequest if it would be its own
        ancestor or deeper than MAX_CHAIN.
        """

    @abstractmethod
    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event and restart the TTL of the workflow; its ancestors are kept as long.

        An event that ends the workflow limits the TTL of its log, and lists the workflow as unrecorded. Raises
        NotFound, VersionConflict for another version than expected and for an ended workflow, Conflict for an
        idempotency key with another digest and for a full log.
        """

    @abstractmethod
    async def load(self, scope: Scope, workflow_id: str, at_version: int | None = None) -> WorkflowLog:
        """Load a workflow with the events since its newest snapshot; with all events if `at_version` is before that.

        Raises NotFound, and InvalidRequest for a future version.
        """

    @abstractmethod
    async def events(self, scope: Scope, workflow_id: str, after: int, limit: int) -> tuple[Event, ...]:
        """At most `limit` events after version `after`. Raises NotFound, also if the log has expired."""

    @abstractmethod
    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Store `state` as snapshot, unless a newer one exists or the workflow has expired."""

    @abstractmethod
    async def page(self, scope: Scope, listing: WorkflowListing) -> WorkflowPage:
        """Return a page of the workflows of the namespace. A short or even empty page need not be the last one.

        Raises InvalidRequest for a cursor that the store did not return.
        """

    @abstractmethod
    async def join(
        self, scope: Scope, workflow_id: str, *, thread: str | None = None, session: str | None = None
    ) -> None:
        """Add a thread or a session to the members of a workflow. Raises NotFound, and Conflict if it has ended."""

    @abstractmethod
    async def members(self, scope: Scope, workflow_id: str) -> WorkflowMembers:
        """Return the threads and sessions that have joined the workflow."""

    @abstractmethod
    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Claim the recording of an ended workflow for a minute; False if another caller has claimed it."""

    @abstractmethod
    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Mark an ended workflow as recorded: remove it from the list of unrecorded ones."""

    @abstractmethod
    def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """Yield scope and id of every ended workflow, of all scopes, that is not recorded."""
