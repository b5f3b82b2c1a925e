"""The intents that the words of a query reveal: latest state, task, how-to, present value."""

from __future__ import annotations

import pytest

from retrieval.query.intent import asks_for_latest, asks_for_value, is_how_to, is_task_like


@pytest.mark.parametrize(
    ("query", "latest"),
    [
        ("What is my latest address?", True),
        ("Where does Ana work currently?", True),
        ("most recently changed setting", True),
        ("Which framework did we choose?", False),
        ("What did he know about it?", False),
    ],
)
def test_queries_for_the_latest_state_are_recognised(query: str, latest: bool) -> None:  # noqa: FBT001
    """They are recognised by words such as "latest" and "currently"."""
    assert asks_for_latest(query) is latest


@pytest.mark.parametrize(
    ("query", "task", "how"),
    [
        ("what is left to do on the importer?", True, False),
        ("any reminders for Monday?", True, False),
        ("how do I deploy the service?", False, True),
        ("steps to roll back a migration", False, True),
        ("who is Ana?", False, False),
    ],
)
def test_task_like_and_how_to_queries_are_recognised(query: str, task: bool, how: bool) -> None:  # noqa: FBT001
    """They shift tokens of the budget between types."""
    assert (is_task_like(query), is_how_to(query)) == (task, how)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("How many sources are in my library?", True),
        ("When is the review?", True),
        ("What is the deadline for the first draft?", False),
        ("What is the new deadline for the sprint?", True),
        ("What's my budget for sneakers?", True),
        ("How many days passed between the two trips?", False),
        ("Where did we go?", False),
        ("Why does the build fail?", False),
    ],
)
def test_queries_for_a_present_value_are_recognised(query: str, value: bool) -> None:  # noqa: FBT001
    """Queries about the past, or for something that is no value, are not recognised as such."""
    assert asks_for_value(query) is value
