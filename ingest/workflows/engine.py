"""What can be done with workflows, whatever keeps them: begin, report, look, follow the chain, go on.

Knows the port, the reducer and a tokenizer. Secrets are taken out of whatever a caller sends before it is kept.
"""

from __future__ import annotations

import json
import logging
import uuid
from dataclasses import replace
from typing import Any

from anyio import to_thread

from ingest.screening.redaction.gate import Cleaned, Redactor
from ingest.workflows.aftermath import Aftermath
from ingest.workflows.history import LEAST, Past, history, told_by
from ingest.workflows.requests import Beginning, Begun, Chain, Found, Reported, Resumed, Resumption, Seen
from memtypes.live.events import Event, NewEvent, WorkflowEventType
from memtypes.live.workflow_state import STATUS_AFTER, WorkflowState, WorkflowStatus, fold
from memtypes.model.errors import NotFound, VersionConflict
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, to_utc
from memtypes.ports.tokenizer import Tokenizer
from memtypes.ports.workflows import AppendEvent, NewWorkflow, Recorder, WorkflowLog, WorkflowStore

LARGE = 20_000
"""Characters from which what is sent is looked through beside the event loop."""

_TRIES = 8
"""How often going on reads again, when others report events between the reading and the writing."""

_log = logging.getLogger(__name__)


class Workflows:
    """Raises NotFound, Conflict, InvalidRequest and Unavailable as the store does."""

    def __init__(
        self, store: WorkflowStore, tokenizer: Tokenizer, clock: Clock, recorder: Recorder, redactor: Redactor
    ) -> None:
        self._store = store
        self._tokenizer = tokenizer
        self._clock = clock
        self._aftermath = Aftermath(store, recorder)
        self._redactor = redactor

    async def begin(self, scope: Scope, beginning: Beginning) -> Begun:
        """The workflow that was begun, at version 0."""
        workflow_id = beginning.workflow_id or str(uuid.uuid4())
        cleaned = await self._clean(scope, dict(beginning.data))
        base = WorkflowState(data=cleaned.value)
        new = NewWorkflow(workflow_id, beginning.parent_id, base, to_utc(self._clock()))
        await self._store.create(scope, new)
        return Begun(workflow_id, cleaned.counts)

    async def report(self, scope: Scope, workflow_id: str, event: NewEvent) -> Reported:
        """The version that the event got."""
        cleaned = await self._clean(scope, event.told())
        kept = event.model_copy(update=cleaned.value).at(to_utc(self._clock()))
        appended = await self._store.append(scope, AppendEvent(workflow_id, kept, event.expected_version))
        status = STATUS_AFTER.get(event.type, WorkflowStatus.PENDING)
        memories = await self._aftermath.follow(scope, workflow_id, appended.version, status)
        return Reported(appended.version, memories, cleaned.counts)

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
        cleaned = await self._clean(scope, resumption.input)
        resumption = replace(resumption, input=cleaned.value)
        for left in reversed(range(_TRIES)):
            logs = await self._logs(scope, workflow_id)
            told = self._told(logs, await self._pasts(scope, logs, resumption.budget // LEAST), resumption.budget)
            kind = WorkflowEventType.NOTE if logs[-1].version else WorkflowEventType.STARTED
            event = Event(kind, to_utc(self._clock()), input=resumption.input)
            append = AppendEvent(workflow_id, event, logs[-1].version, resumption.once(told))
            try:
                appended = await self._store.append(scope, append)
            except VersionConflict as conflict:
                if not left or conflict.current_version == logs[-1].version:
                    raise
                continue
            if appended.answer is None:
                await self._aftermath.follow(scope, workflow_id, appended.version, WorkflowStatus.RUNNING)
            answer = json.loads(appended.answer) if appended.answer else told
            return Resumed(version=appended.version, redactions=cleaned.counts, **answer)
        raise AssertionError("the last try returns or raises")

    async def record_ended(self) -> int:
        """How many ended workflows were recorded whose record had been missed."""
        return await self._aftermath.record_ended()

    async def _clean(self, scope: Scope, value: Any) -> Cleaned:
        """What a caller sent, without the secrets that its tenant does not allow; ids are addresses and stay."""
        if len(json.dumps(value)) < LARGE:
            return self._redactor.clean(scope.tenant, value)
        return await to_thread.run_sync(self._redactor.clean, scope.tenant, value)

    def _told(self, logs: list[WorkflowLog], pasts: list[Past], budget: int) -> dict[str, Any]:
        written = history(pasts, budget, self._tokenizer)
        missing = sum(max(0, log.version - len(past.events)) for log, past in zip(logs, pasts, strict=True))
        return {
            "history": written.text,
            "total_tokens": written.tokens,
            "budget": budget,
            "tokenizer": self._tokenizer.name,
            "omitted": written.omitted + missing,
        }

    async def _logs(self, scope: Scope, workflow_id: str) -> list[WorkflowLog]:
        """The chain's workflows that are still there, oldest first."""
        own = await self._store.load(scope, workflow_id)
        logs: list[WorkflowLog] = []
        for ancestor in own.ancestors:
            try:
                logs.append(await self._store.load(scope, ancestor))
            except NotFound:
                _log.debug("a chain has a gap: an ancestor has expired")
        return [*logs, own]

    async def _pasts(self, scope: Scope, logs: list[WorkflowLog], most: int) -> list[Past]:
        """Each workflow with its newest `most` events; one whose events are gone, with what its last state tells."""
        pasts: list[Past] = []
        for log in logs:
            known = log.events if log.base.version == 0 else await self._newest(scope, log, most)
            pasts.append(Past(log.workflow_id, known))
        return pasts

    async def _newest(self, scope: Scope, log: WorkflowLog, most: int) -> tuple[Event, ...]:
        if not log.lost:
            before = max(0, log.version - most)
            try:
                return await self._store.events(scope, log.workflow_id, before, log.version - before)
            except NotFound:
                _log.debug("the log of an ended workflow went while it was read")
        return tuple(told_by(fold(log.base, log.events)))
