"""Sentences and steps in texts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.parts import MAX_STEPS, sentences_in, steps_in


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("We met Ana. Call her at 3.30 pm! Why?", ["We met Ana.", "Call her at 3.30 pm!", "Why?"]),
        ("one line\nanother", ["one line", "another"]),
        ("see config.yaml for it", ["see config.yaml for it"]),
        ("東京に住んでいます。 犬がいます。", ["東京に住んでいます。", "犬がいます。"]),
        (" ", []),
    ],
)
def test_sentences_are_cut_as_written(text: str, sentences: list[str]) -> None:
    """A period within a number or a file name ends no sentence."""
    assert list(sentences_in(text)) == sentences


@given(st.text(alphabet="ab .!?\n1", max_size=80))
def test_sentences_are_substrings(text: str) -> None:
    """Every sentence stands in the text, without blanks at its ends."""
    assert all(sentence in text and sentence == sentence.strip() for sentence in sentences_in(text))


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("To deploy: 1. build 2. push", ["build", "push"]),
        ("1) open it\n2) close it\nThat is all.", ["open it", "close it"]),
        ("- soak\n- rinse", ["soak", "rinse"]),
        ("1. only one", []),
        ("It costs 2. or 3. at most", []),
        ("- " + "x\n- " * 500, ["x"] * MAX_STEPS),
    ],
)
def test_steps_are_numbered_or_bulleted(text: str, steps: list[str]) -> None:
    """Lists with at least two steps are read, up to the limit."""
    assert steps_in(text) == steps


@pytest.mark.parametrize("unit", ["1. ", "- ", "\n", " \n", "a.", ". "])
def test_reading_is_fast_on_any_text(unit: str) -> None:
    """Texts built to slow the patterns down are read within seconds."""
    began = time.process_time()
    list(sentences_in(unit * 20_000))
    steps_in(unit * 20_000)
    assert time.process_time() - began < 5
