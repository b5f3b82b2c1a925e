"""Memories that were shown and come back in a message are taken out of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.screening.recall_guard import RecallGuard, without_quotes
from tests.fakes import FakeSparse
from tests.retrieval.builders import SCOPE, World

pytestmark = pytest.mark.anyio
FACT = "The stock counter lives in Postgres and is guarded by advisory locks."
LATER = replace(SCOPE, session_id="s2")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (FACT, ""),
        (f"- {FACT.upper()}\n", ""),
        ("Found:\n> The stock counter\n> lives in Postgres and is guarded by advisory locks", "Found:\n>"),
        (f"As you said: {FACT} So the Redis one can go.", "As you said:  So the Redis one can go."),
        ("The stock counter lives in Postgres.", "The stock counter lives in Postgres."),
        (f"{FACT[:-1]}meter", f"{FACT[:-1]}meter"),
    ],
)
def test_what_is_quoted_whole_is_taken_out(text: str, rest: str) -> None:
    """In any case and over any line breaks; a part of it, or more of a word, is no quote."""
    assert without_quotes(text, [FACT]) == rest


@given(st.text(), st.lists(st.text(), max_size=4))
def test_only_quotes_are_lost(text: str, quotable: list[str]) -> None:
    """What is left is never longer, and nothing quotable changes nothing."""
    assert len(without_quotes(text, quotable)) <= len(text)
    assert without_quotes(text, []) == text


async def nothing_to_note() -> None:
    """Every showing is noted already."""


async def world_with(shown: int) -> tuple[World, str]:
    """FACT of another session, shown so many times, and its id."""
    world = World()
    memory_id = await world.add("semantic", FACT)
    await world.store.patch(SCOPE, {memory_id: {"access_count": shown}})
    return world, memory_id


async def test_what_was_shown_and_is_quoted_is_left_out() -> None:
    """Alone or in a longer message; other messages stay as they are."""
    guard = RecallGuard((await world_with(1))[0].store, FakeSparse(), nothing_to_note)
    said = [FACT, f"I recall that {FACT} Then the other counter can go.", "ok", ""]
    assert await guard.rests(LATER, said) == ["", "I recall that  Then the other counter can go.", "ok", ""]


async def test_what_was_never_shown_may_be_said_again() -> None:
    """The same words in a new session are new evidence then; and a session may be sent again."""
    never = RecallGuard((await world_with(0))[0].store, FakeSparse(), nothing_to_note)
    again = RecallGuard((await world_with(1))[0].store, FakeSparse(), nothing_to_note)
    assert await never.rests(LATER, [FACT]) == [FACT]
    assert await again.rests(SCOPE, [FACT]) == [FACT]


async def test_what_is_still_to_be_noted_counts() -> None:
    """A memory that was shown a moment ago is recognised, too."""
    world, memory_id = await world_with(0)

    async def settle() -> None:
        await world.store.patch(SCOPE, {memory_id: {"access_count": 1}})

    assert await RecallGuard(world.store, FakeSparse(), settle).rests(LATER, [FACT]) == [""]
