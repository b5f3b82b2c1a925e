"""Parsing of statements into subject, relation and value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.extraction.statements import read_statement, without_denials, words_of


@pytest.mark.parametrize(
    ("text", "subject", "relations", "value"),
    [
        ("The port is now 8080", ("port",), {"be"}, ("8080",)),
        ("The rate limit was raised from 10 to 20", ("rate", "limit"), {"be"}, ("20",)),
        ("Ann moved to New York", ("ann",), {"be", "live"}, ("New", "York")),
        ("Ann works as a nurse", ("ann",), {"work"}, ("nurse",)),
        ("The price has been cut to 3 euros", ("price",), {"be"}, ("3", "euros")),
    ],
)
def test_statements_are_read(text: str, subject: tuple[str, ...], relations: set[str], value: tuple[str, ...]) -> None:
    """The verb gives the relation, and the value is what follows the verb and its connecting words."""
    read = read_statement(text)
    assert read is not None
    assert (read.subject, set(read.relations), read.value) == (subject, relations, value)


@pytest.mark.parametrize(
    "text",
    ["Is the port 8080?", "Ann likes tea", "is 8080 now", "The port is", "Ann moved quickly", "The is Rome", "x " * 41],
)
def test_other_sentences_are_not_read(text: str) -> None:
    """Questions, unknown verbs, a missing subject or value, a move to nowhere, and long texts give None."""
    assert read_statement(text) is None


def test_words_of_change_mark_an_update() -> None:
    """The word "now" and verbs such as "changed" mark an update; a plain statement is no update."""
    statements = [read_statement(text) for text in ("We now use Vim", "The port changed to 81", "We use Vim")]
    assert [one is not None and one.updated for one in statements] == [True, True, False]


def test_a_denial_compares_equal_to_its_statement() -> None:
    """Without "does not" and the verb's ending the words are the same."""
    denied, plain = without_denials(words_of("Ann doesn't like tea")), without_denials(words_of("Ann likes tea"))
    assert denied == (plain[0], True)
    assert plain[1] is False


@given(st.text(max_size=120))
def test_any_text_can_be_read(text: str) -> None:
    """No text raises an error, and every parsed statement has a subject and a value."""
    read = read_statement(text)
    assert read is None or (read.subject and read.value)
