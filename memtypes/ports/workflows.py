"""Port of the store of workflows, which are logs of events reported by agents. The docstrings are
the contract.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from memtypes.live.workflows import Event, OnEnd, WorkflowState, WorkflowStatus, fold
from memtypes.model.scope import Scope

MAX_CHAIN = 20
"""Maximum number of workflows in a chain of parents, the youngest included."""

MAX_EVENTS = 10_000
"""Maximum number of events of a workflow. A longer process continues in a child workflow."""


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow to create. base: its initial state. on_end: what its end does to its threads and
    working items.
    """

    workflow_id: str
    parent_id: str | None
    base: WorkflowState
    created_at: datetime
    on_end: OnEnd = OnEnd.FLUSH


@dataclass(frozen=True, slots=True)
class IdempotentAnswer:
    """An API answer to store with an event. digest: hash of the request; one with its key but
    another hash fails.
    """

    key: str
    digest: str
    answer: str


@dataclass(frozen=True, slots=True)
class AppendEvent:
    """An event to append. expected: the version required; None for any. once: the answer to a
    repeated call, if set.
    """

    workflow_id: str
    event: Event
    expected: int | None = None
    once: IdempotentAnswer | None = None


@dataclass(frozen=True, slots=True)
class EventAppended:
    """Result of appending an event. answer: that of the first call if this call repeats it, else
    None.
    """

    version: int
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowLog:
    """A stored workflow. base: its state at the start or at a snapshot. version: its newest
    version.

    events: the events from `base` up to the version that the caller asked for. ancestors: ids of
    its parent, the parent's parent and so on, oldest first. lost: whether its events have expired,
    so that `base` is its last state. on_end: what happens to its threads and working items when it
    ends. ttl_left_s: seconds until the workflow expires if no event follows.
    """

    workflow_id: str
    parent_id: str | None
    version: int
    ancestors: tuple[str, ...]
    base: WorkflowState
    events: tuple[Event, ...]
    lost: bool = False
    on_end: OnEnd = OnEnd.FLUSH
    ttl_left_s: int = 0

    @property
    def state(self) -> WorkflowState:
        """The state of the workflow, computed from `base` and `events`."""
        return fold(self.base, self.events)


@dataclass(frozen=True, slots=True)
class WorkflowMembers:
    """Ids of a workflow's threads, and of the sessions that have its working items. Some may have
    expired.
    """

    threads: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkflowListing:
    """Selects a page of workflows, by status and parent if set. cursor: `next_cursor` of the page
    before.
    """

    status: WorkflowStatus | None = None
    parent_id: str | None = None
    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowSummary:
    """A workflow in a list. updated_at: time of its last event, or of its creation if it has no
    events.
    """

    workflow_id: str
    parent_id: str | None
    status: WorkflowStatus
    version: int
    on_end: OnEnd
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """A page of workflows, newest first. next_cursor: the cursor to send for the next page; None on
    the last page.
    """

    workflows: tuple[WorkflowSummary, ...]
    next_cursor: str | None


class WorkflowStore(Protocol):
    """Stores workflows. A workflow expires when it and its descendants had no event for a
    configured TTL; one that has not ended is then yielded by `expired`, to be ended.

    The event log of an ended workflow is kept until its descendants have ended too, and then for
    another configured TTL. Ids of other scopes are unknown. Every call is atomic. Every method
    raises Unavailable when the store can't be reached.
    """

    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Create a workflow. Its ancestors are kept at least as long as the workflow itself.

        Raises Conflict if its id is taken, NotFound if its parent is unknown, InvalidRequest if it
        would be its own ancestor or the chain of parents would be longer than MAX_CHAIN.
        """

    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event and restart the workflow's TTL. Its parent and further ancestors expire
        no earlier than it.

        An event that ends the workflow also sets the TTL of its log; `unrecorded` then yields the
        workflow until its memories are written. A repeated call (same idempotency key) appends
        nothing and returns the first call's answer. Raises NotFound for an unknown workflow;
        VersionConflict if `append.expected` is not the current version or the workflow has ended;
        Conflict if the key was used for another request or the log is full (MAX_EVENTS).
        """

    async def load(
        self, scope: Scope, workflow_id: str, at_version: int | None = None
    ) -> WorkflowLog:
        """Return a workflow with its newest snapshot and the events since.

        at_version: load it as it was at this version, without later events; if that precedes the
        snapshot, all events from the start are loaded. None for the newest version. Raises NotFound
        if the workflow is unknown, and InvalidRequest if it has not reached `at_version`.
        """

    async def events(
        self, scope: Scope, workflow_id: str, after: int, limit: int
    ) -> tuple[Event, ...]:
        """Return at most `limit` events after version `after`. Raises NotFound if the workflow or
        its log is gone.
        """

    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Store `state`, so that `load` skips older events, unless a newer snapshot exists or the
        workflow expired.
        """

    async def page(self, scope: Scope, listing: WorkflowListing) -> WorkflowPage:
        """Return a page of workflows; more may follow one that is not full. Raises InvalidRequest
        for a bad cursor.
        """

    async def join(
        self,
        scope: Scope,
        workflow_id: str,
        *,
        thread: str | None = None,
        session: str | None = None,
    ) -> None:
        """Add a thread or session to a workflow. Raises NotFound for an unknown workflow, Conflict
        if it has ended.
        """

    def expired(self) -> AsyncIterator[tuple[Scope, str, int]]:
        """Yield the scope, id and version of every workflow, in all scopes, that has not ended and
        whose TTL is over. It can still be read and ended for a week.
        """

    async def members(self, scope: Scope, workflow_id: str) -> WorkflowMembers:
        """Return the ids of the threads and sessions that `join` added to the workflow."""

    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Claim the writing of an ended workflow's memories for a minute. False if it is claimed or
        done already.
        """

    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Mark an ended workflow as recorded, that is, stored as memories, so that `unrecorded` no
        longer yields it.
        """

    def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """Yield the scope and id of every ended workflow, in all scopes, that is not recorded as
        memories yet.
        """
