"""The words of a text: their language, accents, numbers, and phrases for times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.words import has_first_person, has_relative_time, languages, plain, read_words


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Take the bins out tomorrow", "en"),
        ("Bitte morgen den Müll rausbringen", "de"),
        ("Sortir les poubelles demain matin", "fr"),
        ("Sacar la basura mañana por la mañana", "es"),
        ("Portare fuori la spazzatura domani mattina", "it"),
        ("Levar o lixo amanhã de manhã", "pt"),
        ("Morgenavond het vuilnis buiten zetten", "nl"),
        ("明日ゴミを出す", "ja"),
        ("", "en"),
        ("12 34", "en"),
    ],
)
def test_the_language_of_a_text_is_detected(text: str, language: str) -> None:
    """A text's language is recognised by frequent words and words for times; a text with neither
    counts as English.
    """
    assert read_words(text).language.name == language


def test_accents_and_case_are_ignored_unless_they_distinguish_words() -> None:
    """Without its accent, "Übermorgen" is still found. But French "à" introduces a time, and "a" is
    a verb.
    """
    assert plain("Übermorgen") == "ubermorgen"
    assert read_words("morgen oder UEBERMORGEN").get("day", 2) == ("2", 3)
    assert read_words("demain à midi").is_a("at", 1)
    assert not read_words("demain il a faim").is_a("at", 2)


def test_the_longest_phrase_of_a_kind_is_read() -> None:
    """Of the phrases for a day that begin at a word, the longest is read: "the day after tomorrow"
    is one day.

    A phrase of another kind, such as an article, may begin at the same word.
    """
    words = read_words("the day after tomorrow")
    assert words.get("day", 0) == ("2", 4)
    assert words.is_a("det", 0)
    assert words.get("day", 9) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("1.5 hours", 1.5),
        ("1,5 Stunden", 1.5),
        ("twenty-five minutes", 25),
        ("fünfundvierzig Minuten", 45),
        ("vinte e cinco minutos daqui a", 25),
        ("zweiundzwanzig Tage", 22),
    ],
)
def test_numbers_are_read_in_digits_and_words(text: str, number: float) -> None:
    """Numbers are read from digits with a point or comma, and from words, including compounds such
    as "twenty-five".
    """
    value_and_end = read_words(text).number(0)
    assert value_and_end is not None
    assert value_and_end[0] == number


def test_numbers_that_end_a_name_are_not_read() -> None:
    """The 12 in the name "v12" is not read as a number, but the 15 in the length of time "1h15"
    is.
    """
    assert read_words("v12").number(1) is None
    assert read_words("1h15").number(2) == (15, 3)


def test_compounds_of_a_day_and_its_part_are_two_tokens() -> None:
    words = read_words("am Samstagabend")
    assert [token.text for token in words.tokens] == ["am", "Samstag", "abend"]
    assert words.get("weekday", 1) == (5, 2)
    assert words.get("part", 2) == ("evening", 3)


@given(st.text(max_size=100))
def test_any_text_can_be_read(text: str) -> None:
    """In any text, each token is found at its position, and the span of all tokens begins with the
    first token.
    """
    words = read_words(text)
    for token in words.tokens:
        assert words.text[token.start : token.start + len(token.text)] == token.text
    if words.tokens:
        assert words.span(0, len(words.tokens)).startswith(words.tokens[0].text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm allergic to nuts", True),
        ("The shop is near MY house", True),
        ("Meine Schwester wohnt in Köln", True),
        ("J'habite à Lyon", True),
        ("Mój brat mieszka w Gdyni", True),
        ("私の兄は東京にいます", True),
        ("The limit is 20 requests per minute", False),
        ("pane i masło", False),
        ("Mythology is a subject", False),
    ],
)
def test_words_of_the_first_person_are_found_in_any_language(
    text: str,
    expected: bool,  # noqa: FBT001
) -> None:
    assert has_first_person(text) is expected


def test_lexicon_has_all_weekdays_and_months_of_each_language() -> None:
    """Each language has seven rows of weekdays and twelve of months, because a row's position is
    its number.
    """
    for language in languages().values():
        assert len(language.rules["weekday"]) == 7
        assert len(language.rules.get("month", [""] * 12)) == 12


@pytest.mark.parametrize(
    ("text", "relative"),
    [
        ("We open at nine from today", True),
        ("The plumber comes on Friday", True),
        ("It was fixed two days ago", True),
        ("Standup moves next week", True),
        ("Ab morgen gilt der neue Tarif", True),
        ("El martes que viene cerramos", True),
        ("明日の会議", True),
        ("The workshop is on Tuesday 16 June", False),
        ("Release 4.8.0 on 2026-07-02", False),
        ("So sat he on the last step", False),
        ("", False),
    ],
)
def test_words_for_times_that_depend_on_the_day_are_recognised(
    text: str, *, relative: bool
) -> None:
    assert has_relative_time(text) is relative
