"""The features of texts and messages: numbers from which models judge how much a text is worth
keeping.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.text_features import BUCKETS, Conversation, Later, form_of, read, speaker_of

SIZE = len(read("x").features)


@given(st.text(max_size=300))
def test_any_text_has_the_same_number_of_finite_features(text: str) -> None:
    reading = read(text)
    assert reading.features.shape == (SIZE,)
    assert np.isfinite(reading.features).all()
    assert 0 <= reading.english <= 1
    assert len(form_of(reading.features)) < SIZE - 2 * BUCKETS


@pytest.mark.parametrize(
    ("english", "other"),
    [
        ("We have to call the plumber on Monday.", "Wir müssen am Montag den Klempner anrufen."),
        ("She was not at the meeting.", "Elle n'était pas à la réunion."),
    ],
)
def test_frequent_words_decide_how_english_a_text_is(english: str, other: str) -> None:
    assert read(english).english > 0.9
    assert read(other).english < 0.1


def test_kinds_of_words_are_the_same_in_each_language() -> None:
    """A promise for tomorrow has features for its kinds of words that are the same in English and
    German.
    """
    first, second = (
        read(text).features for text in ("I promised it for tomorrow", "versprochen für morgen")
    )
    kinds = slice(2 * BUCKETS + len(form_of(first)), -1)
    assert (first[kinds] * second[kinds]).sum() > 0


def test_features_compare_a_message_with_the_messages_before_it() -> None:
    """A repeated text has other features than a new one. A conversation records whether it ends
    with a question.
    """
    fresh = Conversation()
    later = Conversation()
    later.add("user", "we ship on Friday", None)
    first, repeated = (
        talk.position_features("user", "we ship on Friday", None, Later())
        for talk in (fresh, later)
    )
    assert not np.array_equal(first, repeated)
    assert not fresh.asks
    later.add("user", "do we?", None)
    assert later.asks


def test_features_compare_a_message_with_the_messages_after_it() -> None:
    """A message's features depend on what follows: no answer, an answer on its subject, or one on
    another subject.
    """
    unanswered, answered, ignored = (
        Conversation().position_features("user", "we ship on Friday", None, Later(messages, 1))
        for messages in ([], [("assistant", "Friday, noted")], [("assistant", "hello")])
    )
    assert len({features.tobytes() for features in (unanswered, answered, ignored)}) == 3


@pytest.mark.parametrize(
    ("role", "speaker"),
    [(None, "user"), ("User", "user"), ("assistant", "agent"), ("June", "June")],
)
def test_a_reader_hears_of_the_user_an_agent_or_somebody_by_name(
    role: str | None, speaker: str
) -> None:
    assert speaker_of(role) == speaker
