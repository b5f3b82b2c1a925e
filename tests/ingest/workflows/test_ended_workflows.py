"""An ended workflow as memories."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ingest.workflows.ended_workflows import COMPLEX, MAX_SHOWN, WorkflowRecorder, drafts, episode, procedure
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.live.events import NewEvent
from memtypes.live.workflow_state import WorkflowState, fold
from memtypes.model.scope import Scope
from tests.fakes import FakeEmbedder, FakeSparse, FakeStore, FakeTokenizer
from tests.ingest.workflows.events import logged

SCOPE = Scope("t", "n")


def ended(steps: int, end: str = "completed", **data: str) -> WorkflowState:
    """A workflow of so many completed steps."""
    sent = [
        NewEvent.model_validate(
            {"type": "step_completed", "step_id": f"step {number}", "agent": "ann", "output": f"result {number}"}
        )
        for number in range(steps)
    ]
    return fold(WorkflowState(data=data), logged([*sent, NewEvent.model_validate({"type": end, "output": "all well"})]))


@pytest.mark.parametrize(
    ("steps", "end", "kinds"),
    [
        (COMPLEX + 1, "completed", ["episodic", "procedural"]),
        (COMPLEX, "completed", ["episodic"]),
        (COMPLEX + 1, "failed", ["episodic"]),
        (COMPLEX + 1, "cancelled", ["episodic"]),
    ],
)
def test_only_a_complex_success_is_a_procedure(steps: int, end: str, kinds: list[str]) -> None:
    """Each end is an episode; more than five completed steps of a success are also worth knowing how."""
    assert [draft.type for draft in drafts("w", ended(steps, end))] == kinds


def test_an_episode_tells_how_it_ended() -> None:
    """Its name, steps, outcome and time."""
    told = episode("w7", ended(2, name="Move house"))
    assert told.content.splitlines() == [
        "Workflow w7 (Move house) completed: 2 of 2 steps completed",
        "step 0: completed by ann (output result 0)",
        "step 1: completed by ann (output result 1)",
        "output: all well",
    ]
    assert told.created_at is not None
    assert told.metadata == {"workflow_id": "w7", "workflow_status": "completed"}
    assert episode("w7", ended(1, "failed")).event_type == "error"


def test_a_procedure_has_the_steps_in_order() -> None:
    """Named by the workflow's data, or by its first and last step."""
    told = procedure("w", ended(6, goal="Bake bread"))
    assert told.procedure_name == "Bake bread"
    assert told.steps == [f"step {number} by ann (output result {number})" for number in range(6)]
    assert told.content.splitlines()[0] == "Bake bread"
    assert procedure("w", ended(6)).procedure_name == "step 0 to step 5"


def test_hostile_values_become_memories_all_the_same() -> None:
    """Control characters, huge outputs and odd names neither fail nor flood the record."""
    sent = [
        NewEvent.model_validate(
            {"type": "step_completed", "step_id": f"s\u2028{number}", "output": "\x00\x1b[0m" + "x" * 10_000}
        )
        for number in range(300)
    ]
    state = fold(
        WorkflowState(data={"name": " \x07 "}), logged([*sent, NewEvent.model_validate({"type": "completed"})])
    )
    made = drafts("w" * 256, state)
    assert len(made) == 2
    assert len(made[0].content) < 300 * (MAX_SHOWN + 100)


@pytest.mark.anyio
async def test_a_record_made_twice_is_one_memory() -> None:
    """A retry finds the memory, adds no evidence and gives the same ids."""
    store = FakeStore()
    parts = IngestorParts(
        store, FakeEmbedder(), FakeSparse(), FakeTokenizer(), lambda: datetime(2026, 3, 2, tzinfo=UTC)
    )
    recorder = WorkflowRecorder(Ingestor(parts))
    state = ended(7, name="Move house")
    first = await recorder.record(SCOPE, "w", state)
    assert await recorder.record(SCOPE, "w", state) == first
    assert first.keys() == {"episodic", "procedural"}
    kept = await store.get(SCOPE, list(first.values()))
    assert {memory.evidence_count for memory in kept.values()} == {1}
    assert len(kept) == 2
