"""Events of workflows and their stored form."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from memtypes.live.events import MAX_EVENT_BYTES, Event, NewEvent, WorkflowEventType
from tests.memtypes.live.logs import START


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
    """The message says what is missing or too much."""
    with pytest.raises(ValidationError, match=message):
        NewEvent.model_validate(fields)


def test_a_stored_event_has_no_default_values() -> None:
    """Its version is its position in the log, and is not stored."""
    event = NewEvent(type=WorkflowEventType.NOTE, input="hello").at(START)
    assert event.to_json() == b'{"type":"note","at":"2026-03-01T12:00:00Z","input":"hello"}'
    assert Event.from_json(event.to_json(), 7).members()["version"] == 7


def test_the_payload_has_the_values_that_may_contain_secrets() -> None:
    """Ids are addresses and are left out, as are values that are None."""
    event = NewEvent(type=WorkflowEventType.STEP_COMPLETED, step_id="s", agent="ann", output=1, data={"k": "v"})
    assert event.payload() == {"output": 1, "data": {"k": "v"}}
