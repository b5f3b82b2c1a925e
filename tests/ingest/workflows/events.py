"""Events for tests: any valid sequence of them, with versions and rising times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from memtypes.live.events import END_TYPES, Event, NewEvent, WorkflowEventType

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c", "résumé"])
VALUES = st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=20), st.lists(st.booleans(), max_size=2))


@st.composite
def new_events(draw: st.DrawFn, *, ending: bool = False) -> NewEvent:
    """Any event that a caller may send."""
    kinds = [kind for kind in WorkflowEventType if ending or kind not in END_TYPES]
    return NewEvent(
        type=draw(st.sampled_from(kinds)),
        step_id=draw(NAMES),
        agent=draw(st.none() | NAMES),
        input=draw(VALUES),
        output=draw(VALUES),
        error=draw(VALUES),
        resources=draw(st.dictionaries(NAMES, VALUES, max_size=2)),
        data=draw(st.dictionaries(NAMES, VALUES, max_size=2)),
    )


def logged(sent: list[NewEvent]) -> list[Event]:
    """The events as a log holds them: versions from 1 on, a second apart."""
    kept = [one.at(START + timedelta(seconds=number)).to_json() for number, one in enumerate(sent, 1)]
    return [Event.from_json(one, number) for number, one in enumerate(kept, 1)]


LOGS = st.lists(new_events(ending=True), max_size=30).map(logged)
