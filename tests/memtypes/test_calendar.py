"""English names of months and weekdays, number words, lengths of time, holidays, and dates some
months later.
"""

from __future__ import annotations

import re
from datetime import date

import pytest

from memtypes.calendar import (
    COUNT_WORD,
    WEEKDAY,
    WEEKDAYS,
    Length,
    easter,
    holiday,
    length_at,
    months_later,
    number_of,
    weekday_of,
)
from memtypes.words import read_words


def test_names_of_weekdays_have_their_number() -> None:
    """English names in any case are converted to numbers: Monday is 0."""
    assert [weekday_of(name.upper()) for name in WEEKDAYS] == list(range(7))
    assert all(re.fullmatch(WEEKDAY, name) for name in (*WEEKDAYS, "tueday", "thurday"))


@pytest.mark.parametrize(
    ("words", "number"), [("12", 12), ("1.5", 1.5), ("A  couple of", 2), ("half an", 0.5)]
)
def test_numbers_are_read_from_digits_and_words(words: str, number: float) -> None:
    assert number_of(words) == number


def test_the_longest_number_word_matches_first() -> None:
    """The text "forty-five" is matched as a whole, although it begins with the number word
    "forty".
    """
    match = re.match(COUNT_WORD, "forty-five days")
    assert match is not None
    assert match[0] == "forty-five"


def test_a_date_months_later_is_at_most_the_last_of_its_month() -> None:
    """One month after 31 January is the last day of February, because February has no 31st."""
    assert months_later(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert months_later(date(2025, 12, 31), 2) == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90 minutes", Length(minutes=90)),
        ("an hour and 15 minutes", Length(minutes=75)),
        ("1h15m", Length(minutes=75)),
        ("half an hour", Length(minutes=30)),
        ("three quarters of an hour", Length(minutes=45)),
        ("a fortnight", Length(days=14)),
        ("a year and a half", Length(months=18)),
        ("anderthalb Stunden", Length(minutes=90)),
        ("trois quarts d'heure", Length(minutes=45)),
        ("een kwartier", Length(minutes=15)),
        ("hora y media de viaje", Length(minutes=90)),
    ],
)
def test_lengths_of_time_are_read(text: str, length: Length) -> None:
    """A length of time in digits or words is read as minutes, days or months: "a fortnight" is 14
    days.
    """
    length_and_end = length_at(read_words(text), 0)
    assert length_and_end is not None
    assert length_and_end[0] == length


@pytest.mark.parametrize("text", ["five apples", "half the cake", "", "the hour"])
def test_a_length_of_time_needs_a_number_and_a_unit_of_time(text: str) -> None:
    assert length_at(read_words(text), 0) is None


def test_holidays_are_computed_from_each_form_of_rule() -> None:
    """A holiday is a date, a distance from Easter, or the n-th weekday of a month, also counted
    from its end.
    """
    rules = ("12-25", "easter+50", "11:3:4", "5:0:-1")
    days = (date(2026, 12, 25), date(2026, 5, 25), date(2026, 11, 26), date(2026, 5, 25))
    assert tuple(holiday(rule, 2026) for rule in rules) == days


def test_easter_is_a_sunday_in_spring() -> None:
    """Known years have their known Easter, and each year's Easter is a Sunday between 22 March and
    25 April.
    """
    assert (easter(2000), easter(2026), easter(2038)) == (
        date(2000, 4, 23),
        date(2026, 4, 5),
        date(2038, 4, 25),
    )
    for year in range(1900, 2200):
        assert easter(year).weekday() == 6
        assert date(year, 3, 22) <= easter(year) <= date(year, 4, 25)
