"""Events of workflows, their stored form, and the state that `fold` computes from them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from memtypes.live.workflows import (
    MAX_EVENT_BYTES,
    MAX_REASON,
    Event,
    NewEvent,
    StepStatus,
    WorkflowEventType,
    WorkflowState,
    WorkflowStatus,
    fold,
)
from tests.memtypes.live.logs import LOGS, START, logged


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
def test_invalid_events_are_refused(fields: dict[str, object], message: str) -> None:
    """The error for an invalid event names the field that is missing or not allowed."""
    with pytest.raises(ValidationError, match=message):
        NewEvent.model_validate(fields)


def test_a_stored_event_leaves_out_default_values_and_its_version() -> None:
    event = NewEvent(type=WorkflowEventType.NOTE, input="hello").at(START)
    assert event.to_json() == b'{"type":"note","at":"2026-03-01T12:00:00Z","input":"hello"}'
    assert Event.from_json(event.to_json(), 7).members()["version"] == 7


def test_the_payload_for_redaction_has_the_values_that_may_contain_secrets() -> None:
    event = NewEvent(
        type=WorkflowEventType.STEP_COMPLETED, step_id="s", agent="ann", output=1, data={"k": "v"}
    )
    assert event.payload() == {"output": 1, "data": {"k": "v"}}


def state_after(*sent: NewEvent) -> WorkflowState:
    """The state of a new workflow after these events."""
    return fold(WorkflowState(), logged(list(sent)))


@given(log=LOGS, cut=st.integers(0, 30))
def test_a_snapshot_and_later_events_give_the_state_of_all_events(
    log: list[Event], cut: int
) -> None:
    snapshot = WorkflowState.from_json(fold(WorkflowState(), log[:cut]).to_json())
    assert fold(snapshot, log[cut:]) == fold(WorkflowState(), log)


@given(log=LOGS)
def test_folding_events_does_not_change_the_earlier_state(log: list[Event]) -> None:
    before = fold(WorkflowState(), log[:5])
    stored = before.to_json()
    fold(before, log[5:])
    assert before.to_json() == stored


@given(log=LOGS)
def test_the_newest_value_of_each_key_wins(log: list[Event]) -> None:
    """If several events set a key of a workflow's data or resources, the state has the newest
    value.
    """
    data: dict[str, object] = {}
    resources: dict[str, object] = {}
    for event in log:
        data.update(event.data)
        resources.update(event.resources)
    state = fold(WorkflowState(), log)
    assert state.data == data
    assert state.members()["resources"] == resources
    assert state.version == len(log)


def test_a_completed_step_has_its_agent_values_and_times() -> None:
    """A completed step has the agent, input and start time of its first event, and the output and
    time of its last.
    """
    state = state_after(
        NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="one", agent="ann", input="go"),
        NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="one", output={"n": 1}),
    )
    step = state.steps["one"]
    assert (step.status, step.agent, step.input, step.output) == (
        StepStatus.COMPLETED,
        "ann",
        "go",
        {"n": 1},
    )
    assert step.started_at is not None
    assert step.ended_at is not None
    assert step.started_at < step.ended_at
    assert state.status is WorkflowStatus.RUNNING


def test_a_failed_step_can_be_retried() -> None:
    """Starting a failed step again replaces the failed attempt."""
    failed = NewEvent(type=WorkflowEventType.STEP_FAILED, step_id="one", error="no disk")
    started = NewEvent(type=WorkflowEventType.STEP_STARTED, step_id="one")
    assert state_after(started, failed).steps["one"].error == "no disk"
    again = state_after(started, failed, started).steps["one"]
    assert (again.status, again.error, again.ended_at) == (StepStatus.RUNNING, None, None)


def test_a_step_that_was_never_started_has_no_start_time() -> None:
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
def test_a_workflow_ends_with_status_output_and_error(kind: str, status: WorkflowStatus) -> None:
    """A workflow is pending, then running, and ends as completed, failed or cancelled, with an
    output and error.
    """
    assert WorkflowState().status is WorkflowStatus.PENDING
    ended = state_after(
        NewEvent(type=WorkflowEventType.STARTED),
        NewEvent(type=WorkflowEventType(kind), output="o", error="e"),
    )
    assert (ended.status, ended.output, ended.error) == (status, "o", "e")
    assert ended.status.ended
    assert ended.started_at is not None


def test_notes_and_data_do_not_start_a_workflow() -> None:
    """After notes and data events alone, a workflow's status is still pending."""
    assert (
        state_after(
            NewEvent(type=WorkflowEventType.NOTE),
            NewEvent(type=WorkflowEventType.DATA_SET, data={}),
        ).status
        == "pending"
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"reason": "no time", "error": "e"}, "no time"),
        ({"data": {"reason": "budget"}, "error": "e"}, "budget"),
        ({"error": {"code": 3}, "output": "o"}, '{"code": 3}'),
        ({"output": "x" * (MAX_REASON + 1)}, "x" * MAX_REASON + " ..."),
        ({}, None),
    ],
)
def test_each_change_of_status_has_its_actor_and_reason(
    fields: dict[str, Any], reason: str | None
) -> None:
    """Each change of a workflow's status records the agent of the event and a reason.

    The reason is the event's `reason`, or else a short text from its data, error or output.
    """
    end = NewEvent.model_validate({"type": "failed", "agent": "ci", **fields})
    state = state_after(
        NewEvent(type=WorkflowEventType.STEP_FAILED, step_id="s", agent="ann", error="of a step"),
        NewEvent(type=WorkflowEventType.NOTE),
        end,
    )
    assert [(change.status, change.version, change.actor) for change in state.changes] == [
        ("running", 1, "ann"),
        ("failed", 3, "ci"),
    ]
    assert [change.reason for change in state.changes] == [None, reason]
    assert state.changes[-1].at == state.ended_at
