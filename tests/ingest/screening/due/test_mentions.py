"""Times that a text mentions, and the instants that they mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.due.mentions import MentionReader
from memtypes.words import read_words

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 4, 11, tzinfo=BERLIN)  # a Wednesday


def _times(text: str) -> list[str]:
    reader = MentionReader.at(read_words(text), NOW, BERLIN, month_first=False)
    return [
        reader.instant_of(mention).astimezone(BERLIN).strftime("%m-%d %H:%M")
        for mention in reader.mentions()
    ]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("Thursday at 9", ["03-05 09:00"]),
        ("at 9 on Thursday", ["03-05 09:00"]),
        ("the train on Thursday leaves at 9:15", ["03-05 09:15"]),
        ("It is on 8 March. Doors open at 19:30.", ["03-08 19:30"]),
        ("tomorrow in the evening at 7", ["03-05 19:00"]),
        ("heute Abend um acht", ["03-04 20:00"]),
        ("between 2 and 4 pm on Friday", ["03-06 14:00"]),
        ("the call moved from 3pm to 4pm tomorrow", ["03-05 16:00"]),
        ("noon today in New York time", ["03-04 18:00"]),
        ("two hours before the show at 20:00 on Friday", ["03-06 18:00"]),
        ("the show is on Friday at 20:00; ring me two hours before", ["03-06 18:00"]),
        ("three days after 8 March", ["03-11 09:00"]),
        ("zwei Wochen vor dem 1. April", ["03-18 09:00"]),
        ("before 16:00 on Friday", ["03-06 16:00"]),
        ("midnight on Friday", ["03-07 00:00"]),
        ("yesterday at 9, and Friday at noon", ["03-03 09:00", "03-06 12:00"]),
        ("8 March, Sunday, at 10:15", ["03-08 10:15"]),
        ("dia 8 de março, domingo, às 10h15", ["03-08 10:15"]),
        ("two hours before the meeting", []),
        ("the evening dress", []),
        ("12 eggs and 3 kg of flour", []),
        ("Guten Morgen zusammen", []),
    ],
)
def test_day_time_of_day_and_zone_are_one_mention_in_any_order(text: str, times: list[str]) -> None:
    """Day, time of day and zone make one time, wherever they stand; words such as "two hours
    before" move that time.
    """
    assert _times(text) == times


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("call Ann tomorrow at seven", "03-05 19:00"),
        ("call Ann tomorrow at half past four", "03-05 16:30"),
        ("ruf Anna am 9.5. an, bitte", "05-09 09:00"),
        ("ruf Anna bitte am Zwölften an", "03-12 09:00"),
        ("appelle Anne demain à 5 heures", "03-05 05:00"),
        ("appelle Anne le 15", "03-15 09:00"),
        ("liga para a Ana amanhã às 9h de Lisboa", "03-05 10:00"),
        ("明日の午後3時半に電話する", "03-05 15:30"),
    ],
)
def test_the_rules_for_times_do_not_depend_on_the_name_of_the_language(
    text: str, time: str
) -> None:
    """A text gives the same time if its language has another name in the lexicon, because no rule
    in code names it.
    """
    words = read_words(text)
    renamed = replace(words, language=replace(words.language, name="new"))
    reader = MentionReader.at(renamed, NOW, BERLIN, month_first=False)
    times = [
        reader.instant_of(each).astimezone(BERLIN).strftime("%m-%d %H:%M")
        for each in reader.mentions()
    ]
    assert _times(text) == times == [time]


@given(st.text(max_size=80))
def test_every_mention_lies_within_the_text(text: str) -> None:
    """No text raises an error, and each mention covers at least one token of the text."""
    reader = MentionReader.at(read_words(text), NOW, UTC, month_first=True)
    for mention in reader.mentions():
        assert 0 <= mention.first < mention.last <= len(reader.words.tokens)


@pytest.mark.parametrize(
    "words", ["10:00 ", "Friday ", "the Friday after ", "明日", "at 5 on Friday, "]
)
def test_a_text_full_of_times_is_read_up_to_a_limit(words: str) -> None:
    """Only the first twenty times of a text are read, so that the work is bounded."""
    reader = MentionReader.at(read_words((words * 1_000)[:2_000]), NOW, BERLIN, month_first=False)
    assert len(reader.mentions()) <= 20
