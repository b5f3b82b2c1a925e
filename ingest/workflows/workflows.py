"""Workflows: append-only logs of events, without secrets, from which states are computed (event
sourcing).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from pydantic import AfterValidator, Field, TypeAdapter

from ingest.screening.redaction.redactor import RedactedValue, Redactor
from ingest.workflows.ended_workflows import EndedWorkflows, EndRecord
from ingest.workflows.history import (
    SHORTEST_EVENT_TOKENS,
    ChainResource,
    HistoryView,
    LoggedWorkflow,
    Versions,
    WorkflowHistory,
    current_resources,
    events_of_state,
    history,
)
from memtypes.live.workflows import (
    SNAPSHOT_EVENTS,
    STATUS_AFTER,
    Event,
    JsonObject,
    NewEvent,
    OnEnd,
    StatusChange,
    WorkflowEventType,
    WorkflowId,
    WorkflowState,
    WorkflowStatus,
    small_json,
)
from memtypes.llms.registry import Tokens
from memtypes.model.errors import AccessDenied, NotFound, RemembrancerError, VersionConflict
from memtypes.model.memory import StrictModel
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Clock, to_utc
from memtypes.offload import offload
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.workflows import (
    AppendEvent,
    IdempotentAnswer,
    NewWorkflow,
    WorkflowLog,
    WorkflowStore,
)

_ATTEMPTS = 8
"""Maximum attempts of `resume`; an attempt fails if another caller appends an event meanwhile."""

DEFAULT_BUDGET = 8_000

_EXPIRED = "no event within its time to live"

_HISTORY = TypeAdapter(WorkflowHistory)

_log = logging.getLogger(__name__)


class WorkflowRequest(StrictModel):
    """A workflow to create.

    workflow_id: random by default. parent_id: the workflow that it continues. agent: the agent that
    begins it. data: its initial data. on_end: what happens to its threads and working-memory items
    when it ends. keep: they stay until they expire. flush: turns of threads become memories, and
    items are cleared. delete: both are deleted.
    """

    workflow_id: WorkflowId | None = None
    parent_id: WorkflowId | None = None
    agent: Name | None = None
    data: JsonObject = Field(default_factory=dict)
    on_end: OnEnd = OnEnd.FLUSH


def _not_blank_json(value: object) -> object:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError("must not be blank; give a text or another JSON value than null")
    return small_json(value)


class ResumeRequest(StrictModel):
    """A request to continue a workflow: `input`, any JSON, becomes an event, and the history before
    it is returned.

    agent: the agent that continues the workflow. budget: maximum tokens of the history. model: the
    language model whose tokenizer counts them. versions: "newest" shows only the current value of
    each resource (a named value that events set), "all" also earlier values. idempotency_key: a
    repeated request with it gets the same answer.
    """

    input: Annotated[Any, AfterValidator(_not_blank_json)]
    agent: Name | None = None
    budget: Tokens | None = None
    model: Name | None = None
    versions: Versions = Versions.NEWEST
    idempotency_key: Name | None = None


@dataclass(frozen=True, slots=True)
class Workflows:
    """Creates, appends to, reads and resumes workflows.

    Its methods raise NotFound, Conflict, VersionConflict, InvalidRequest and Unavailable as the
    store does. snapshot_events: number of events after which the state is stored again, so that
    reading replays few events.
    """

    store: WorkflowStore
    ended: EndedWorkflows
    tokenizer: Tokenizer
    clock: Clock
    redactor: Redactor
    snapshot_events: int = SNAPSHOT_EVENTS

    async def create(self, scope: Scope, request: WorkflowRequest) -> tuple[str, Mapping[str, int]]:
        """Create a workflow; return its id, and the number of secrets removed from its data, by
        kind.
        """
        agent = request.agent or scope.agent_id
        ids = {"workflow_id": request.workflow_id, "parent_id": request.parent_id, "agent": agent}
        self.redactor.check_ids(scope.tenant, ids)
        workflow_id = request.workflow_id or str(uuid.uuid4())
        cleaned = await self._clean(scope, dict(request.data))
        now = to_utc(self.clock())
        base = WorkflowState(
            data=cleaned.value, changes=(StatusChange(WorkflowStatus.PENDING, now, actor=agent),)
        )
        new = NewWorkflow(workflow_id, request.parent_id, base, now, request.on_end)
        await self.store.create(scope, new)
        return workflow_id, cleaned.counts

    async def append(
        self, scope: Scope, workflow_id: str, new: NewEvent
    ) -> tuple[int, Mapping[str, int], EndRecord]:
        """Append an event, and clean up if it ends the workflow.

        Returns the workflow's new version, the number of secrets removed from the event, by kind,
        and what its end did. Raises AccessDenied if the event ends a workflow that another agent
        began, and the API key is bound to agents.
        """
        agent = new.agent or scope.agent_id
        self.redactor.check_ids(scope.tenant, {"step_id": new.step_id, "agent": agent})
        ends = STATUS_AFTER.get(new.type, WorkflowStatus.PENDING).ended
        if ends and scope.agents:
            starters = [
                change.actor
                for change in (await self.store.load(scope, workflow_id)).state.changes[:1]
            ]
            if starters != [scope.agent_id]:
                by = " by " + repr(starters[0]) if starters and starters[0] else ""
                raise AccessDenied(
                    f"agent {scope.agent_id!r} may not end workflow {workflow_id!r}, begun{by}; "
                    "call as the agent that began it, or with a key that is bound to no agent"
                )
        cleaned = await self._clean(scope, new.payload())
        event = new.model_copy(update={**cleaned.value, "agent": agent}).at(to_utc(self.clock()))
        appended = await self.store.append(
            scope, AppendEvent(workflow_id, event, new.expected_version)
        )
        await self._snapshot_if_due(scope, workflow_id, appended.version)
        end_record = await self.ended.record(scope, workflow_id) if ends else EndRecord()
        return appended.version, cleaned.counts, end_record

    async def expire(self) -> int:
        """End the workflows whose time is over without an event that ended them, in all scopes, and
        clean up after them; return how many.
        """
        ended = 0
        async for scope, workflow_id, version in self.store.expired():
            event = Event(WorkflowEventType.EXPIRED, to_utc(self.clock()), reason=_EXPIRED)
            try:
                await self.store.append(scope, AppendEvent(workflow_id, event, version))
            except (NotFound, VersionConflict):
                _log.debug("a workflow went on or ended while it was to expire")
                continue
            await self.ended.record(scope, workflow_id)
            ended += 1
        return ended

    async def chain(self, scope: Scope, workflow_id: str) -> list[WorkflowLog]:
        """The workflow and its ancestors that have not expired, oldest first."""

        async def load_ancestor(ancestor_id: str) -> WorkflowLog | None:
            try:
                return await self.store.load(scope, ancestor_id)
            except NotFound:
                return None

        log = await self.store.load(scope, workflow_id)
        ancestors = await asyncio.gather(*map(load_ancestor, log.ancestors))
        return [*(ancestor for ancestor in ancestors if ancestor is not None), log]

    async def resources(self, scope: Scope, workflow_id: str) -> list[ChainResource]:
        """The newest value of each resource (named value) in the workflow and its ancestors, the
        latest value first.
        """
        return current_resources(
            (log.workflow_id, log.state) for log in await self.chain(scope, workflow_id)
        )

    async def history(
        self, scope: Scope, workflow_id: str, view: HistoryView
    ) -> tuple[WorkflowHistory, int]:
        """Return the history of the workflow and its ancestors as text, and the version up to which
        it goes.
        """
        logs = await self.chain(scope, workflow_id)
        return await self._history(scope, logs, view), logs[-1].version

    async def resume(
        self, scope: Scope, workflow_id: str, request: ResumeRequest, view: HistoryView
    ) -> tuple[WorkflowHistory, int, Mapping[str, int]]:
        """Append the request's input as the next event, after reading the history of the workflow
        and its ancestors.

        Returns the history, the workflow's version after the event, and the number of secrets
        removed from the input, by kind. With an idempotency key, a repeated call gets the first
        answer again and appends nothing. If another caller appends an event meanwhile, this starts
        again with a newly read history; after a few attempts, it raises VersionConflict. view: how
        to write the history.
        """
        self.redactor.check_ids(
            scope.tenant, {"idempotency_key": request.idempotency_key, "agent": request.agent}
        )
        cleaned = await self._clean(scope, request.input)
        request = request.model_copy(
            update={"input": cleaned.value, "agent": request.agent or scope.agent_id}
        )
        for attempt in range(1, _ATTEMPTS + 1):
            logs = await self.chain(scope, workflow_id)
            version = logs[-1].version
            answer = await self._history(scope, logs, view)
            kind = WorkflowEventType.NOTE if version else WorkflowEventType.STARTED
            event = Event(kind, to_utc(self.clock()), agent=request.agent, input=request.input)
            idempotent_answer = _idempotent_answer(request, answer)
            try:
                appended = await self.store.append(
                    scope, AppendEvent(workflow_id, event, version, idempotent_answer)
                )
                break
            except VersionConflict as conflict:
                if attempt == _ATTEMPTS or conflict.current_version == version:
                    raise
        if appended.answer is not None:
            answer = _HISTORY.validate_json(appended.answer)
        else:
            await self._snapshot_if_due(scope, workflow_id, appended.version)
        return answer, appended.version, cleaned.counts

    async def _clean(self, scope: Scope, value: Any) -> RedactedValue[Any]:
        return await offload([json.dumps(value)], lambda: self.redactor.clean(scope.tenant, value))

    async def _snapshot_if_due(self, scope: Scope, workflow_id: str, version: int) -> None:
        if version % self.snapshot_events:
            return
        try:
            log = await self.store.load(scope, workflow_id, version)
            await self.store.snapshot(scope, workflow_id, log.state)
        except RemembrancerError as error:
            _log.warning(
                "a workflow's snapshot at version %s was not stored: %s",
                version,
                type(error).__name__,
            )

    async def _history(
        self, scope: Scope, logs: list[WorkflowLog], view: HistoryView
    ) -> WorkflowHistory:
        limit = view.budget // SHORTEST_EVENT_TOKENS
        events = await asyncio.gather(*(self._newest(scope, log, limit) for log in logs))
        chain = [
            LoggedWorkflow(log, log.state, newest) for log, newest in zip(logs, events, strict=True)
        ]
        return await to_thread.run_sync(history, chain, view)

    async def _newest(self, scope: Scope, log: WorkflowLog, limit: int) -> tuple[Event, ...]:
        """The workflow's newest `limit` events; if its log has expired, events reconstructed from
        its last state.
        """
        if log.base.version == 0:
            return log.events
        if not log.lost:
            after = max(0, log.version - limit)
            try:
                return await self.store.events(scope, log.workflow_id, after, log.version - after)
            except NotFound:
                _log.debug("the log of an ended workflow expired while it was read")
        return tuple(events_of_state(log.state))


def _idempotent_answer(request: ResumeRequest, answer: WorkflowHistory) -> IdempotentAnswer | None:
    if request.idempotency_key is None:
        return None
    arguments = [request.input, request.agent, request.budget, request.model, request.versions]
    digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
    return IdempotentAnswer(request.idempotency_key, digest, _HISTORY.dump_json(answer).decode())
