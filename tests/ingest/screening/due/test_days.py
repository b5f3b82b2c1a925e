"""Days in words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from ingest.screening.due.days import Days
from memtypes.words import read_words

NOW = datetime(2026, 3, 4, 11, tzinfo=UTC)  # a Wednesday


def _day(text: str, *, month_first: bool = False) -> date | None:
    """The first day that `text` names, or None. month_first: whether 03/04 is in March."""
    days = Days(read_words(text), NOW, month_first)
    named = (days.at(i) for i in range(len(days.words.tokens)))
    return next((day.date for day in named if day), None)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("8 May", "2026-05-08"),
        ("the 3rd of May 2027", "2027-05-03"),
        ("Jan 5", "2027-01-05"),
        ("14-16 September", "2026-09-14"),
        ("am 2. Mai", "2026-05-02"),
        ("le 1er décembre", "2026-12-01"),
        ("5 de enero", "2027-01-05"),
        ("4月12日", "2026-04-12"),
        ("2026-12-01", "2026-12-01"),
        ("01.12.2026", "2026-12-01"),
        ("2026/12/31", "2026-12-31"),
        ("am 24.12. um", "2026-12-24"),
        ("next Friday", "2026-03-06"),
        ("Wednesday", "2026-03-11"),
        ("lundi prochain", "2026-03-09"),
        ("Friday of next week", "2026-03-13"),
        ("Sunday week", "2026-03-15"),
        ("next week on Tuesday", "2026-03-10"),
        ("Übernächste Woche Dienstag", "2026-03-17"),
        ("the last Monday of March", "2026-03-30"),
        ("the 3rd Sunday of May", "2026-05-17"),
        ("el segundo martes de abril", "2026-04-14"),
        ("in two weeks", "2026-03-18"),
        ("heute in einer Woche", "2026-03-11"),
        ("tra tre giorni", "2026-03-07"),
        ("two days ago", "2026-03-02"),
        ("end of the month", "2026-03-31"),
        ("fin de mes", "2026-03-31"),
        ("Ende Februar", "2027-02-28"),
        ("start of next month", "2026-04-01"),
        ("the 22nd", "2026-03-22"),
        ("on the 4th", "2026-04-04"),
        ("el día 5", "2026-03-05"),
        ("the 10th of next month", "2026-04-10"),
        ("Christmas Eve", "2026-12-24"),
        ("Ostersonntag", "2026-04-05"),
        ("next weekend", "2026-03-14"),
        ("overmorgen", "2026-03-06"),
        ("by the eleventh", "2026-03-11"),
        ("on the twenty-first", "2026-03-21"),
        ("am Zwölften", "2026-03-12"),
        ("op de negentiende", "2026-03-19"),
        ("zapłacić do dziesiątego", "2026-03-10"),
        ("el 19 antes de las 12", "2026-03-19"),
        ("12 März nächsten Jahres", "2027-03-12"),
        ("Thanksgiving dinner", "2026-11-26"),
        ("Pfingstmontag", "2026-05-25"),
        ("za tydzień", "2026-03-11"),
        ("w przyszłym tygodniu w piątek", "2026-03-13"),
        ("koniec miesiąca", "2026-03-31"),
        ("vorige week dinsdag", "2026-02-24"),
        ("el martes de la semana pasada", "2026-02-24"),
        ("übernächsten Samstag", "2026-03-14"),
        ("来月", "2026-04-04"),
    ],
)
def test_dates_weekdays_distances_and_holidays_are_read_as_days(text: str, day: str) -> None:
    """Dates, weekdays, distances from now, starts and ends of periods, and holidays are read in
    several languages.
    """
    assert _day(text) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Renew the passport in January", "2027-01-01"),
        ("by June 2028", "2028-06-01"),
        ("in March", "2026-03-31"),
        ("in the summer", "2026-06-01"),
        ("this spring", "2026-05-31"),
        ("im Oktober", "2026-10-01"),
        ("au printemps 2027", "2027-03-01"),
        ("en verano", "2026-06-01"),
        ("a maggio", "2026-05-01"),
        ("em novembro", "2026-11-01"),
        ("voor de zomer", "2026-06-01"),
        ("we wrześniu", "2026-09-01"),
        ("late June", "2026-06-30"),
        ("early next month", "2026-04-01"),
        ("end of summer", "2026-08-31"),
        ("at the start of the month", "2026-04-01"),
    ],
)
def test_a_month_or_season_means_its_first_day(text: str, day: str) -> None:
    assert _day(text) == date.fromisoformat(day)


@pytest.mark.parametrize(
    "text", ["May is a friend", "March of Dimes", "the June issue", "since April", "Spring is here"]
)
def test_a_month_without_a_preposition_is_no_day(text: str) -> None:
    """Names of months and seasons are often other names, so they name a day only after "in", "by",
    "this" or "next".
    """
    assert _day(text) is None


def test_seasons_are_those_of_the_zone() -> None:
    """In a zone whose summer time is in January, spring begins in September."""
    days = Days(
        read_words("in spring"), NOW.astimezone(ZoneInfo("Australia/Sydney")), month_first=False
    )
    spring = days.at(1)
    assert spring is not None
    assert spring.date == date(2026, 9, 1)


@pytest.mark.parametrize(
    "text",
    [
        "31 February",
        "the 42nd",
        "2026-13-01",
        "may be nice",
        "v12.31",
        "22.11.0",
        "the 5th of the seven",
        "we sat here",
    ],
)
def test_other_words_are_not_read_as_days(text: str) -> None:
    """Impossible dates, version numbers and counts such as "the 5th of the seven" are not read as
    days.
    """
    assert _day(text) is None


def test_the_order_of_day_and_month_is_an_option() -> None:
    """With `month_first` the date 03/04 is in March, otherwise in April. A number above 12 is
    always the day.
    """
    assert _day("03/04/2026", month_first=True) == date(2026, 3, 4)
    assert _day("03/04/2026") == date(2026, 4, 3)
    assert _day("12/24/2026") == _day("24/12/2026", month_first=True) == date(2026, 12, 24)
