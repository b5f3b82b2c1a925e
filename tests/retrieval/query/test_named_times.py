"""The time windows that the words of a query name, such as "last week"."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.calendar import Window
from retrieval.query.named_times import QueryTimes, event_reference, time_windows

NOW = datetime(2026, 3, 18, 12, 0, tzinfo=UTC)
"""A Wednesday."""


def at(text: str) -> datetime:
    """The UTC instant of `text`, an ISO 8601 time without a UTC offset."""
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
        ("what did we ship this winter?", "2025-12-01", "2026-03-01"),
        ("what shall we ship this fall?", "2026-09-01", "2026-12-01"),
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
        ("who called the day before yesterday?", "2026-03-16", "2026-03-17"),
        ("what is due by Friday?", "2026-03-18", "2026-03-21"),
        ("what is due before Friday?", "2026-03-18", "2026-03-20"),
        ("what is due after Friday?", "2026-03-21", "9999-01-01"),
    ],
)
def test_named_times_are_read_as_windows(query: str, start: str, end: str) -> None:
    """Times in queries, such as "in May", "last summer" or "three weeks ago", are read as time
    windows.
    """
    assert time_windows(query, NOW) == (Window(at(start), at(end)),)


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
        "what was a blood pressure of 118/76?",
        "the version 45.12.",
    ],
)
def test_words_that_only_look_like_times_give_no_window(query: str) -> None:
    """Verbs that look like months, plain numbers, fractions and impossible dates give no time
    window.
    """
    assert time_windows(query, NOW) == ()


@pytest.mark.parametrize(
    ("query", "event", "start", "end"),
    [
        (
            "What did I buy two weeks before the move to Lisbon?",
            "move to Lisbon",
            "2026-02-28T12:00",
            "2026-03-19",
        ),
        (
            "What happened the day after Ann's exam, and who came?",
            "Ann's exam",
            "2026-03-18",
            "2026-03-20",
        ),
        ("whom did we meet the weekend before she left", "she left", "2026-03-14", "2026-03-19"),
    ],
)
def test_a_time_relative_to_an_event_needs_the_date_of_the_event(
    query: str, event: str, start: str, end: str
) -> None:
    """From a query such as "a week after the move", the event ("the move") is read, but no time
    window.

    With the event's date, the time becomes a window.
    """
    reference = event_reference(query)
    assert reference is not None
    assert time_windows(query, NOW) == ()
    assert (reference.event, reference.windows(NOW)) == (event, (Window(at(start), at(end)),))


def test_a_time_before_the_start_of_the_calendar_gives_no_window() -> None:
    """A time two years before an event of the year 1 gives no window, and no error."""
    reference = event_reference("two years before the flood")
    assert reference is not None
    assert reference.windows(datetime(1, 6, 1, tzinfo=UTC)) == ()


def test_a_date_is_not_an_event() -> None:
    """A query for a time relative to a date, such as "a week after 3 May", names no event to search
    for.
    """
    assert event_reference("two weeks before 5 March 2026") is None


def test_an_event_is_read_although_case_folding_changes_the_length() -> None:
    """In "The Straße was closed two days before the Umzug", the event is read as "umzug".

    Case folding makes "ß" longer ("ss"), which shifts all positions.
    """
    reference = event_reference("The Straße was closed two days before the Umzug")
    assert reference is not None
    assert reference.event == "umzug"


_LEADS = st.sampled_from(
    ("two weeks", "the week", "the Sunday", "12 months", "999 years", "the last weekend", "a day")
)
_JOINTS = st.sampled_from(("before", "prior to", "after", "following", "of", "on"))


@given(_LEADS, _JOINTS, st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_a_window_related_to_a_date_overlaps_that_date(lead: str, joint: str, day: date) -> None:
    """The window of a phrase such as "two weeks before 2026-03-01" overlaps the day of that
    date.
    """
    day_window = Window.day_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    (window,) = time_windows(f"who called {lead} {joint} {day.isoformat()}", NOW)
    assert window.start < window.end
    assert window.start < day_window.end
    assert window.end > day_window.start


@pytest.mark.parametrize(
    ("query", "past"),
    [
        ("What happened in February?", True),
        ("which outages last week?", True),
        ("what is planned for Friday?", False),
        ("who is the guest on Thursday?", False),
        ("where is our summer house?", False),
        ("who was the guest on Thursday?", True),
        ("who called today?", False),
        ("what happened?", False),
    ],
)
def test_a_query_that_names_a_past_time_asks_about_the_past(query: str, *, past: bool) -> None:
    assert bool(QueryTimes.from_query(query, NOW).past) is past


def test_each_named_time_gives_one_window_in_the_order_of_the_text() -> None:
    """Each time that a query names becomes one time window, in the order of the text.

    A full date such as 3 November 2025 becomes the window of that day, without further windows for
    November or 2025.
    """
    windows = time_windows("between yesterday and 3 November 2025, or in 2024", NOW)
    assert [window.start for window in windows] == [
        at("2026-03-17"),
        at("2025-11-03"),
        at("2024-01-01"),
    ]


# Made aware below
@given(st.text(max_size=80), st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)))  # noqa: DTZ001
def test_any_text_gives_valid_windows(text: str, now: datetime) -> None:
    """No text raises an error, and no window ends before it begins."""
    for window in time_windows(text, now.replace(tzinfo=UTC)):
        assert window.start <= window.end


@given(
    st.integers(min_value=1, max_value=9_999), st.sampled_from(("days", "weeks", "months", "years"))
)
def test_counts_of_up_to_three_digits_are_read(count: int, unit: str) -> None:
    """The phrase "100 days ago" names a time.

    With a count of more than three digits, as in "1000 days ago", it does not.
    """
    assert len(time_windows(f"what was {count} {unit} ago", NOW)) == (count <= 999)


def test_times_before_the_year_1_are_ignored() -> None:
    """A time that would begin before the year 1, such as "900 years ago" in the year 1, gives no
    window.
    """
    first = datetime(1, 1, 2, tzinfo=UTC)
    assert time_windows("last month", first) == ()
    assert time_windows("900 years ago", first + timedelta(days=3)) == ()
