"""Translation of foreign time phrases to English words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.due.translation import in_english


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("Erinnere mich übermorgen um 15 Uhr", "erinnere mich day after tomorrow at 15:00"),
        ("dentro de dos semanas", "in 2 weeks"),
        ("mañana a las 3 de la tarde", "tomorrow at 15:00"),
        ("lundi prochain à 9h", "next monday at 09:00"),
        ("来週の月曜日に歯医者", "monday next week に歯医者"),
        ("12 de abril de 2027", "12 april 2027"),
    ],
)
def test_times_are_translated_and_other_words_stay(text: str, english: str) -> None:
    """The translation is word by word, in lower case, with times on the 24-hour clock."""
    assert in_english(text) == english


@pytest.mark.parametrize("text", ["call Ann tomorrow at 3pm", "Guten Morgen zusammen", ""])
def test_texts_without_a_foreign_time_are_not_translated(text: str) -> None:
    """Texts with English times and foreign greetings give None."""
    assert in_english(text) is None


@given(st.text(max_size=100))
def test_any_text_can_be_translated(text: str) -> None:
    """No text raises an error, and a translation that is returned differs from the text."""
    assert in_english(text) != text
