"""Short statements are read as subject, relation and value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.extraction.statements import read_statement, undenied, words_of


@pytest.mark.parametrize(
    ("text", "subject", "families", "value"),
    [
        ("The port is now 8080", ("port",), {"be"}, ("8080",)),
        ("The rate limit was raised from 10 to 20", ("rate", "limit"), {"be"}, ("20",)),
        ("Ann moved to New York", ("ann",), {"be", "live"}, ("New", "York")),
        ("Ann works as a nurse", ("ann",), {"work"}, ("nurse",)),
        ("The price has been cut to 3 euros", ("price",), {"be"}, ("3", "euros")),
    ],
)
def test_a_statement_is_read(text: str, subject: tuple[str, ...], families: set[str], value: tuple[str, ...]) -> None:
    """With the verb's relation, and the value behind the joints."""
    read = read_statement(text)
    assert read is not None
    assert (read.subject, set(read.families), read.value) == (subject, families, value)


@pytest.mark.parametrize(
    "text",
    ["Is the port 8080?", "Ann likes tea", "is 8080 now", "The port is", "Ann moved quickly", "The is Rome", "x " * 41],
)
def test_nothing_is_read_into_what_is_no_statement(text: str) -> None:
    """Questions, other verbs, no subject, no value, a move to nowhere and long texts are none."""
    assert read_statement(text) is None


def test_a_cue_says_that_it_is_news() -> None:
    """As a verb of change does; a plain statement does not."""
    told = [read_statement(text) for text in ("We now use Vim", "The port changed to 81", "We use Vim")]
    assert [one is not None and one.updated for one in told] == [True, True, False]


def test_a_denial_is_told_apart_from_what_it_denies() -> None:
    """With its support and the verb's ending taken off, so that both sides compare."""
    denied, plain = undenied(words_of("Ann doesn't like tea")), undenied(words_of("Ann likes tea"))
    assert denied == (plain[0], True)
    assert plain[1] is False


@given(st.text(max_size=120))
def test_any_text_can_be_read(text: str) -> None:
    """Whatever it is; what is read has a subject and a value."""
    read = read_statement(text)
    assert read is None or (read.subject and read.value)
