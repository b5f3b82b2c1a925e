"""What lasts of the one who speaks, out of what they said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.conversations.sessions import ABOUT_USER, Message, drafts_of
from ingest.screening.extraction.facts import facts_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hi! I live in Lisbon. My dog's asleep.", ["I live in Lisbon."]),
        ("I\u2019m allergic to nuts.", ["I\u2019m allergic to nuts."]),
        ("We've got to go. We have two kids.", ["We have two kids."]),
        ("My sister lives in Bilbao", ["My sister lives in Bilbao"]),
        ("I work for Airbus.", ["I work for Airbus."]),
        ("I work for hours.", []),
        ("My plan is to travel.", []),
        ("Do I live in Lisbon?", []),
        ("If I live in Rome, I walk.", []),
        ("Translate: I live in Rome.", []),
        ("My team has been kind.", []),
        ("", []),
    ],
)
def test_what_lasts_is_taken_whole(text: str, found: list[str]) -> None:
    """A plain statement of the speaker is found; what passes, is asked, supposed or quoted is not."""
    assert facts_in(text) == found


@given(st.text(max_size=300))
def test_what_is_found_stands_in_the_text(text: str) -> None:
    """Nothing is invented and no text raises."""
    assert all(one in text for one in facts_in(text))


def test_only_the_user_speaks_of_themselves() -> None:
    """The user's fact is a memory of its own, with the turn that it comes from; the assistant's is none."""
    said = "I live in Lisbon."
    made = drafts_of("s", [Message("assistant", said), Message("user", said)])
    assert [(one.index, one.draft.type) for one in made] == [(0, "episodic"), (1, "episodic"), (1, "semantic")]
    fact = made[-1].draft
    assert fact.source is not None
    assert (fact.content, fact.source.thread_id, fact.source.turns, fact.tags) == (said, "s", [1], [ABOUT_USER])
