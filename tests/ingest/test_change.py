"""Whether a newer statement gives another value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.change import replaces


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("The deadline is April 12", "The deadline is April 5"),
        ("Ann lives in Berlin now", "Ann lives in Paris"),
        ("The office is no longer in Rome", "The office is in Rome"),
        ("Ann isn't a vegetarian", "Ann is a vegetarian"),
        ("The meeting is on Friday at 4pm", "The meeting is on Friday at 3pm"),
        ("The budget limit is $500", "The budget limit is $400"),
    ],
)
def test_another_value_replaces(newer: str, older: str) -> None:
    """Another number, time or name behind a verb of state, or a denial, replaces."""
    assert replaces(newer, older)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("Ann visited Paris", "Ann visited Rome"),
        ("Ann is friends with Bob", "Ann is friends with Carl"),
        ("Chapter 2 is short", "Chapter 1 is short"),
        ("Ann has 3 cats", "Ann has 2 dogs"),
        ("Ann is tall", "Ann is kind"),
        ("Is the deadline May 1?", "The deadline is May 2"),
        ("Bob lives in Paris", "Ann lives in Paris"),
        ("The deadline is 3", "The deadline is Rome"),
        ("is 3", "is 4"),
    ],
)
def test_both_may_hold(newer: str, older: str) -> None:
    """Another subject, what may hold of many things, other kinds of values and questions replace nothing."""
    assert not replaces(newer, older)


@given(st.text(max_size=80))
def test_nothing_replaces_itself(text: str) -> None:
    """The same words are no change."""
    assert not replaces(text, text)
