"""Whether two texts say the same thing in other words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.paraphrases import SAME_MEANING, says_the_same

TEXTS = st.text("abc dnot5.", min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The limit is 10.", "The limit is 20."),
        ("It must be cleared.", "It must not be cleared."),
        ("The printer upstairs jams.", "The scanner upstairs jams."),
    ],
)
def test_texts_that_differ_in_one_word_do_not_say_the_same(first: str, second: str) -> None:
    """Texts that differ in a word, number or negation are no paraphrases, however near their
    vectors are.
    """
    assert not says_the_same(first, second, 0.99)


def test_a_rewording_says_the_same_if_the_vectors_are_near() -> None:
    """A rewording is a paraphrase if the cosine of the two vectors is SAME_MEANING or more."""
    first = "Tests are flaky because of the clock."
    second = "The clock makes our tests flaky."
    assert says_the_same(first, second, SAME_MEANING)
    assert not says_the_same(first, second, SAME_MEANING - 0.01)


@given(TEXTS, TEXTS, st.floats(-1, 1))
def test_a_text_says_the_same_as_itself_but_not_as_one_with_another_number(
    first: str, second: str, cosine: float
) -> None:
    assert says_the_same(first, first, cosine)
    if ("5" in first) is not ("5" in second):
        assert not says_the_same(first, second, cosine)
