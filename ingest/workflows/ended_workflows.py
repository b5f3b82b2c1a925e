"""An ended workflow as memories: what happened, and, when a complex task succeeded, how it was done."""

from __future__ import annotations

from ingest.workflows.history import shown
from ingest.writing.pipeline import Ingestor
from memtypes.live.workflow_state import Step, StepStatus, WorkflowState, WorkflowStatus
from memtypes.model.episodic import EpisodicDraft, EventType
from memtypes.model.memory import MAX_LABEL, Source
from memtypes.model.policy import MemoryType
from memtypes.model.procedural import ProceduralDraft
from memtypes.model.scope import Scope
from memtypes.model.types import AnyDraft
from memtypes.ports.workflows import Recorder

COMPLEX = 5
"""Completed steps above which a task was complex enough to be worth knowing how it was done."""

MAX_SHOWN = 400
"""Characters of an input, output or error in a record."""

_NAMES = ("name", "title", "goal", "task")
"""Where a workflow's data may say what it is about."""


class WorkflowRecorder(Recorder):
    """Writes an ended workflow's record with the ingestor. The same record written again is the same memory."""

    def __init__(self, ingestor: Ingestor) -> None:
        self._ingestor = ingestor

    async def record(self, scope: Scope, workflow_id: str, state: WorkflowState) -> dict[str, str]:
        """The ids of the memories that keep the record, by type; see the port."""
        kept: dict[str, str] = {}
        for draft in drafts(workflow_id, state):
            outcome = await self._ingestor.write_one(scope, draft)
            memory_id = outcome.merged_into or outcome.id
            if memory_id is not None:
                kept[draft.type] = memory_id
        return kept


def drafts(workflow_id: str, state: WorkflowState) -> list[AnyDraft]:
    """The episodic record, and the procedure of a complex task that succeeded."""
    made: list[AnyDraft] = [episode(workflow_id, state)]
    if state.status is WorkflowStatus.COMPLETED and len(_completed(state)) > COMPLEX:
        made.append(procedure(workflow_id, state))
    return made


def episode(workflow_id: str, state: WorkflowState) -> EpisodicDraft:
    """What happened: how it ended, its steps, and what came out."""
    name = _name(state)
    counted = f"{len(_completed(state))} of {len(state.steps)} steps completed"
    lines = [
        f"Workflow {workflow_id}{f' ({name})' if name else ''} {state.status}: {counted}",
        *(f"{step_id}: {step.status}{_told(step)}" for step_id, step in list(state.steps.items())[:200]),
        *(f"{word}: {_short(value)}" for word, value in _ends(state)),
    ]
    return EpisodicDraft(
        type=MemoryType.EPISODIC,
        content="\n".join(map(_clean, lines)),
        event_type=EventType.ERROR if state.status is WorkflowStatus.FAILED else EventType.OBSERVATION,
        tags=["workflow"],
        source=_source(workflow_id, state),
        created_at=state.ended_at,
        metadata={"workflow_id": workflow_id, "workflow_status": str(state.status)},
    )


def procedure(workflow_id: str, state: WorkflowState) -> ProceduralDraft:
    """How it was done: the completed steps in their order."""
    completed = _completed(state)
    name = _clean(_name(state) or f"{next(iter(completed))} to {list(completed)[-1]}")[:MAX_LABEL].strip()
    return ProceduralDraft(
        type=MemoryType.PROCEDURAL,
        content=f"{name}\n" + _clean(f"Done in {len(completed)} steps: {', '.join(completed)}"),
        procedure_name=name,
        steps=[_clean(f"{step_id}{_told(step)}") for step_id, step in list(completed.items())[:200]],
        failure_patterns=[_clean(f"{step_id}{_told(step)}") for step_id, step in _failed(state)[:100]],
        tags=["workflow"],
        source=_source(workflow_id, state),
        created_at=state.ended_at,
        metadata={"workflow_id": workflow_id},
    )


def _completed(state: WorkflowState) -> dict[str, Step]:
    return {name: step for name, step in state.steps.items() if step.status is StepStatus.COMPLETED}


def _failed(state: WorkflowState) -> list[tuple[str, Step]]:
    return [(name, step) for name, step in state.steps.items() if step.status is StepStatus.FAILED]


def _ends(state: WorkflowState) -> list[tuple[str, object]]:
    found = [("output", state.output), ("error", state.error)]
    return [(word, value) for word, value in found if value is not None]


def _told(step: Step) -> str:
    """Who did a step, what went in and what came out."""
    who = f" by {step.agent}" if step.agent else ""
    values = (("input", step.input), ("output", step.output), ("error", step.error))
    said = "; ".join(f"{word} {_short(value)}" for word, value in values if value is not None)
    return who + (f" ({said})" if said else "")


def _name(state: WorkflowState) -> str | None:
    said = (state.data.get(word) for word in _NAMES)
    names = (_clean(_short(value)) for value in said if isinstance(value, str))
    return next(filter(None, names), None)


def _short(value: object) -> str:
    text = shown(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + " ..."


def _clean(text: str) -> str:
    """`text` on one line, without the control characters that a memory refuses."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _source(workflow_id: str, state: WorkflowState) -> Source:
    """The place of the record; a write from the same place adds nothing to the memory that it made."""
    return Source(thread_id=workflow_id, turns=[state.version], caller="workflow")
