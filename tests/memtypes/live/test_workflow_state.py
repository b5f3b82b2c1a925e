"""Events and the fold over them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memtypes.live.events import MAX_EVENT_BYTES, Event, NewEvent, WorkflowEventType
from memtypes.live.workflow_state import SNAPSHOT_EVERY, StepStatus, WorkflowState, WorkflowStatus, fold, needs_snapshot
from tests.memtypes.live.logs import LOGS, START, logged


def state_after(*sent: NewEvent) -> WorkflowState:
    """The state after what was sent."""
    return fold(WorkflowState(), logged(list(sent)))


@given(log=LOGS, cut=st.integers(0, 30))
def test_a_snapshot_and_the_later_events_are_the_whole(log: list[Event], cut: int) -> None:
    """Folding from a kept snapshot gives what folding every event gives, wherever the snapshot was taken."""
    snapshot = WorkflowState.from_json(fold(WorkflowState(), log[:cut]).to_json())
    assert fold(snapshot, log[cut:]) == fold(WorkflowState(), log)


@given(log=LOGS)
def test_a_fold_changes_nothing_that_it_was_given(log: list[Event]) -> None:
    """The state before stays as it was."""
    before = fold(WorkflowState(), log[:5])
    kept = before.to_json()
    fold(before, log[5:])
    assert before.to_json() == kept


@given(log=LOGS)
def test_the_newest_value_of_each_key_wins(log: list[Event]) -> None:
    """Both are merged by their keys, in the order of the log."""
    data: dict[str, object] = {}
    resources: dict[str, object] = {}
    for event in log:
        data.update(event.data)
        resources.update(event.resources)
    state = fold(WorkflowState(), log)
    assert state.data == data
    assert state.members()["resources"] == resources
    assert state.version == len(log)


def test_a_step_runs_and_completes() -> None:
    """A step carries who did it, what went in, what came out, and when."""
    state = state_after(
        NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="one", agent="ann", input="go"),
        NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="one", output={"n": 1}),
    )
    step = state.steps["one"]
    assert (step.status, step.agent, step.input, step.output) == (StepStatus.COMPLETED, "ann", "go", {"n": 1})
    assert step.started_at is not None
    assert step.ended_at is not None
    assert step.started_at < step.ended_at
    assert state.status is WorkflowStatus.RUNNING


def test_a_failed_step_can_be_tried_again() -> None:
    """A new attempt takes the place of the failed one."""
    failed = NewEvent(type=WorkflowEventType.STEP_FAILED, step_id="one", error="no disk")
    started = NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="one")
    assert state_after(started, failed).steps["one"].error == "no disk"
    again = state_after(started, failed, started).steps["one"]
    assert (again.status, again.error, again.ended_at) == (StepStatus.RUNNING, None, None)


def test_an_end_without_a_beginning_is_a_step_without_a_start() -> None:
    """A caller that reports only what was done is believed, and the missing start shows."""
    step = state_after(NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="one")).steps["one"]
    assert (step.status, step.started_at) == (StepStatus.COMPLETED, None)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("completed", WorkflowStatus.COMPLETED),
        ("failed", WorkflowStatus.FAILED),
        ("cancelled", WorkflowStatus.CANCELLED),
    ],
)
def test_a_workflow_ends(kind: str, status: WorkflowStatus) -> None:
    """It goes from pending over running to the end that was reported."""
    assert WorkflowState().status is WorkflowStatus.PENDING
    ended = state_after(
        NewEvent(type=WorkflowEventType.STARTED), NewEvent(type=WorkflowEventType(kind), output="o", error="e")
    )
    assert (ended.status, ended.output, ended.error) == (status, "o", "e")
    assert ended.status.ended
    assert ended.started_at is not None


def test_notes_and_data_leave_a_workflow_pending() -> None:
    """Only a start, of the whole or of a step, makes it run."""
    assert (
        state_after(NewEvent(type=WorkflowEventType.NOTE), NewEvent(type=WorkflowEventType.DATA_SET, data={})).status
        == "pending"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "step_started"}, "needs a step_id"),
        ({"type": "resource_changed"}, "needs resources"),
        ({"type": "data_set"}, "needs data"),
        ({"type": "note", "input": "x" * MAX_EVENT_BYTES}, "at most"),
        ({"type": "note", "input": "\ud800"}, "plain JSON"),
        ({"type": "note", "data": {"n": float("nan")}}, "plain JSON"),
        ({"type": "note", "more": 1}, "Extra inputs"),
        ({"type": "slept"}, "Input should be"),
    ],
)
def test_what_can_not_be_an_event_is_refused(fields: dict[str, object], message: str) -> None:
    """The reason says what is missing or too much."""
    with pytest.raises(ValidationError, match=message):
        NewEvent.model_validate(fields)


def test_an_event_is_kept_without_what_is_absent() -> None:
    """The log holds what was said, and nothing else."""
    event = NewEvent(type=WorkflowEventType.NOTE, input="hello").at(START)
    assert event.to_json() == b'{"type":"note","at":"2026-03-01T12:00:00Z","input":"hello"}'
    assert Event.from_json(event.to_json(), 7).members()["version"] == 7


def test_snapshots_are_taken_at_intervals_and_at_the_end() -> None:
    """No read folds more than an interval of events."""
    assert not needs_snapshot(0, WorkflowStatus.PENDING)
    assert needs_snapshot(SNAPSHOT_EVERY, WorkflowStatus.RUNNING)
    assert not needs_snapshot(SNAPSHOT_EVERY + 1, WorkflowStatus.RUNNING)
    assert needs_snapshot(3, WorkflowStatus.FAILED)
