"""Phrases that name a due time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.due.phrases import Duration, find_time_phrase, read_duration


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("call Ann tomorrow at 3pm, please", "tomorrow at 3pm"),
        ("at noon tomorrow we meet", "noon tomorrow"),
        ("by the end of the week", "the end of the week"),
        ("lunch at 12:30", "12:30"),
        ("review it in two and a half weeks", "in two and a half weeks"),
        ("renew it in a year and a half", "in a year and a half"),
        ("the evening dress", None),
        ("two weeks from Friday", "two weeks from Friday"),
    ],
)
def test_the_first_time_is_found_with_its_time_of_day(text: str, words: str | None) -> None:
    """The phrase is returned as written; "evening" without a day is not a time."""
    phrase = find_time_phrase(text)
    assert (phrase.text if phrase else None) == words


@given(st.text(max_size=100))
def test_a_phrase_names_a_day_or_a_time(text: str) -> None:
    """Every phrase found in any text has a day or a time of day."""
    phrase = find_time_phrase(text)
    assert phrase is None or phrase.day or phrase.time


@pytest.mark.parametrize(
    ("words", "duration"),
    [
        ("in 90 minutes", Duration(90, "minutes")),
        ("in an hour and 15 minutes", Duration(75, "minutes")),
        ("in half an hour", Duration(30, "minutes")),
        ("in a fortnight", Duration(14, "days")),
        ("in a year and a half", Duration(18, "months")),
    ],
)
def test_durations_are_minutes_days_or_months(words: str, duration: Duration) -> None:
    """Hours become minutes, weeks become days, and years become months."""
    assert read_duration(words) == duration
