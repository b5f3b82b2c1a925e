"""Times that a query names, and how near a memory is to them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import Candidate, Candidates
from retrieval.query.profiles import PROFILES, TIME, weights_for
from retrieval.query.request import SearchRequest
from retrieval.query.times.query import names_time, told_by_event, windows_of
from retrieval.query.times.window import Window, nearness
from retrieval.ranking.signals import named_time

NOW = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)
"""A Wednesday."""


def at(text: str) -> datetime:
    """The instant at the beginning of that day."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ("what happened on 2025-11-03?", "2025-11-03", "2025-11-04"),
        ("what happened on 3 November 2025?", "2025-11-03", "2025-11-04"),
        ("what happened on the 3rd of November, 2025?", "2025-11-03", "2025-11-04"),
        ("what happened on Nov 3, 2025?", "2025-11-03", "2025-11-04"),
        ("what happened on November 3rd?", "2025-11-03", "2025-11-04"),
        ("who called on March 18?", "2026-03-18", "2026-03-19"),
        ("what was due on the 31st of June 2025?", "2025-06-01", "2025-07-01"),
        ("the plan of December 2024", "2024-12-01", "2025-01-01"),
        ("what did we do in March?", "2026-03-01", "2026-04-01"),
        ("what did we do last March?", "2025-03-01", "2025-04-01"),
        ("what did we do last May?", "2025-05-01", "2025-06-01"),
        ("what did we do in February?", "2026-02-01", "2026-03-01"),
        ("where did she live in 2023?", "2023-01-01", "2024-01-01"),
        ("who called yesterday?", "2026-03-17", "2026-03-18"),
        ("who called today?", "2026-03-18", "2026-03-19"),
        ("the decision we took on Monday", "2026-03-16", "2026-03-17"),
        ("what broke last Wednesday?", "2026-03-11", "2026-03-12"),
        ("what did we ship last week?", "2026-03-09", "2026-03-16"),
        ("what did we ship this week?", "2026-03-16", "2026-03-23"),
        ("where were we last weekend?", "2026-03-14", "2026-03-16"),
        ("what is on this weekend?", "2026-03-21", "2026-03-23"),
        ("what did we ship last month?", "2026-02-01", "2026-03-01"),
        ("what did we ship this month?", "2026-03-01", "2026-04-01"),
        ("what did we ship last year?", "2025-01-01", "2026-01-01"),
        ("all since March 5, 2025", "2025-03-05", "2026-03-18T12:00"),
        ("all since March", "2026-03-01", "2026-04-01"),
        ("all since last May", "2025-05-01", "2025-06-01"),
        ("all after 2025", "2026-01-01", "2026-03-18T12:00"),
        ("all since Friday", "2026-03-13", "2026-03-18T12:00"),
        ("the state before June 2025", "0001-01-01", "2025-06-01"),
        ("the state by June 2025", "0001-01-01", "2025-07-01"),
        ("the state as of June 1, 2025", "0001-01-01", "2025-06-02"),
        ("what did I say two weeks ago?", "2026-03-01", "2026-03-08"),
        ("what did I say a day ago?", "2026-03-16T12:00", "2026-03-18T12:00"),
        ("the past 10 days", "2026-03-08T12:00", "2026-03-18T12:00"),
        ("where did she go in summer 2021?", "2021-06-01", "2021-09-01"),
        ("what did we plant in the spring of 2025?", "2025-03-01", "2025-06-01"),
        ("where did she go last summer?", "2025-06-01", "2025-09-01"),
        ("what did we ship last winter?", "2025-12-01", "2026-03-01"),
        ("what do we ship this winter?", "2025-12-01", "2026-03-01"),
        ("what do we ship this fall?", "2025-09-01", "2025-12-01"),
        ("who called two days before March 5, 2026?", "2026-03-03", "2026-03-06"),
        ("who called the week before March 5, 2026?", "2026-02-22T12:00", "2026-03-06"),
        ("who called on the Sunday before March 5, 2026?", "2026-03-01", "2026-03-06"),
        ("who called on the Saturday after Feb 28, 2026?", "2026-02-28", "2026-03-08"),
        ("who called over the weekend before 5 March 2026?", "2026-02-28", "2026-03-06"),
        ("what did she finish last week before 5 March 2026?", "2026-02-22T12:00", "2026-03-06"),
        ("what did she finish last Friday on 5 March 2026?", "2026-02-27", "2026-03-06"),
        ("who called a month after 5 March 2026?", "2026-03-05", "2026-04-20"),
        ("who called in the first week of February?", "2026-02-01", "2026-02-08"),
        ("who called in the last two weeks of February?", "2026-02-15", "2026-03-01"),
        ("who called on the morning of 5 March 2026?", "2026-03-05", "2026-03-06"),
        ("who called in the evening on 5 March 2026?", "2026-03-05", "2026-03-06"),
        ("who called the day before yesterday?", "2026-03-16", "2026-03-18"),
    ],
)
def test_a_time_is_read_from_the_words(query: str, start: str, end: str) -> None:
    """Dates, months, years, days of the week, and how long ago, with the word that leaves an end open."""
    assert windows_of(query, NOW) == (Window(at(start), at(end)),)
    assert names_time(query)


@pytest.mark.parametrize(
    "query",
    [
        "may I march on?",
        "the error in line 2023",
        "31 June of no year",
        "who called?",
        "in 20 minutes",
        "what did she do before the move?",
        "what does she do every morning before work?",
        "how many days before the deadline?",
        "does she fall last?",
        "port 8080",
    ],
)
def test_other_words_name_no_time(query: str) -> None:
    """Verbs that are spelled as months, numbers, days that no calendar has."""
    assert windows_of(query, NOW) == ()
    assert not names_time(query)


@pytest.mark.parametrize(
    ("query", "event", "start", "end"),
    [
        ("What did I buy two weeks before the move to Lisbon?", "move to Lisbon", "2026-02-28T12:00", "2026-03-19"),
        ("What happened the day after Ann's exam, and who came?", "Ann's exam", "2026-03-18", "2026-03-20"),
        ("whom did we meet the weekend before she left", "she left", "2026-03-14", "2026-03-19"),
    ],
)
def test_a_time_may_be_told_by_an_event(query: str, event: str, start: str, end: str) -> None:
    """It is placed next to the event's day, which somebody else has to know."""
    told = told_by_event(query)
    assert told is not None
    assert names_time(query)
    assert windows_of(query, NOW) == ()
    assert (told.event, told.window(NOW)) == (event, (Window(at(start), at(end)),))


def test_an_event_at_the_end_of_the_calendar_places_nothing() -> None:
    """What reaches beyond it is no time."""
    told = told_by_event("two years before the flood")
    assert told is not None
    assert told.window(datetime(1, 6, 1, tzinfo=UTC)) == ()


def test_a_date_is_no_event() -> None:
    """Where a query names a time of its own, nothing has to be looked for."""
    assert told_by_event("two weeks before 5 March 2026") is None


def test_letters_that_grow_when_cases_are_folded_leave_the_event_readable() -> None:
    """Its words are then told as they were compared."""
    told = told_by_event("The Straße was closed two days before the Umzug")
    assert told is not None
    assert told.event == "umzug"


_LEADS = st.sampled_from(("two weeks", "the week", "the Sunday", "12 months", "999 years", "the last weekend", "a day"))
_JOINTS = st.sampled_from(("before", "prior to", "after", "following", "of", "on"))


@given(_LEADS, _JOINTS, st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_what_is_next_to_a_date_keeps_it(lead: str, joint: str, day: date) -> None:
    """Any such time is around the date's own day or within it."""
    own = Window.day_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    (found,) = windows_of(f"who called {lead} {joint} {day.isoformat()}", NOW)
    assert found.start < found.end
    assert found.start < own.end
    assert found.end > own.start


def test_every_time_is_read_once_and_in_order() -> None:
    """A date does not count again as its month or its year."""
    found = windows_of("between yesterday and 3 November 2025, or in 2024", NOW)
    assert [window.start for window in found] == [at("2026-03-17"), at("2025-11-03"), at("2024-01-01")]


@given(st.text(max_size=80), st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)))  # noqa: DTZ001 - made aware below
def test_any_text_gives_windows_in_order_of_time(text: str, now: datetime) -> None:
    """Nothing is raised, and no window ends before it begins."""
    for window in windows_of(text, now.replace(tzinfo=UTC)):
        assert window.start <= window.end


@given(st.integers(min_value=1, max_value=9_999), st.sampled_from(("days", "weeks", "months", "years")))
def test_any_span_is_read_or_passed_over(count: int, unit: str) -> None:
    """Longer ago than the calendar reaches is no time."""
    assert len(windows_of(f"what was {count} {unit} ago", NOW)) == (count <= 999)


def test_nearness_is_1_within_and_halves_each_week_outside() -> None:
    """Of several windows the nearest counts."""
    days = ["2026-03-01", "2026-03-01T23:59", "2026-02-22", "2026-03-16", "2026-05-01"]
    windows = (Window(at("2026-03-01"), at("2026-03-02")), Window(at("2026-05-01"), at("2026-05-02")))
    found = nearness(np.array(days, dtype="datetime64[us]"), windows)
    assert found == pytest.approx([1.0, 1.0, 0.5, 0.25, 1.0])


def test_the_signal_goes_by_the_time_that_a_memory_counts_from() -> None:
    """What happened by when it was said, an intention by when it is due; without a time named it is 0."""
    said = Candidate("a", MemoryType.EPISODIC, None, None, {"created_at": "2026-03-17T08:00:00Z"})
    due = {"created_at": "2025-01-01T00:00:00Z", "due_at": "2026-03-17T18:00:00Z"}
    found = Candidates.of([said, Candidate("b", MemoryType.PROSPECTIVE, None, None, due)])
    assert list(named_time(windows_of("what was yesterday?", NOW), found)) == [1.0, 1.0]
    assert list(named_time(windows_of("what was it?", NOW), found)) == [0.0, 0.0]


def test_only_a_question_that_names_a_time_is_ranked_by_it() -> None:
    """The other weights shrink alike, their sum stays 1, and other profiles and given weights stay as they are."""
    request = SearchRequest.model_validate({"query": "what did we decide yesterday", "namespace": "n"})
    _, weights = weights_for(request)
    assert weights["time"] == TIME
    assert weights["similarity"] == pytest.approx(PROFILES["default"]["similarity"] * (1 - TIME))
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights_for(request.model_copy(update={"profile": "balanced"}))[1]["time"] == 0.0
    assert weights_for(request.model_copy(update={"query": "what did we decide"}))[1]["time"] == 0.0
    assert weights_for(request.model_copy(update={"weights": {"recency": 1.0}}))[1]["time"] == 0.0


def test_the_years_at_the_ends_of_the_calendar_are_no_error() -> None:
    """What reaches beyond the calendar names no time."""
    first = datetime(1, 1, 2, tzinfo=UTC)
    assert windows_of("last month", first) == ()
    assert windows_of("900 years ago", first + timedelta(days=3)) == ()
