"""Whether a newer statement gives another value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.contradictions import MAX_CHARACTERS, ParsedFact, replaces


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("The deadline is April 12", "The deadline is April 5"),
        ("Ann lives in Berlin now", "Ann lives in Paris"),
        ("The office is no longer in Rome", "The office is in Rome"),
        ("Ann isn't a vegetarian", "Ann is a vegetarian"),
        ("The meeting is on Friday at 4pm", "The meeting is on Friday at 3pm"),
        ("The budget limit is $500", "The budget limit is $400"),
        ("My favourite colour is green", "My favourite colour is blue"),
        ("The deploy port is now 9090", "The deploy port is 8080"),
        ("The server runs on port 81", "The server runs on port 80"),
        ("Ann prefers light mode", "Ann prefers dark mode"),
        ("Ann's phone is a Pixel 8", "Ann's phone is an iPhone 12"),
        ("Ann works as a doctor at the clinic", "Ann works as a nurse at the clinic"),
        ("My job title is senior analyst", "My job title is analyst"),
        ("Ann's dog is called Bello", "Ann's dog is called Rex"),
        ("Ann has three kids", "Ann has two kids"),
        ("Ann likes spicy food", "Ann does not like spicy food"),
        ("The rate limit was raised to 500 requests a minute", "The rate limit is 100 requests a minute"),
        ("The meeting moved to Friday", "The meeting is on Monday"),
        ("Ann moved to Berlin", "Ann lives in Paris"),
        ("Ann moved from Paris to Berlin", "Ann lives in Paris"),
        ("We now use Emacs", "We use Vim"),
        ("We switched the shop from MySQL to Postgres", "We use MySQL for the shop"),
        ("The database is Postgres 16", "The database is Postgres 14"),
    ],
)
def test_another_value_replaces(newer: str, older: str) -> None:
    """Another value of what a subject has one of, a denial, or what was left for another, replaces."""
    assert replaces(ParsedFact.of(newer), ParsedFact.of(older))


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
        ("Ann is Catholic", "Ann is American"),
        ("Ann's dog is old", "Ann's dog is brown"),
        ("Ann is 30 years old", "Ann is 5 feet tall"),
        ("Ann works on Gemini", "Ann works on Apollo"),
        ("Ann works at Acme", "Ann works as Editor"),
        ("Ann has two sisters", "Ann has two brothers"),
        ("Ann speaks German", "Ann speaks French"),
        ("We use hypothesis for tests", "We use pytest for tests"),
        ("We switched from MySQL to Postgres", "MySQL is a database"),
        ("We moved to Berlin", "We like Paris"),
        ("The office moved to Paris", "Ann moved to Berlin"),
        ("The cache is cold", "The cache is warm"),
    ],
)
def test_both_may_hold(newer: str, older: str) -> None:
    """Another subject, what may hold of many things, other kinds of values and questions replace nothing."""
    assert not replaces(ParsedFact.of(newer), ParsedFact.of(older))


@given(st.text(max_size=80))
def test_nothing_replaces_itself(text: str) -> None:
    """The same words are no change."""
    assert not replaces(ParsedFact.of(text), ParsedFact.of(text))


def test_a_long_text_states_nothing() -> None:
    """It is not even read: a page is no statement, whatever it begins with."""
    page = "The port is 8080 " + "and so on " * (MAX_CHARACTERS // 10)
    assert not replaces(ParsedFact.of("The port is 9090"), ParsedFact.of(page))
    assert not ParsedFact.of(page).words
