"""English names of months and weekdays, number words, and months later."""

from __future__ import annotations

import re
from datetime import date

import pytest

from memtypes.calendar import (
    COUNT_WORD,
    MONTH,
    MONTHS,
    WEEKDAY,
    WEEKDAYS,
    month_of,
    months_later,
    number_of,
    weekday_of,
)


def test_names_and_abbreviations_have_their_number() -> None:
    """Months count from 1 and weekdays from 0, for full and short names in any case."""
    assert [month_of(name) for name in MONTHS] == list(range(1, 13))
    assert [month_of(name[:3].title()) for name in MONTHS] == list(range(1, 13))
    assert [weekday_of(name.upper()) for name in WEEKDAYS] == list(range(7))
    assert all(re.fullmatch(MONTH, name) for name in (*MONTHS, "sept", "jun"))
    assert all(re.fullmatch(WEEKDAY, name) for name in (*WEEKDAYS, "tueday", "thurday"))


@pytest.mark.parametrize(("words", "number"), [("12", 12), ("1.5", 1.5), ("A  couple of", 2), ("half an", 0.5)])
def test_counts_are_read_as_numbers(words: str, number: float) -> None:
    """Digits and number words, in any case and spacing."""
    assert number_of(words) == number


def test_the_longest_number_word_matches_first() -> None:
    """A number word that begins with a shorter one is matched whole."""
    match = re.match(COUNT_WORD, "forty-five days")
    assert match is not None
    assert match[0] == "forty-five"


def test_a_month_later_ends_with_a_shorter_month() -> None:
    """A month after 31 January is the last day of February."""
    assert months_later(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert months_later(date(2025, 12, 31), 2) == date(2026, 2, 28)
