"""A store of workflows in memory; it passes the contract suite in
`tests/contracts/test_workflow_store.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from memtypes.live.workflows import STATUS_AFTER, Event, OnEnd, WorkflowState, WorkflowStatus
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.ports.workflows import (
    MAX_CHAIN,
    MAX_EVENTS,
    AppendEvent,
    EventAppended,
    IdempotentAnswer,
    NewWorkflow,
    WorkflowListing,
    WorkflowLog,
    WorkflowMembers,
    WorkflowPage,
    WorkflowStore,
    WorkflowSummary,
)


@dataclass
class _Workflow:
    parent_id: str | None
    ancestors: tuple[str, ...]
    base: WorkflowState
    newest: WorkflowState
    status: WorkflowStatus = WorkflowStatus.PENDING
    events: list[Event] = field(default_factory=list)
    answers: dict[str, tuple[IdempotentAnswer, int]] = field(default_factory=dict)
    log_expired: bool = False
    created_at: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    on_end: OnEnd = OnEnd.FLUSH
    threads: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)


TTL_S = 24 * 3_600


class FakeWorkflows(WorkflowStore):
    """Workflows in a dictionary. Nothing expires unless a test calls `expire`, `expire_log` or
    `expire_claims`.
    """

    def __init__(self) -> None:
        self._workflows: dict[tuple[str, str, str], _Workflow] = {}
        self._unrecorded: set[tuple[str, str, str]] = set()
        self._claimed: set[tuple[str, str, str]] = set()
        self._overdue: list[tuple[str, str, str]] = []

    def pass_deadline(self, scope: Scope, workflow_id: str) -> None:
        """Make `expired` yield a workflow until it has ended, as if its TTL had passed."""
        self._overdue.append(_key(scope, workflow_id))

    async def expired(self) -> AsyncIterator[tuple[Scope, str, int]]:
        """Yield the workflows that are overdue and have not ended."""
        for tenant, namespace, workflow_id in self._overdue:
            workflow = self._workflows[tenant, namespace, workflow_id]
            if not workflow.status.ended:
                yield Scope(tenant, namespace), workflow_id, len(workflow.events)

    def expire(self, scope: Scope, workflow_id: str) -> None:
        """Remove a workflow, as if its TTL had passed."""
        del self._workflows[_key(scope, workflow_id)]

    def expire_log(self, scope: Scope, workflow_id: str) -> None:
        """Remove the event log of an ended workflow, as if its TTL had passed."""
        self._get(scope, workflow_id).log_expired = True

    def expire_claims(self) -> None:
        """Remove all claims to store workflows as memories, as if their TTL had passed."""
        self._claimed.clear()

    def mark_unrecorded(self, scope: Scope, workflow_id: str) -> None:
        """Make `unrecorded` yield an ended workflow again, as if its memories were not written
        yet.
        """
        self._unrecorded.add(_key(scope, workflow_id))
        self._claimed.clear()

    def _get(self, scope: Scope, workflow_id: str) -> _Workflow:
        try:
            return self._workflows[_key(scope, workflow_id)]
        except KeyError as error:
            raise NotFound("no such workflow") from error

    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Create a workflow. Raise Conflict if its id is taken and NotFound if its parent is
        unknown.
        """
        if _key(scope, new.workflow_id) in self._workflows:
            raise Conflict("it exists")
        ancestors: tuple[str, ...] = ()
        if new.parent_id is not None:
            ancestors = (*self._get(scope, new.parent_id).ancestors, new.parent_id)
        if new.workflow_id in ancestors or len(ancestors) >= MAX_CHAIN:
            raise InvalidRequest("its own ancestor, or too deep", path="parent_id")
        self._workflows[_key(scope, new.workflow_id)] = _Workflow(
            new.parent_id,
            ancestors,
            new.base,
            new.base,
            on_end=new.on_end,
            created_at=new.created_at,
        )

    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event to a workflow and return the new version.

        A repeated idempotency key returns the version and answer of the first call.
        """
        workflow = self._get(scope, append.workflow_id)
        version = len(workflow.events)
        if append.once is not None and append.once.key in workflow.answers:
            once, first_version = workflow.answers[append.once.key]
            if once.digest != append.once.digest:
                raise Conflict("another input")
            return EventAppended(first_version, once.answer)
        if workflow.status.ended or append.expected not in (None, version):
            raise VersionConflict("ended or changed", current_version=version)
        if version >= MAX_EVENTS:
            raise Conflict("full")
        workflow.events.append(Event.from_json(append.event.to_json(), version + 1))
        workflow.status = STATUS_AFTER.get(append.event.type, workflow.status)
        if workflow.status.ended:
            self._unrecorded.add(_key(scope, append.workflow_id))
        if append.once is not None:
            workflow.answers[append.once.key] = (append.once, version + 1)
        return EventAppended(version + 1)

    async def load(
        self, scope: Scope, workflow_id: str, at_version: int | None = None
    ) -> WorkflowLog:
        """Return a workflow with its newest snapshot at or before `at_version`, and the events
        since the snapshot.
        """
        workflow = self._get(scope, workflow_id)
        version = len(workflow.events)
        last = version if at_version is None else at_version
        if last > version:
            raise InvalidRequest("not there yet", path="at_version")
        base = workflow.newest if last >= workflow.newest.version else workflow.base
        events = tuple(workflow.events[base.version : last])
        if workflow.log_expired and events:
            raise NotFound("its events have expired")
        return WorkflowLog(
            workflow_id,
            workflow.parent_id,
            version,
            workflow.ancestors,
            base,
            events,
            workflow.log_expired,
            workflow.on_end,
            TTL_S,
        )

    async def events(
        self, scope: Scope, workflow_id: str, after: int, limit: int
    ) -> tuple[Event, ...]:
        """Return at most `limit` events after version `after`. Raise NotFound if the event log has
        expired.
        """
        workflow = self._get(scope, workflow_id)
        if workflow.log_expired:
            raise NotFound("its events have expired")
        return tuple(workflow.events[after : after + limit])

    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Store `state` as the workflow's newest snapshot, unless a newer one exists or the
        workflow is unknown.
        """
        workflow = self._workflows.get(_key(scope, workflow_id))
        if workflow is not None and workflow.newest.version < state.version:
            workflow.newest = state

    async def page(self, scope: Scope, listing: WorkflowListing) -> WorkflowPage:
        """Return a page of the namespace's workflows, latest first.

        The cursor is the number of workflows before the page.
        """
        if listing.cursor is not None and not listing.cursor.isdigit():
            raise InvalidRequest("no cursor", path="cursor")
        own = [
            (key[2], each)
            for key, each in self._workflows.items()
            if key[:2] == (scope.tenant, scope.namespace)
        ]
        own.sort(key=lambda pair: (pair[1].created_at, pair[0]), reverse=True)
        wanted = [
            _summary(workflow_id, workflow)
            for workflow_id, workflow in own
            if listing.status in (None, workflow.status)
            and listing.parent_id in (None, workflow.parent_id)
        ]
        first = int(listing.cursor or 0)
        end = first + listing.limit
        return WorkflowPage(tuple(wanted[first:end]), str(end) if end < len(wanted) else None)

    async def join(
        self,
        scope: Scope,
        workflow_id: str,
        *,
        thread: str | None = None,
        session: str | None = None,
    ) -> None:
        """Add a thread or session to a workflow. Raise Conflict if the workflow has ended."""
        workflow = self._get(scope, workflow_id)
        if workflow.status.ended:
            raise Conflict("it has ended")
        for name, names in ((thread, workflow.threads), (session, workflow.sessions)):
            if name is not None and name not in names:
                names.append(name)

    async def members(self, scope: Scope, workflow_id: str) -> WorkflowMembers:
        """Return the ids of the threads and sessions that were added to the workflow."""
        workflow = self._get(scope, workflow_id)
        return WorkflowMembers(tuple(workflow.threads), tuple(workflow.sessions))

    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Claim the right to write the memories of an ended workflow.

        Return False if another caller has claimed it or the memories are already written.
        """
        key = _key(scope, workflow_id)
        free = key in self._unrecorded and key not in self._claimed
        if free:
            self._claimed.add(key)
        return free

    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Note that the memories of an ended workflow are written."""
        self._unrecorded.discard(_key(scope, workflow_id))

    async def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """Yield scope and id of every ended workflow whose memories are not written yet."""
        for tenant, namespace, workflow_id in sorted(self._unrecorded):
            yield Scope(tenant, namespace), workflow_id


def _summary(workflow_id: str, workflow: _Workflow) -> WorkflowSummary:
    updated_at = workflow.events[-1].at if workflow.events else workflow.created_at
    version = len(workflow.events)
    fields = (
        workflow.parent_id,
        workflow.status,
        version,
        workflow.on_end,
        workflow.created_at,
        updated_at,
    )
    return WorkflowSummary(workflow_id, *fields)


def _key(scope: Scope, workflow_id: str) -> tuple[str, str, str]:
    return scope.tenant, scope.namespace, workflow_id
