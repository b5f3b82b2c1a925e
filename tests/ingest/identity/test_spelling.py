"""Whether two texts are the same but for spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.spelling import same_but_for_spelling

WORDS = frozenset(
    ["database", "receives", "queue", "deploy", "typical", "staging", "staying", "martin", "runs"]
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The colour of the logo is blue.", "The color of the logo is blue."),
        ("Please organise the notes by date.", "please organize the notes by date"),
        ("Our catalogue is in the centre.", "Our catalog is in the center."),
        ("The deploy was cancelled on Friday.", "The deploy was canceled on Friday."),
        ("Send the report by e-mail.", "Send the report by email."),
        ("We log in with the admin account.", "We login with the admin account."),
        ("Anna lives in Zürich.", "Anna lives in Zurich."),
        ("The café opens at nine.", "The cafe opens at nine."),
    ],
)
def test_two_spellings_of_one_text_are_the_same(first: str, second: str) -> None:
    assert same_but_for_spelling(first, second)
    assert same_but_for_spelling(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The databse runs on port 5432.", "The database runs on port 5432."),
        ("Our accountant recieves the bills.", "Our accountant receives the bills."),
    ],
)
def test_a_slip_is_the_same_where_words_are_known(first: str, second: str) -> None:
    assert same_but_for_spelling(first, second, WORDS.__contains__)
    assert not same_but_for_spelling(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The port is 80.", "The port is 81."),
        ("The offset is -5.", "The offset is 5."),
        ("It runs on port 54 32.", "It runs on port 5432."),
        ("Pack it with tar -c.", "Pack it with tar c."),
        ("Use the flag --dry-run.", "Use the flag --dryrun."),
        ("We wait four days.", "We wait for days."),
        ("Ask Martin about it.", "Ask Martyin about it."),  # names are never slips
        ("The staging server is down.", "The staying server is down."),  # both are words
        ("They deploy it.", "They deploys it."),  # an ending
        ("It is typical of it.", "It is atypical of it."),  # a prefix
        ("Der Termin ist schon da.", "Der Termin ist schön da."),
        ("It runs on a host.", "It runs on the other host."),
    ],
)
def test_another_word_number_or_name_is_no_spelling(first: str, second: str) -> None:
    assert not same_but_for_spelling(first, second, WORDS.__contains__)
    assert not same_but_for_spelling(second, first, WORDS.__contains__)


@given(st.text("aeou cz1-.", max_size=20), st.text("aeou cz1-.", max_size=20))
def test_the_order_of_the_two_texts_does_not_matter(first: str, second: str) -> None:
    assert same_but_for_spelling(first, first)
    there = same_but_for_spelling(first, second, WORDS.__contains__)
    back = same_but_for_spelling(second, first, WORDS.__contains__)
    assert there is back
