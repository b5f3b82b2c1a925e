"""Cleans up after ended workflows and writes memories about them.

By its option `on_end`, a workflow's threads and working-memory items are kept, deleted or flushed
(turns become memories, items are cleared). The memories are an episode and, if a complex task
succeeded, a procedure.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.conversations.threads import Threads
from ingest.working.working_memory import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.live.workflows import (
    Event,
    OnEnd,
    Step,
    StepStatus,
    WorkflowEventType,
    WorkflowState,
    WorkflowStatus,
    value_text,
)
from memtypes.model.episodic import EpisodicDraft, EventType
from memtypes.model.errors import NotFound, RemembrancerError
from memtypes.model.memory import MAX_LABEL, Source
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.scope import Scope
from memtypes.model.types import AnyDraft
from memtypes.ports.workflows import WorkflowLog, WorkflowStore

COMPLEX = 5
"""A successful workflow with more completed steps than this is also recorded as a procedure (a
how-to memory).
"""

MAX_SHOWN = 400
"""Maximum characters of an input, output or error in a memory about a workflow; longer ones are
cut.
"""

MAX_STEPS = 200
"""Maximum number of steps in the memories of a workflow; later steps are left out."""

MAX_TROUBLES = 50
"""Maximum number of failed attempts and notes in the memories of a workflow; later ones are left
out.
"""

_PAGE = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_TROUBLES = (WorkflowEventType.STEP_FAILED, WorkflowEventType.NOTE)

_NAMES = ("name", "title", "goal", "task")
"""Keys of a workflow's data, the first of which that has a text as value gives the workflow its
name.
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EndRecord:
    """Result of recording an ended workflow. memories: ids of the memories written about it, by
    memory type.

    threads, items: numbers of its threads that were deleted, and of its working items that were
    cleared or deleted.
    """

    memories: Mapping[str, str] = field(default_factory=dict)
    threads: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True)
class EndedWorkflows:
    """Ends the threads and working-memory items of ended workflows, and writes memories about these
    workflows.
    """

    store: WorkflowStore
    ingestor: Ingestor
    threads: Threads
    working: WorkingMemory

    async def record(self, scope: Scope, workflow_id: str) -> EndRecord:
        """End what belongs to an ended workflow, and write memories about it, once. Errors are
        logged, not raised.
        """
        scope = scope.unbound  # the threads and items of all agents end
        try:
            if not await self.store.claim(scope, workflow_id):
                return EndRecord()
            log = await self.store.load(scope, workflow_id)
            await self.store.snapshot(scope, workflow_id, log.state)  # outlives the log
            threads, items = await self._clean_up(scope, log)
            troubles = () if log.lost else await self._troubles(scope, log)
            memory_ids: dict[str, str] = {}
            for draft in drafts(workflow_id, log.state, troubles):
                outcome = await self.ingestor.write_one(scope, draft)
                if memory_id := outcome.id:
                    memory_ids[draft.type] = memory_id
            await self.store.recorded(scope, workflow_id)
        except NotFound:
            await self.store.recorded(scope, workflow_id)
            return EndRecord()
        except RemembrancerError as error:
            _log.warning(
                "an ended workflow has no memories yet; this is tried again: %s",
                type(error).__name__,
            )
            return EndRecord()
        return EndRecord(memory_ids, threads, items)

    async def record_all(self) -> int:
        """Call `record` again for all ended workflows for which it did not finish; return how many
        got memories.
        """
        records = [
            await self.record(scope, workflow_id)
            async for scope, workflow_id in self.store.unrecorded()
        ]
        return sum(bool(record.memories) for record in records)

    async def _clean_up(self, scope: Scope, log: WorkflowLog) -> tuple[int, int]:
        """End the threads and working-memory items as `on_end` says; return the number of threads
        and of items.
        """
        if log.on_end is OnEnd.KEEP:
            return 0, 0
        delete = log.on_end is OnEnd.DELETE
        members = await self.store.members(scope, log.workflow_id)
        threads = await self.threads.end(scope, members.threads, flush=not delete)
        sessions = [replace(scope, session_id=session_id) for session_id in members.sessions]
        items = [
            await self.working.end_workflow(session, log.workflow_id, delete=delete)
            for session in sessions
        ]
        return threads, sum(items)

    async def _troubles(self, scope: Scope, log: WorkflowLog) -> Sequence[Event]:
        """The first MAX_TROUBLES failed attempts and notes in the log that the workflow's last
        state does not show.
        """
        troubles: list[Event] = []
        for after in range(0, log.version, _PAGE):
            page = await self.store.events(scope, log.workflow_id, after, _PAGE)
            troubles += [event for event in page if event.type in _TROUBLES]
        failures = {
            event.step_id: event.version
            for event in troubles
            if event.type is WorkflowEventType.STEP_FAILED
        }
        shown = {failures.get(step_id) for step_id in _steps(log.state, StepStatus.FAILED)}
        return [event for event in troubles if event.version not in shown][:MAX_TROUBLES]


def drafts(
    workflow_id: str, state: WorkflowState, troubles: Sequence[Event] = ()
) -> list[AnyDraft]:
    """Drafts of the memories about an ended workflow: an episode, and a procedure if a complex task
    succeeded.

    troubles: failed attempts at steps, and notes, in the order of the log.
    """
    memories: list[AnyDraft] = [episode(workflow_id, state, troubles)]
    if (
        state.status is WorkflowStatus.COMPLETED
        and len(_steps(state, StepStatus.COMPLETED)) > COMPLEX
    ):
        memories.append(procedure(workflow_id, state, troubles))
    return memories


def episode(
    workflow_id: str, state: WorkflowState, troubles: Sequence[Event] = ()
) -> EpisodicDraft:
    """Draft of the memory of what happened in a workflow: its status, troubles and steps, and its
    output or error.
    """
    name = _name(state)
    counts = f"{len(_steps(state, StepStatus.COMPLETED))} of {len(state.steps)} steps completed"
    endings = (("output", state.output), ("error", state.error))
    values = {label: _short(value) for label, value in endings if value is not None}
    reason = state.changes[-1].reason if state.changes else None
    if reason is not None and reason not in values.values():
        values["reason"] = reason
    lines = [
        f"Workflow {workflow_id}{f' ({name})' if name else ''} {state.status}: {counts}",
        *map(_trouble, troubles),
        *(
            f"{step_id}: {step.status}{_details(step)}"
            for step_id, step in list(state.steps.items())[:MAX_STEPS]
        ),
        *(f"{label}: {value}" for label, value in values.items()),
    ]
    return EpisodicDraft(
        type=MemoryType.EPISODIC,
        content="\n".join(map(_one_line, lines)),
        event_type=EventType.ERROR
        if state.status is WorkflowStatus.FAILED
        else EventType.OBSERVATION,
        tags=["workflow"],
        # Identifies a repeated write
        source=Source(thread_id=workflow_id, turns=[state.version], caller="workflow"),
        created_at=state.ended_at,
        metadata={"workflow_id": workflow_id, "workflow_status": str(state.status)},
    )


def procedure(
    workflow_id: str, state: WorkflowState, troubles: Sequence[Event] = ()
) -> ProceduralDraft:
    """Draft of a procedure (how-to memory) from a workflow's completed steps in order, with the
    steps that failed.

    A failed attempt is listed with the notes that follow it, which may say how it was fixed.
    """
    completed = _steps(state, StepStatus.COMPLETED)
    failed = _steps(state, StepStatus.FAILED)
    name = _one_line(_name(state) or f"{next(iter(completed))} to {list(completed)[-1]}")[
        :MAX_LABEL
    ].strip()
    failures: list[str] = []
    for event in troubles:
        if event.type is WorkflowEventType.STEP_FAILED:
            failures.append(_trouble(event))
        elif failures:
            failures[-1] += f"; {_trouble(event)}"
    failures += [f"{step_id}{_details(step)}" for step_id, step in failed.items()]
    names = [*list(completed)[:MAX_STEPS], *(["..."] if len(completed) > MAX_STEPS else [])]
    return ProceduralDraft(
        type=MemoryType.PROCEDURAL,
        content=f"{name}\n" + _one_line(f"Done in {len(completed)} steps: {', '.join(names)}"),
        procedure_name=name,
        steps=[
            _one_line(f"{step_id}{_details(step)}")
            for step_id, step in list(completed.items())[:MAX_STEPS]
        ],
        failure_patterns=[_one_line(failure)[: 10 * MAX_SHOWN] for failure in failures[:100]],
        tags=["workflow"],
        source=Source(thread_id=workflow_id, turns=[state.version], caller="workflow"),
        created_at=state.ended_at,
        metadata={"workflow_id": workflow_id},
    )


def _steps(state: WorkflowState, status: StepStatus) -> dict[str, Step]:
    return {name: step for name, step in state.steps.items() if step.status is status}


def _trouble(event: Event) -> str:
    step = f"{event.step_id}: " if event.step_id else ""
    return f"{step}{event.type.removeprefix('step_')}{_details(event)}"


def _details(entry: Step | Event) -> str:
    agent = f" by {entry.agent}" if entry.agent else ""
    values = [
        (label, getattr(entry, label, None))
        for label in ("input", "output", "error", "reason", "data")
    ]
    details = "; ".join(
        f"{label} {_short(value)}" for label, value in values if value not in (None, {})
    )
    return agent + (f" ({details})" if details else "")


def _name(state: WorkflowState) -> str | None:
    names = (
        _one_line(_short(name)) for name in map(state.data.get, _NAMES) if isinstance(name, str)
    )
    return next(filter(None, names), None)


def _short(value: object) -> str:
    text = value_text(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " ..."


def _one_line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())
