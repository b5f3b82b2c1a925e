"""Hypothesis strategies for the event logs of workflows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from memtypes.live.workflows import Event, NewEvent, WorkflowEventType

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c", "résumé"])
SENT_TYPES = [kind for kind in WorkflowEventType if kind is not WorkflowEventType.EXPIRED]
VALUES = st.one_of(
    st.none(), st.integers(-5, 5), st.text(max_size=20), st.lists(st.booleans(), max_size=2)
)


@st.composite
def new_events(draw: st.DrawFn) -> NewEvent:
    """Any valid workflow event."""
    return NewEvent(
        type=draw(st.sampled_from(SENT_TYPES)),
        step_id=draw(NAMES),
        agent=draw(st.none() | NAMES),
        input=draw(VALUES),
        output=draw(VALUES),
        error=draw(VALUES),
        resources=draw(st.dictionaries(NAMES, VALUES, max_size=2)),
        data=draw(st.dictionaries(NAMES, VALUES, max_size=2)),
    )


def logged(sent: list[NewEvent]) -> list[Event]:
    """The sent events as a workflow log returns them: numbered with versions from 1, and a second
    apart.
    """
    stored = [
        event.at(START + timedelta(seconds=version)).to_json()
        for version, event in enumerate(sent, 1)
    ]
    return [Event.from_json(event, version) for version, event in enumerate(stored, 1)]


LOGS = st.lists(new_events(), max_size=30).map(logged)
"""Logs of at most 30 events."""
