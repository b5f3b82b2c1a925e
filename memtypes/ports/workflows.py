"""Port of the store of workflows. The docstrings are the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from memtypes.live.workflows import Event, OnEnd, WorkflowState, WorkflowStatus, fold
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Maximum number of workflows in a chain of parents, the youngest included."""

MAX_EVENTS = 10_000
"""Events of one workflow; a longer one continues in a child."""


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow to create. base: its initial state (version 0)."""

    workflow_id: str
    parent_id: str | None
    base: WorkflowState
    created_at: datetime
    on_end: OnEnd = OnEnd.FLUSH


@dataclass(frozen=True, slots=True)
class IdempotentAnswer:
    """An API answer to store with the event; repeated calls with `key` get it. digest: hash of the request."""

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
    """Result of appending an event. answer: the stored answer if the call was a repetition, else None."""

    version: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowLog:
    """A stored workflow. base: its state at a snapshot or the start. events: later ones, up to the requested version.

    version: its newest version. ancestors: ids, oldest first. lost: whether its events have expired; `base` is then its
    last state. on_end: what becomes of its threads and working items when it ends.
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
    """Ids of a workflow's threads, and of the sessions with its working items. Some may not exist any more."""

    threads: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkflowListing:
    """Which workflows to list: those with a status, children of a parent. cursor: `next_cursor` of the page before."""

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
    """Stores workflows, each for the TTL (a setting) after its last event, and at least as long as its descendants.

    The log of an ended workflow is kept until its descendants have ended too, and then for another TTL. An id of
    another scope is unknown. Every call is atomic. Raises Unavailable if the server can't be reached.
    """

    @abstractmethod
    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Create a workflow; its ancestors are kept at least as long as the workflow.

        Raises Conflict if its id is taken, NotFound for an unknown parent, InvalidRequest if it would be its own
        ancestor or deeper than MAX_CHAIN.
        """

    @abstractmethod
    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event and restart the TTL of the workflow; its ancestors are kept at least as long.

        An event that ends the workflow limits the TTL of its log, and lists the workflow as ended but not yet recorded
        as memories. Raises NotFound; VersionConflict if the version is not the expected one or the workflow has ended;
        Conflict if the idempotency key was used with another digest or the log is full.
        """

    @abstractmethod
    async def load(self, scope: Scope, workflow_id: str, at_version: int | None = None) -> WorkflowLog:
        """Load a workflow with the events since its newest snapshot, or with all events if `at_version` precedes it.

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
        """Return a page of the namespace's workflows. A short or empty page may not be the last.

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
        """Claim, for a minute, the right to write an ended workflow's memories; False if another caller has it."""

    @abstractmethod
    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Mark an ended workflow as recorded, that is, written as memories, so that `unrecorded` yields it no more."""

    @abstractmethod
    def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """Yield scope and id of every ended workflow, of all scopes, whose memories are not written yet."""
