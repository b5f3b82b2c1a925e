"""A small but honest store of workflows in memory, for tests that are about something else than Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from memtypes.live.events import Event
from memtypes.live.workflow_state import STATUS_AFTER, WorkflowState, WorkflowStatus
from memtypes.model.errors import Conflict, InvalidRequest, NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.ports.workflows import (
    MAX_CHAIN,
    MAX_EVENTS,
    AppendEvent,
    ChainLink,
    EventAppended,
    IdempotentAnswer,
    NewWorkflow,
    Recorder,
    WorkflowLog,
    WorkflowStore,
)


@dataclass
class _Kept:
    parent_id: str | None
    ancestors: tuple[str, ...]
    base: WorkflowState
    newest: WorkflowState
    status: WorkflowStatus = WorkflowStatus.PENDING
    events: list[Event] = field(default_factory=list)
    answers: dict[str, tuple[IdempotentAnswer, int]] = field(default_factory=dict)
    lost: bool = False


class FakeWorkflows(WorkflowStore):
    """Workflows in a dictionary. Nothing expires by itself: see `expire` and `lose_log`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._outbox: set[tuple[str, str, str]] = set()
        self._claimed: set[tuple[str, str, str]] = set()

    def expire(self, scope: Scope, workflow_id: str) -> None:
        """The workflow's life ends."""
        del self._kept[_key(scope, workflow_id)]

    def lose_log(self, scope: Scope, workflow_id: str) -> None:
        """The life of the log of an ended workflow ends."""
        self._of(scope, workflow_id).lost = True

    def forget_claims(self) -> None:
        """Whoever recorded something has died, and its time is over."""
        self._claimed.clear()

    def _of(self, scope: Scope, workflow_id: str) -> _Kept:
        try:
            return self._kept[_key(scope, workflow_id)]
        except KeyError as error:
            raise NotFound("no such workflow") from error

    async def create(self, scope: Scope, new: NewWorkflow) -> None:
        """Begin a workflow."""
        if _key(scope, new.workflow_id) in self._kept:
            raise Conflict("it exists")
        ancestors: tuple[str, ...] = ()
        if new.parent_id is not None:
            ancestors = (*self._of(scope, new.parent_id).ancestors, new.parent_id)
        if new.workflow_id in ancestors or len(ancestors) >= MAX_CHAIN:
            raise InvalidRequest("its own ancestor, or too deep", path="parent_id")
        self._kept[_key(scope, new.workflow_id)] = _Kept(new.parent_id, ancestors, new.base, new.base)

    async def append(self, scope: Scope, append: AppendEvent) -> EventAppended:
        """Append an event."""
        kept = self._of(scope, append.workflow_id)
        version = len(kept.events)
        if append.once is not None and append.once.key in kept.answers:
            once, before = kept.answers[append.once.key]
            if once.digest != append.once.digest:
                raise Conflict("another input")
            return EventAppended(before, once.answer)
        if kept.status.ended or append.expected not in (None, version):
            raise VersionConflict("ended or changed", current_version=version)
        if version >= MAX_EVENTS:
            raise Conflict("full")
        kept.events.append(Event.from_json(append.event.to_json(), version + 1))
        kept.status = STATUS_AFTER.get(append.event.type, kept.status)
        if kept.status.ended:
            self._outbox.add(_key(scope, append.workflow_id))
        if append.once is not None:
            kept.answers[append.once.key] = (append.once, version + 1)
        return EventAppended(version + 1)

    async def load(self, scope: Scope, workflow_id: str, at_version: int | None = None) -> WorkflowLog:
        """The workflow."""
        kept = self._of(scope, workflow_id)
        newest = len(kept.events)
        upto = newest if at_version is None else at_version
        if upto > newest:
            raise InvalidRequest("not there yet", path="at_version")
        base = kept.newest if upto >= kept.newest.version else kept.base
        events = kept.events[base.version : upto]
        if kept.lost and events:
            raise NotFound("its events are gone")
        return WorkflowLog(workflow_id, kept.parent_id, newest, kept.ancestors, base, tuple(events), kept.lost)

    async def events(self, scope: Scope, workflow_id: str, after: int, limit: int) -> tuple[Event, ...]:
        """A part of the log."""
        kept = self._of(scope, workflow_id)
        if kept.lost:
            raise NotFound("its events are gone")
        return tuple(kept.events[after : after + limit])

    async def snapshot(self, scope: Scope, workflow_id: str, state: WorkflowState) -> None:
        """Keep a state."""
        kept = self._kept.get(_key(scope, workflow_id))
        if kept is not None and kept.newest.version < state.version:
            kept.newest = state

    async def chain(self, scope: Scope, workflow_id: str) -> tuple[ChainLink, ...]:
        """The chain."""
        own = self._of(scope, workflow_id)
        return tuple(self._link(scope, one) for one in (*own.ancestors, workflow_id))

    def _link(self, scope: Scope, workflow_id: str) -> ChainLink:
        kept = self._kept.get(_key(scope, workflow_id))
        if kept is None:
            return ChainLink(workflow_id)
        return ChainLink(workflow_id, kept.parent_id, kept.status, len(kept.events))

    async def claim(self, scope: Scope, workflow_id: str) -> bool:
        """Whether the caller may record it."""
        key = _key(scope, workflow_id)
        free = key in self._outbox and key not in self._claimed
        if free:
            self._claimed.add(key)
        return free

    async def recorded(self, scope: Scope, workflow_id: str) -> None:
        """Take it from those to be recorded."""
        self._outbox.discard(_key(scope, workflow_id))

    async def unrecorded(self) -> AsyncIterator[tuple[Scope, str]]:
        """What is still to be recorded."""
        for tenant, namespace, workflow_id in sorted(self._outbox):
            yield Scope(tenant, namespace), workflow_id


class FakeRecorder(Recorder):
    """Remembers what it was asked to record; raises `failure` where there is one."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, WorkflowState]] = []
        self.failure: Exception | None = None

    async def record(self, _scope: Scope, workflow_id: str, state: WorkflowState) -> dict[str, str]:
        """An id made of the workflow's."""
        if self.failure is not None:
            raise self.failure
        self.recorded.append((workflow_id, state))
        return {"episodic": f"memory of {workflow_id}"}


def _key(scope: Scope, workflow_id: str) -> tuple[str, str, str]:
    return scope.tenant, scope.namespace, workflow_id
