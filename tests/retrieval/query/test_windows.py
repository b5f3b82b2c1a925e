"""Time windows read from single phrases, such as "last week" or "im März"."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memtypes.calendar import Window
from retrieval.query.windows import TimeReader

WEDNESDAY = datetime(2026, 3, 18, 12, tzinfo=UTC)


def read(text: str) -> list[Window]:
    """The windows of all times in `text`, asked on WEDNESDAY."""
    return [
        window for _, windows in TimeReader.from_text(text, WEDNESDAY).times() for window in windows
    ]


def window(bounds: str) -> Window:
    """The window of two ISO times without a zone, which are separated by a blank."""
    start, end = (datetime.fromisoformat(bound).replace(tzinfo=UTC) for bound in bounds.split())
    return Window(start, end)


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("what broke on 2025-11-03", "2025-11-03 2025-11-04"),
        ("what broke on 19 march", "2025-03-19 2025-03-20"),
        ("winter 2025", "2025-12-01 2026-03-01"),
        ("what broke in december", "2025-12-01 2026-01-01"),
        ("what broke on wednesday", "2026-03-11 2026-03-12"),
        ("last weekend", "2026-03-14 2026-03-16"),
        ("previous year", "2025-01-01 2026-01-01"),
        ("forty days ago", "2026-02-05T12:00 2026-02-07T12:00"),
        ("what did we see from 3 to 8 February", "2026-02-03 2026-02-09"),
        ("the meeting on Friday of last week", "2026-03-13 2026-03-14"),
        ("next week on Tuesday", "2026-03-24 2026-03-25"),
        ("what broke between May and July", "2025-05-01 2025-08-01"),
        ("what broke from Monday to Tuesday", "2026-03-16 2026-03-18"),
        ("what is due from Friday to Monday", "2026-03-20 2026-03-24"),
        ("what broke from 3 May 2025 until 1 June 2025", "2025-05-03 2025-06-02"),
        ("what broke from the 3rd to the 10th", "2026-03-03 2026-03-11"),
        ("que faire les trois prochains jours", "2026-03-18T12:00 2026-03-22"),
        ("先月は何をした", "2026-02-01 2026-03-01"),
        ("12月から2月まで何を直した", "2025-12-01 2026-03-01"),
        ("去年は何が壊れた", "2025-01-01 2026-01-01"),
        ("what broke last night", "2026-03-17T18:00 2026-03-18T06:00"),
        ("what did we do at Christmas", "2025-12-25 2025-12-26"),
        ("in the second quarter of 2025", "2025-04-01 2025-07-01"),
        ("Was war am 3. Februar", "2026-02-03 2026-02-04"),
        ("Was wurde Ende Februar entschieden", "2026-02-19T16:00 2026-03-01"),
        ("Qu'est-ce qu'on a fait l'été dernier", "2025-06-01 2025-09-01"),
        ("¿Qué pasó ayer por la tarde?", "2026-03-17T12:00 2026-03-17T18:00"),
        ("Wat heb ik vorige week gekocht", "2026-03-09 2026-03-16"),
        ("los próximos tres días", "2026-03-18T12:00 2026-03-22"),
        ("gli ultimi due giorni", "2026-03-16T12:00 2026-03-18T12:00"),
        ("the plans of early 2025", "2025-01-01 2025-05-02T16:00"),
        ("O que comprei na semana passada", "2026-03-09 2026-03-16"),
    ],
)
def test_a_phrase_gives_the_window_of_its_most_specific_time(text: str, bounds: str) -> None:
    """Each phrase is read once, as the narrowest time that it names, in each of several
    languages.
    """
    assert read(text) == [window(bounds)]


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("what did we decide on Friday", ["2026-03-13 2026-03-14"]),
        ("what is due on Friday", ["2026-03-20 2026-03-21"]),
        ("what have I got to do on Friday", ["2026-03-20 2026-03-21"]),
        ("the notes on Friday", ["2026-03-13 2026-03-14", "2026-03-20 2026-03-21"]),
        ("what was decided in May", ["2025-05-01 2025-06-01"]),
        ("what will be decided in May", ["2026-05-01 2026-06-01"]),
        ("what must I do in March", ["2026-03-01 2026-04-01"]),
        ("Was müssen wir am Freitag abgeben", ["2026-03-20 2026-03-21"]),
        ("Was haben wir am Freitag gemacht", ["2026-03-13 2026-03-14"]),
    ],
)
def test_the_words_of_a_question_tell_whether_it_looks_ahead(text: str, windows: list[str]) -> None:
    """A weekday or month is the latest one in a question about the past, and the next one in a
    question for tasks.

    If the words tell neither, both are read.
    """
    assert read(text) == [window(bounds) for bounds in windows]


def test_a_date_with_slashes_may_have_either_order() -> None:
    """In "3/11/2025" either number may be the month; in "15/11/2025" only the second one."""
    assert read("the bill of 3/11/2025") == [
        window("2025-03-11 2025-03-12"),
        window("2025-11-03 2025-11-04"),
    ]
    assert read("the bill of 15/11/2025") == [window("2025-11-15 2025-11-16")]


@pytest.mark.parametrize(
    "text", ["31/31/2025", "every Friday", "am Morgen", "por la mañana", "30 February 2025"]
)
def test_habits_and_impossible_dates_give_no_day(text: str) -> None:
    """A habit such as "every Friday", a part of any day, or a day such as 31/31 names no day."""
    assert timedelta(days=1) not in {window.end - window.start for window in read(text)}


def test_the_day_of_an_instant_is_a_window() -> None:
    """`Window.day_of` returns the UTC day that contains an instant, from midnight to midnight."""
    assert Window.day_of(WEDNESDAY) == window("2026-03-18 2026-03-19")
