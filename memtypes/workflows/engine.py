"""What can be done with workflows, whatever keeps them: begin, report, look, follow the chain, go on.

Knows the port, the reducer and a tokenizer. Snapshots and records are made after an event is kept, and their failure
never fails the event: a missing snapshot costs a longer fold, a missing record is made up for later.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memtypes.errors import NotFound, RemembrancerError, VersionConflict
from memtypes.ports import Tokenizer
from memtypes.scope import Scope
from memtypes.times import Clock, to_utc
from memtypes.workflows.events import Event, NewEvent, WorkflowEventType
from memtypes.workflows.history import LEAST, Past, history, told_by
from memtypes.workflows.ports import Append, Link, Log, NewWorkflow, Once, Recorder, WorkflowStore
from memtypes.workflows.state import STATUS_AFTER, Resource, Status, WorkflowState, fold, needs_snapshot

_TRIES = 8
"""How often going on reads again, when others report events between the reading and the writing."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A workflow to begin. workflow_id: None for one that is made up. data: of its first state."""

    workflow_id: str | None = None
    parent_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reported:
    """version: of the event. memories: ids by type, when the event ended the workflow and its record was kept."""

    version: int
    memories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """A workflow with its state at the version asked for."""

    workflow_id: str
    parent_id: str | None
    state: WorkflowState


@dataclass(frozen=True, slots=True)
class Chain:
    """links: oldest first, the workflow itself last; without those that are gone. gap: whether any is gone."""

    links: tuple[Link, ...]
    gap: bool
    cycle: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A resource of a chain: the newest value, and which event of which workflow set it."""

    id: str
    resource: Resource
    workflow_id: str


@dataclass(frozen=True, slots=True)
class Resumption:
    """How to go on. input: what comes next, as any JSON. budget: tokens of the history."""

    input: Any
    budget: int
    idempotency_key: str | None = None

    def once(self, told: Mapping[str, Any]) -> Once | None:
        """What makes a repetition find `told`; None without a key."""
        if self.idempotency_key is None:
            return None
        asked = json.dumps([self.input, self.budget], sort_keys=True).encode()
        return Once(self.idempotency_key, hashlib.sha256(asked).hexdigest(), json.dumps(told))


@dataclass(frozen=True, slots=True)
class Resumed:
    """history: the text before this input, of total_tokens. omitted: events that are not whole in it."""

    history: str
    version: int
    total_tokens: int
    budget: int
    tokenizer: str
    omitted: int


class Workflows:
    """Raises NotFound, Conflict, InvalidRequest and Unavailable as the store does."""

    def __init__(self, store: WorkflowStore, tokenizer: Tokenizer, clock: Clock, recorder: Recorder) -> None:
        self._store = store
        self._tokenizer = tokenizer
        self._clock = clock
        self._recorder = recorder

    async def begin(self, scope: Scope, beginning: Beginning) -> str:
        """The id of the workflow that was begun, at version 0."""
        workflow_id = beginning.workflow_id or str(uuid.uuid4())
        base = WorkflowState(data=dict(beginning.data))
        new = NewWorkflow(workflow_id, beginning.parent_id, base, to_utc(self._clock()))
        await self._store.create(scope, new)
        return workflow_id

    async def report(self, scope: Scope, workflow_id: str, event: NewEvent) -> Reported:
        """The version that the event got."""
        kept = event.at(to_utc(self._clock()))
        appended = await self._store.append(scope, Append(workflow_id, kept, event.expected_version))
        status = STATUS_AFTER.get(event.type, Status.PENDING)
        if needs_snapshot(appended.version, status):
            await self._snapshot(scope, workflow_id, appended.version)
        return Reported(appended.version, await self._record(scope, workflow_id) if status.ended else {})

    async def look(self, scope: Scope, workflow_id: str, at_version: int | None = None) -> Seen:
        """The workflow's state, now or after the event `at_version`."""
        log = await self._store.load(scope, workflow_id, at_version)
        return Seen(workflow_id, log.parent_id, fold(log.base, log.events))

    async def events(self, scope: Scope, workflow_id: str, after: int, limit: int) -> tuple[Event, ...]:
        """At most `limit` events after the version `after`."""
        return await self._store.events(scope, workflow_id, after, limit)

    async def chain(self, scope: Scope, workflow_id: str) -> Chain:
        """The workflow's ancestors and itself. A cycle can't be: parents are fixed when a workflow begins."""
        links = await self._store.chain(scope, workflow_id)
        there = tuple(link for link in links if link.status is not None)
        return Chain(there, gap=len(there) < len(links))

    async def resources(self, scope: Scope, workflow_id: str) -> list[Found]:
        """Every resource of the chain once, with its newest value; newest first."""
        newest: dict[str, Found] = {}
        for log in await self._logs(scope, workflow_id):
            for name, one in fold(log.base, log.events).resources.items():
                before = newest.get(name)
                if before is None or before.resource.at <= one.at:
                    newest[name] = Found(name, one, log.workflow_id)
        return sorted(newest.values(), key=lambda found: (found.resource.at, found.resource.version), reverse=True)

    async def resume(self, scope: Scope, workflow_id: str, resumption: Resumption) -> Resumed:
        """The history before this input, which becomes the next event; a repetition gives the first answer again."""
        for left in reversed(range(_TRIES)):
            logs = await self._logs(scope, workflow_id)
            told = self._told(logs, await self._pasts(scope, logs, resumption.budget // LEAST), resumption.budget)
            kind = WorkflowEventType.NOTE if logs[-1].version else WorkflowEventType.STARTED
            event = Event(kind, to_utc(self._clock()), input=resumption.input)
            append = Append(workflow_id, event, logs[-1].version, resumption.once(told))
            try:
                appended = await self._store.append(scope, append)
            except VersionConflict as conflict:
                if not left or conflict.current_version == logs[-1].version:
                    raise
                continue
            if appended.answer is None and needs_snapshot(appended.version, Status.RUNNING):
                await self._snapshot(scope, workflow_id, appended.version)
            return Resumed(version=appended.version, **(json.loads(appended.answer) if appended.answer else told))
        raise AssertionError("the last try returns or raises")

    async def record_ended(self) -> int:
        """How many ended workflows were recorded whose record had been missed."""
        done = 0
        async for scope, workflow_id in self._store.unrecorded():
            done += bool(await self._record(scope, workflow_id))
        return done

    def _told(self, logs: list[Log], pasts: list[Past], budget: int) -> dict[str, Any]:
        written = history(pasts, budget, self._tokenizer)
        missing = sum(max(0, log.version - len(past.events)) for log, past in zip(logs, pasts, strict=True))
        return {
            "history": written.text,
            "total_tokens": written.tokens,
            "budget": budget,
            "tokenizer": self._tokenizer.name,
            "omitted": written.omitted + missing,
        }

    async def _logs(self, scope: Scope, workflow_id: str) -> list[Log]:
        """The chain's workflows that are still there, oldest first."""
        own = await self._store.load(scope, workflow_id)
        logs: list[Log] = []
        for ancestor in own.ancestors:
            try:
                logs.append(await self._store.load(scope, ancestor))
            except NotFound:
                _log.debug("a chain has a gap: an ancestor has expired")
        return [*logs, own]

    async def _pasts(self, scope: Scope, logs: list[Log], most: int) -> list[Past]:
        """Each workflow with its newest `most` events; one whose events are gone, with what its last state tells."""
        pasts: list[Past] = []
        for log in logs:
            known = log.events if log.base.version == 0 else await self._newest(scope, log, most)
            pasts.append(Past(log.workflow_id, known))
        return pasts

    async def _newest(self, scope: Scope, log: Log, most: int) -> tuple[Event, ...]:
        if not log.lost:
            before = max(0, log.version - most)
            try:
                return await self._store.events(scope, log.workflow_id, before, log.version - before)
            except NotFound:
                _log.debug("the log of an ended workflow went while it was read")
        return tuple(told_by(fold(log.base, log.events)))

    async def _snapshot(self, scope: Scope, workflow_id: str, version: int) -> None:
        try:
            log = await self._store.load(scope, workflow_id, version)
            await self._store.snapshot(scope, workflow_id, fold(log.base, log.events))
        except RemembrancerError as error:
            _log.warning("no snapshot of a workflow at version %s: %s", version, type(error).__name__)

    async def _record(self, scope: Scope, workflow_id: str) -> dict[str, str]:
        """The ids of the memories that keep an ended workflow; none when another records it, or when it must wait."""
        try:
            if not await self._store.claim(scope, workflow_id):
                return {}
            log = await self._store.load(scope, workflow_id)
            memories = await self._recorder.record(scope, workflow_id, fold(log.base, log.events))
            await self._store.recorded(scope, workflow_id)
        except NotFound:
            await self._store.recorded(scope, workflow_id)
            return {}
        except RemembrancerError as error:
            _log.warning("an ended workflow is not recorded yet: %s", type(error).__name__)
            return {}
        return memories
