"""All ranking signals other than similarity."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.calendar import Window
from memtypes.model.memory import LinkType
from memtypes.model.policy import MemoryType
from memtypes.model.times import rfc3339
from memtypes.search.candidates import Candidates
from memtypes.search.columns import Columns
from retrieval.columns import COLUMNS
from retrieval.query.named_times import time_windows
from retrieval.ranking.neighbours import neighbours_of
from retrieval.ranking.signals import (
    SESSION_BEST,
    SESSION_SHARE,
    access,
    by_urgency,
    context,
    decay,
    due,
    importance,
    last_session,
    linked_minimums,
    links_of_best,
    mention,
    mentions,
    missed,
    nearness,
    recency,
    reference_times,
    to_continue,
)
from tests.candidates import CandidateRow, make_candidates

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def recent(kind: str, *payloads: dict[str, Any]) -> list[float]:
    """The recency signal of a memory of type `kind` for each of these payloads."""
    candidates = [CandidateRow("m", MemoryType(kind), None, None, fields) for fields in payloads]
    return [float(value) for value in recency(make_candidates(candidates), NOW)]


def payload(**times: datetime) -> dict[str, Any]:
    """A stored payload of a memory created now, unless `times` say otherwise."""
    return {"created_at": rfc3339(NOW), **{name: rfc3339(at) for name, at in times.items()}}


@pytest.mark.parametrize(("kind", "days"), [("episodic", 7), ("semantic", 90), ("procedural", 90)])
def test_recency_halves_with_each_half_life(kind: str, days: int) -> None:
    """The recency signal is 1/2 for a memory as old as its type's half-life, and 1/4 at twice this
    age.
    """
    made = [payload(created_at=NOW - timedelta(days=days * n)) for n in (0, 1, 2)]
    assert recent(kind, *made) == pytest.approx([1.0, 0.5, 0.25])


def test_a_procedure_ages_from_its_last_use() -> None:
    """The recency of a procedure that was created long ago and used just now is 1."""
    used = payload(created_at=NOW - timedelta(days=900), last_used_at=NOW)
    assert recent("procedural", used) == [1.0]


def test_the_recency_of_an_intention_counts_the_time_until_it_is_due() -> None:
    """The recency of an overdue intention is 1, and that of one due in 3 days, its half-life, is
    1/2.
    """
    made = NOW - timedelta(days=400)
    overdue = payload(created_at=made, due_at=NOW - timedelta(days=30))
    later = payload(created_at=made, due_at=NOW + timedelta(days=3))
    assert recent("prospective", overdue, later) == pytest.approx([1.0, 0.5])


def test_a_completed_intention_ages_from_its_completion() -> None:
    """The recency of an intention that was completed 3 days ago, its half-life, is 1/2, whether or
    not it was due.
    """
    completed = NOW - timedelta(days=3)
    payloads = (
        payload(completed_at=completed),
        payload(due_at=NOW - timedelta(days=4), completed_at=completed),
    )
    assert recent("prospective", *payloads) == pytest.approx([0.5, 0.5])


def test_working_memory_does_not_age() -> None:
    """Working memory always has recency 1, because its expiry bounds its lifetime."""
    assert recent("working", payload(created_at=NOW - timedelta(days=9))) == [1.0]


@given(st.floats(-1e9, 1e12), st.floats(0, 1e9), st.floats(1, 1e9))
def test_decay_falls_with_age_and_stays_between_0_and_1(
    age: float, extra_age: float, half_life: float
) -> None:
    """The recency of an older memory is never higher than that of a younger one, and both are from
    0 to 1.
    """
    older, younger = decay(
        np.array([age + extra_age, age]), np.array([half_life, half_life])
    ).tolist()
    assert 0.0 <= older <= younger <= 1.0


def test_the_importance_signal_spans_0_to_1() -> None:
    columns = Columns.from_payloads([{"importance": 1}, {"importance": 10}], COLUMNS)
    assert importance(columns).tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize(
    ("higher_fields", "lower_fields"),
    [
        ({"confidence": 1.0}, {"confidence": 0.5}),
        ({"success_rate": 0.9}, {"success_rate": 0.1}),
        ({"emotional_valence": -2}, {"emotional_valence": 0}),
    ],
)
def test_reliable_and_emotional_memories_are_more_important(
    higher_fields: dict[str, Any], lower_fields: dict[str, Any]
) -> None:
    """Surer facts, procedures that succeed more often, and very good or bad events have a higher
    importance.
    """
    higher, lower = importance(
        Columns.from_payloads(
            [{"importance": 5} | higher_fields, {"importance": 5} | lower_fields], COLUMNS
        )
    ).tolist()
    assert higher > lower


def test_the_access_signal_grows_logarithmically_up_to_1() -> None:
    values = access(
        Columns.from_payloads(
            [{"access_count": count} for count in (0, 1, 10, 100, 10_000)], COLUMNS
        )
    ).tolist()
    assert values == sorted(values)
    assert (values[0], values[-2], values[-1]) == (0.0, 1.0, 1.0)
    assert (
        access(Columns.from_payloads([{"access_count": 4, "usage_count": 6}], COLUMNS)).tolist()
        == values[2:3]
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"due_at": NOW, "status": "pending"}, 1.0),
        ({"due_at": NOW - timedelta(days=9), "status": "active"}, 1.0),
        ({"due_at": NOW + timedelta(seconds=1), "status": "pending"}, 0.0),
        ({"due_at": NOW, "status": "completed"}, 0.0),
        ({"status": "pending"}, 0.0),
    ],
)
def test_an_open_intention_is_due_once_its_due_time_is_reached(
    fields: dict[str, Any], expected: float
) -> None:
    stored = {name: rfc3339(value) if name == "due_at" else value for name, value in fields.items()}
    candidates = make_candidates(
        [CandidateRow("a", MemoryType.PROSPECTIVE, 0.1, 0.0, payload() | stored)]
    )
    assert due(candidates, NOW).tolist() == [expected]


def test_recency_counts_from_the_reference_time_of_the_type() -> None:
    """A procedure's age counts from its last use, a task's from its due time, an event's from its
    creation.
    """
    later = "2026-03-05T00:00:00Z"
    fields = {
        MemoryType.PROCEDURAL: {"last_used_at": later},
        MemoryType.PROSPECTIVE: {"due_at": later},
    }
    kinds = (*fields, MemoryType.EPISODIC)
    candidates = [
        CandidateRow(kind, kind, 0.1, None, payload() | fields.get(kind, {})) for kind in kinds
    ]
    times = reference_times(make_candidates(candidates)).tolist()
    assert [rfc3339(time.replace(tzinfo=UTC)) for time in times] == [
        later,
        later,
        payload()["created_at"],
    ]


def turns(count: int) -> Candidates:
    """Consecutive turns of one session."""
    payloads = ({"seq": number, "session_id": "s"} for number in range(count))
    return make_candidates(
        [
            CandidateRow(f"{number:03}", MemoryType.EPISODIC, 0.5, None, payload_fields)
            for number, payload_fields in enumerate(payloads)
        ]
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_context_signal_is_between_0_and_1(similarity: list[float]) -> None:
    """The signal `context`, computed from the similarity of neighbouring turns, is from 0 to 1."""
    candidates = turns(len(similarity))
    signal = context(np.array(similarity), neighbours_of(candidates))
    assert ((signal >= 0) & (signal <= 1)).all()


def test_the_context_signal_joins_neighbouring_turns_and_the_session() -> None:
    """The context signal is a weighted mean of the similarities of neighbouring turns and of the
    whole session.

    Adjacent turns weigh 3/4 and turns two away 1/4. The session counts with the mean of its three
    most similar candidates.
    """
    signal = context(np.array([0.4, 0.0, 0.8, 0.0]), neighbours_of(turns(4)))
    around = np.array([0.2, 0.6, 0.1, 0.6])
    session = (0.4 + 0.8 + 0.0) / 3
    assert signal == pytest.approx((1 - SESSION_SHARE) * around + SESSION_SHARE * session)


def test_a_memory_without_a_session_is_its_own_context() -> None:
    """The context signal of a memory without a session is computed as if it were the only turn of a
    session.

    Otherwise such memories would rank too low among turns of sessions.
    """
    candidates = make_candidates([CandidateRow("a", MemoryType.SEMANTIC, 0.5, None, {})])
    assert context(np.array([0.6]), neighbours_of(candidates)) == pytest.approx(
        [SESSION_SHARE * 0.6 / SESSION_BEST]
    )


@pytest.mark.parametrize(
    ("query", "name", "named"),
    [
        ("What did Gina buy?", "Gina", True),
        ("what did GINA's brother say", "gina", True),
        ("Imagination", "Gina", False),
        ("Anna-Lena or Jo?", "Jo", True),
        ("What about José?", "JOSÉ", True),
        ("2+2 (a.b)", "a.b", True),
        ("2+2 (aXb)", "a.b", False),
    ],
)
def test_a_speaker_is_named_by_a_whole_word(query: str, name: str, named: bool) -> None:  # noqa: FBT001
    """A query names a speaker if it has the name as a whole word, in any case and next to any
    punctuation.
    """
    assert mentions(query, name) is named


def test_the_mention_signal_is_1_for_turns_of_named_speakers() -> None:
    speakers = ["Gina", "Jon", None, "Gina"]
    candidates = [
        CandidateRow(
            str(number), MemoryType.EPISODIC, 0.1, None, {} if name is None else {"speaker": name}
        )
        for number, name in enumerate(speakers)
    ]
    assert mention("Where did Gina go?", make_candidates(candidates)).tolist() == [
        1.0,
        0.0,
        0.0,
        1.0,
    ]


def test_nearness_is_1_inside_a_window_and_halves_with_each_week_outside() -> None:
    """A time's nearness to a time window is 1 inside it, 1/2 one week away and 1/4 two weeks away.

    Of several windows, the nearest counts.
    """
    days = ["2026-03-01", "2026-03-01T23:59", "2026-02-22", "2026-03-16", "2026-05-01"]
    windows = tuple(Window.day_of(datetime(2026, month, 1, tzinfo=UTC)) for month in (3, 5))
    assert nearness(np.array(days, dtype="datetime64[us]"), windows) == pytest.approx(
        [1.0, 1.0, 0.5, 0.25, 1.0]
    )


def test_named_time_compares_the_reference_time_of_each_memory() -> None:
    """If the query names a time, an event is compared with it by creation time and a task by due
    time.

    If it names none, the signal `time` is 0.
    """
    event = CandidateRow(
        "a", MemoryType.EPISODIC, None, None, {"created_at": "2026-02-28T08:00:00Z"}
    )
    task_times = {"created_at": "2025-01-01T00:00:00Z", "due_at": "2026-02-28T18:00:00Z"}
    candidates = make_candidates(
        [event, CandidateRow("b", MemoryType.PROSPECTIVE, None, None, task_times)]
    )
    assert list(
        nearness(reference_times(candidates), time_windows("what was yesterday?", NOW))
    ) == [1.0, 1.0]
    assert list(nearness(reference_times(candidates), time_windows("what was it?", NOW))) == [
        0.0,
        0.0,
    ]


@pytest.mark.parametrize(
    ("kind", "strength", "least"),
    [
        (LinkType.EXTENDS, 1.0, {"b": 0.4}),
        (LinkType.EXTENDS, 0.5, {"b": 0.2}),
        (LinkType.CONTRADICTS, 1.0, {}),
    ],
)
def test_links_raise_scores_by_their_strength_and_contradictions_do_not(
    kind: LinkType, strength: float, least: dict[str, float]
) -> None:
    """A memory that a hit links to scores at least a share of the hit's score, by the link's
    strength.

    Links of the type "contradicts" raise no score.
    """
    hit = {"links": [{"to": "b", "type": str(kind), "strength": strength}]}
    candidates = make_candidates(
        [
            CandidateRow(name, MemoryType.SEMANTIC, None, None, fields)
            for name, fields in (("a", hit), ("b", {}))
        ]
    )
    scores = np.array([0.5, 0.1])
    links = links_of_best(candidates, scores)
    minimums = linked_minimums(candidates, scores, links)
    assert {"b": minimums[1]} == pytest.approx(least or {"b": -np.inf})
    assert minimums[0] == -np.inf


def tasks(*payloads: dict[str, Any]) -> Candidates:
    """A pending task for each of these payloads."""
    rows = [
        CandidateRow(
            str(number), MemoryType.PROSPECTIVE, None, None, {"status": "pending"} | fields
        )
        for number, fields in enumerate(payloads)
    ]
    return make_candidates(rows)


def test_what_is_due_next_is_most_urgent_and_what_is_long_overdue_least() -> None:
    def due_in(days: int) -> dict[str, Any]:
        return payload(created_at=NOW - timedelta(days=60), due_at=NOW + timedelta(days=days))

    ordered = [
        due_in(0),
        due_in(2),
        due_in(7),
        due_in(-1),
        due_in(-6),
        payload(created_at=NOW - timedelta(days=3)),
        due_in(8),
        payload(created_at=NOW - timedelta(days=30)),
        due_in(-8),
        due_in(-40),
    ]
    assert by_urgency(tasks(*reversed(ordered)), NOW).tolist() == [*range(9, -1, -1)]


def test_a_task_that_is_said_to_be_done_comes_after_those_that_are_surely_open() -> None:
    due = payload(due_at=NOW + timedelta(days=1))
    said = due | {"said": {"how": "done", "at": rfc3339(NOW)}}
    overdue = payload(due_at=NOW - timedelta(days=20))
    assert by_urgency(tasks(said, overdue, due), NOW).tolist() == [2, 1, 0]


def test_of_equally_urgent_tasks_that_with_the_higher_priority_comes_first() -> None:
    due = payload(due_at=NOW + timedelta(days=1))
    assert by_urgency(tasks(due, due | {"priority": 5}), NOW).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("fields", "is_missed"),
    [
        ({"due_at": NOW - timedelta(days=22)}, True),
        ({"due_at": NOW - timedelta(days=20)}, False),
        ({"due_at": NOW + timedelta(days=22)}, False),
        ({}, False),
        ({"due_at": NOW - timedelta(days=22), "restated_at": NOW - timedelta(days=2)}, False),
    ],
)
def test_a_task_is_missed_three_weeks_after_it_was_due_if_nobody_repeats_it(
    fields: dict[str, Any], *, is_missed: bool
) -> None:
    made = payload(created_at=NOW - timedelta(days=90), **fields)
    closed = made | {"status": "cancelled"}
    assert missed(tasks(made, closed), NOW).tolist() == [is_missed, False]


def talk(*payloads: dict[str, Any]) -> Candidates:
    """An event for each of these payloads, of 100 tokens."""
    common = {"tokens": {"line": 100}}
    rows = [
        CandidateRow(str(number), MemoryType.EPISODIC, None, None, common | fields)
        for number, fields in enumerate(payloads)
    ]
    return make_candidates(rows)


def test_the_last_session_is_that_of_the_newest_memory_and_what_was_written_since() -> None:
    def said(hours: int, session: str | None) -> dict[str, Any]:
        made = payload(created_at=NOW - timedelta(hours=hours))
        return made | ({"session_id": session} if session else {})

    candidates = talk(said(30, "a"), said(9, "b"), said(8, None), said(2, "b"), said(1, None))
    everything = np.ones(5, dtype=np.bool_)
    assert last_session(candidates, everything).tolist() == [False, True, True, True, True]
    yesterday = np.array([True, False, False, False, False])
    assert last_session(candidates, yesterday).tolist() == yesterday.tolist()

    notes = talk(said(30, None), said(9, None), said(1, None))
    assert last_session(notes, np.ones(3, dtype=np.bool_)).tolist() == [False, True, True]


def test_a_session_goes_on_with_the_newest_memories_and_then_the_most_urgent_tasks() -> None:
    events = [
        payload(created_at=NOW - timedelta(hours=hours)) | {"session_id": "a", "seq": 9 - hours}
        for hours in range(1, 6)
    ]
    due = [payload(created_at=NOW - timedelta(days=9), due_at=NOW + timedelta(days=1))]
    open_tasks = tasks(*due, *due)
    candidates = Candidates.joined([talk(*events), open_tasks])
    everything = np.ones(len(candidates), dtype=np.bool_)
    assert to_continue(candidates, everything, NOW, 400).tolist() == [0, 1, 2, 5, 6]
