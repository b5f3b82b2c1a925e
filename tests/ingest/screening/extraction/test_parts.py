"""Requests, how-tos and facts cut out of messages."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.extraction.parts import facts_in, howtos_in, requests_in


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("Remind me to call Ann at 3.30pm. Bye.", ["Remind me to call Ann at 3.30pm."]),
        ("ok! don't forget to send it\nset a reminder for 5pm", ["don't forget to send it", "set a reminder for 5pm"]),
        ("Hallo! Erinnere mich morgen um 15 Uhr an den Zahnarzt.", ["Erinnere mich morgen um 15 Uhr an den Zahnarzt."]),
        ("Can you remind me what we decided?", []),
        ("It reminds me of home.", []),
        ("", []),
    ],
)
def test_requests_for_a_reminder_are_cut_out(text: str, requests: list[str]) -> None:
    """Each request is a whole sentence; a question about the past is no request."""
    assert requests_in(text) == requests


@pytest.mark.parametrize(
    ("text", "howtos"),
    [
        ("We met Ana. To deploy: 1. build 2. push", [("deploy", "To deploy: 1. build 2. push", ("build", "push"))]),
        ("To deploy:\n- build\n- push\nThat's all.", [("deploy", "To deploy:\n- build\n- push", ("build", "push"))]),
        (
            "Here's how to release: 1) tag 2) push the tag. It took 3 days.",
            [("release", "Here's how to release: 1) tag 2) push the tag", ("tag", "push the tag"))],
        ),
        (
            "To bake it, first mix the flour, then wait. Fine.",
            [("bake it", "To bake it, first mix the flour, then wait.", ("mix the flour", "wait"))],
        ),
        ("To be honest: 1. no", []),
        ("I want to go to Rome, then to Pisa.", []),
        ("We need: 1. milk 2. eggs", []),
        ("How do I deploy: with make or by hand?", []),
    ],
)
def test_howtos_are_cut_out_with_their_steps(text: str, howtos: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """A how-to is a list, or sentences, with a purpose and at least two steps."""
    assert [(howto.name, howto.text, howto.steps) for howto in howtos_in(text)] == howtos


@given(st.text(alphabet="To a1.2)-\n:,then!", max_size=120))
def test_howtos_are_parts_of_the_text(text: str) -> None:
    """A how-to is a part of the text as written and has at least two steps."""
    for part in howtos_in(text):
        assert part.text in text
        assert len(part.steps) >= 2
        assert all(step in part.text for step in part.steps)


@pytest.mark.parametrize(
    "unit", ["\n", "\r\n", " \n", "\nto do: ", ". To do: ", "to do: 1. a 2. b ", "\n- a", "to a, then "]
)
def test_any_text_is_read_in_linear_time(unit: str) -> None:
    """Texts built to slow the patterns down are read within seconds."""
    began = time.process_time()
    howtos_in(unit * (200_000 // len(unit)))
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "facts"),
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
def test_lasting_facts_are_cut_out_whole(text: str, facts: list[str]) -> None:
    """Plain statements of the speaker are facts; passing states, questions, conditions and quotes are not."""
    assert facts_in(text) == facts


@given(st.text(max_size=300))
def test_facts_are_parts_of_the_text(text: str) -> None:
    """Every fact is a part of the text as written, and no text raises an error."""
    assert all(fact in text for fact in facts_in(text))
