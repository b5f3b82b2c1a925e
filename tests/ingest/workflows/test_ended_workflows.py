"""Ended workflows are recorded as memories."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingest.workflows.ended_workflows import (
    COMPLEX,
    MAX_SHOWN,
    MAX_STEPS,
    drafts,
    episode,
    procedure,
)
from memtypes.live.workflows import NewEvent, WorkflowEventType, WorkflowState, fold
from memtypes.model.scope import Scope
from memtypes.ports.workflows import AppendEvent, NewWorkflow
from tests.fakes_memories import InMemoryStore
from tests.fakes_workflows import FakeWorkflows
from tests.ingest.conversations.builders import ended_over
from tests.memtypes.live.logs import logged

SCOPE = Scope("t", "n")


def steps_and_end(steps: int, end: str = "completed") -> list[NewEvent]:
    """Events for `steps` completed steps, then the event `end`, which ends the workflow."""
    events = [
        {
            "type": "step_completed",
            "step_id": f"step {number}",
            "agent": "ann",
            "output": f"result {number}",
        }
        for number in range(steps)
    ]
    return [
        NewEvent.model_validate(event) for event in [*events, {"type": end, "output": "all well"}]
    ]


def ended(steps: int, end: str = "completed", **data: str) -> WorkflowState:
    """The state of a workflow with `data` after `steps` completed steps and the final event
    `end`.
    """
    return fold(WorkflowState(data=data), logged(steps_and_end(steps, end)))


@pytest.mark.parametrize(
    ("steps", "end", "types"),
    [
        (COMPLEX + 1, "completed", ["episodic", "procedural"]),
        (COMPLEX, "completed", ["episodic"]),
        (COMPLEX + 1, "failed", ["episodic"]),
        (COMPLEX + 1, "cancelled", ["episodic"]),
    ],
)
def test_only_a_complex_success_becomes_a_procedure(steps: int, end: str, types: list[str]) -> None:
    """Every ended workflow becomes an episodic memory.

    Only a success with more than five steps also becomes a procedure.
    """
    assert [draft.type for draft in drafts("w", ended(steps, end))] == types


def test_an_episode_has_the_reason_of_the_end() -> None:
    """The episodic memory of a cancelled workflow has the reason for the cancellation on its own
    line.
    """
    end = NewEvent(type=WorkflowEventType.CANCELLED, reason="not needed", output="half done")
    lines = episode("w", fold(WorkflowState(), logged([end]))).content.splitlines()
    assert lines[1:] == ["output: half done", "reason: not needed"]


def test_an_episode_has_the_name_steps_and_output() -> None:
    """The episodic memory of an ended workflow has the workflow's name, steps and output.

    For a failed workflow the memory's event type is `error`.
    """
    draft = episode("w7", ended(2, name="Move house"))
    assert draft.content.splitlines() == [
        "Workflow w7 (Move house) completed: 2 of 2 steps completed",
        "step 0: completed by ann (output result 0)",
        "step 1: completed by ann (output result 1)",
        "output: all well",
    ]
    assert draft.created_at is not None
    assert draft.metadata == {"workflow_id": "w7", "workflow_status": "completed"}
    assert episode("w7", ended(1, "failed")).event_type == "error"


def test_a_procedure_has_the_steps_in_order() -> None:
    """The procedure made from an ended workflow lists the workflow's steps in order.

    Its name comes from the workflow's data (such as its goal), or else from the first and last
    step.
    """
    draft = procedure("w", ended(6, goal="Bake bread"))
    assert draft.procedure_name == "Bake bread"
    assert draft.steps == [f"step {number} by ann (output result {number})" for number in range(6)]
    assert draft.content.splitlines()[0] == "Bake bread"
    assert procedure("w", ended(6)).procedure_name == "step 0 to step 5"


def test_workflows_with_control_characters_and_large_outputs_become_memories() -> None:
    """A workflow whose texts have control characters or large outputs is still recorded as
    memories.

    The memories leave out these characters and have shortened outputs.
    """
    output = "\x00\x1b[0m" + "x" * 10_000
    sent = [
        {"type": "step_completed", "step_id": f"s\u2028{number}", "output": output}
        for number in range(300)
    ]
    log = logged([NewEvent.model_validate(event) for event in [*sent, {"type": "completed"}]])
    record = drafts("w" * 256, fold(WorkflowState(data={"name": " \x07 "}), log))
    assert len(record) == 2
    assert len(record[0].content) < 300 * (MAX_SHOWN + 100)


def test_a_procedure_of_very_many_steps_shows_the_first() -> None:
    """A procedure of 2000 steps has only the first MAX_STEPS steps, because all would not fit into
    a memory.
    """
    names = [f"{number:04} {'x' * 250}" for number in range(2_000)]
    events = [NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id=name) for name in names]
    events.append(NewEvent(type=WorkflowEventType.COMPLETED))
    draft = procedure("w", fold(WorkflowState(data={"name": "Sort all"}), logged(events)))
    assert draft.steps == names[:MAX_STEPS]
    assert draft.content == f"Sort all\nDone in 2000 steps: {', '.join(names[:MAX_STEPS])}, ..."


@pytest.mark.anyio
async def test_recording_an_ended_workflow_twice_stores_its_memories_once() -> None:
    """Recording an ended workflow again returns the ids of the memories that the first call stored.

    The evidence count of the memories stays 1.
    """
    memories = InMemoryStore()
    workflows = FakeWorkflows()
    records = ended_over(workflows, memories)
    base = WorkflowState(data={"name": "Move house"})
    await workflows.create(SCOPE, NewWorkflow("w", None, base, datetime(2026, 3, 1, tzinfo=UTC)))
    for event in logged(steps_and_end(7)):
        await workflows.append(SCOPE, AppendEvent("w", event))
    first = await records.record(SCOPE, "w")
    workflows.mark_unrecorded(SCOPE, "w")
    assert await records.record(SCOPE, "w") == first
    assert first.memories.keys() == {"episodic", "procedural"}
    stored = await memories.get(SCOPE, list(first.memories.values()))
    assert {memory.evidence_count for memory in stored.values()} == {1}
    assert len(stored) == 2
