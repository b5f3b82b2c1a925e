"""What in a message is to be remembered besides what happened."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.conversations.sessions import Message, drafts_of
from ingest.screening.extraction.parts import howtos_in, requests_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Remind me to call Ann at 3.30pm. Bye.", ["Remind me to call Ann at 3.30pm."]),
        ("ok! don't forget to send it\nset a reminder for 5pm", ["don't forget to send it", "set a reminder for 5pm"]),
        ("Hallo! Erinnere mich morgen um 15 Uhr an den Zahnarzt.", ["Erinnere mich morgen um 15 Uhr an den Zahnarzt."]),
        ("Can you remind me what we decided?", []),
        ("It reminds me of home.", []),
        ("", []),
    ],
)
def test_requests_for_later(text: str, found: list[str]) -> None:
    """A sentence that asks to be reminded is found; a question about the past is none."""
    assert requests_in(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
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
def test_ways_to_do_something(text: str, found: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """What for, and two steps or more: as a list or in a sentence; anything else is left whole."""
    assert [(one.name, one.text, one.steps) for one in howtos_in(text)] == found


@given(st.text(alphabet="To a1.2)-\n:,then!", max_size=120))
def test_parts_stand_in_the_text(text: str) -> None:
    """Whatever is cut out stands there as it is, and has its steps."""
    for part in howtos_in(text):
        assert part.text in text
        assert len(part.steps) >= 2
        assert all(step in part.text for step in part.steps)


def test_a_conversation_gives_memories_of_three_types() -> None:
    """An event for the message, and the parts of other types besides; an assistant's lists are left alone."""
    text = "We met Ana. Remind me to call her tomorrow. To deploy: 1. build 2. push"
    drafts = drafts_of("s", [Message("user", text), Message("assistant", text)])
    assert [(said.index, str(said.draft.type)) for said in drafts] == [
        (0, "episodic"),
        (0, "prospective"),
        (0, "procedural"),
        (1, "episodic"),
    ]


@pytest.mark.parametrize(
    "unit", ["\n", "\r\n", " \n", "\nto do: ", ". To do: ", "to do: 1. a 2. b ", "\n- a", "to a, then "]
)
def test_no_text_takes_forever(unit: str) -> None:
    """What was written to be slow is read in a time that grows with its length, not with its square."""
    began = time.process_time()
    howtos_in(unit * (200_000 // len(unit)))
    assert time.process_time() - began < 10
