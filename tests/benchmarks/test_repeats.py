"""Texts as they come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.texts.near_pairs import DIFFERENT, SAME
from benchmarks.texts.repeats import recased, redated
from ingest.identity.wording import wording
from memtypes.model.ids import normalise


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("Due on 5 May", "Due on 6 May"),
        ("Due on Monday", "Due on Friday"),
        ("Due on Friday", "Due on Monday"),
        ("Due in January", "Due in October"),
        ("Due in March", "Due in October"),
        ("Due soon", "Due soon"),
    ],
)
def test_a_date_is_changed(text: str, changed: str) -> None:
    """The first number, weekday or month becomes another one."""
    assert redated(text) == changed


@given(st.text(max_size=40))
def test_other_case_and_spacing_say_the_same(text: str) -> None:
    """Folded and with single blanks, it is the text that it was."""
    assert normalise(recased(text)).casefold() == normalise(text).casefold()


def test_none_that_look_alike_are_taken_for_the_same() -> None:
    """Of the written pairs that differ none is merged, and some of the others are."""
    assert not [pair for pair in DIFFERENT if wording(pair[0]) == wording(pair[1])]
    assert sum(wording(one) == wording(other) for one, other in SAME) >= 6
