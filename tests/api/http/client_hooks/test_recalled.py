"""Context that a hook added to a prompt is not stored again when an answer repeats it."""

from __future__ import annotations

import pytest

from tests.api.http.client_hooks.conftest import ClientSession
from tests.api.http.client_hooks.test_sessions import FACT, FAILURE, OTHER, QUESTION

pytestmark = pytest.mark.anyio

LONG = f"{FACT} {FAILURE} The gate of the depot is closed at weekends since the fire in May."


@pytest.mark.parametrize(
    "echo",
    [
        "{context}",
        "> {quoted}",
        "As you told me: {fact}",
        "- {fact} (since 2026-03-01)",
        "From the memory of this project:\n- {fact}",
        "we run POSTGRES 15, in production, because the ledger needs **logical replication**",
    ],
)
async def test_an_answer_that_repeats_what_was_shown_adds_no_memory(
    session: ClientSession, echo: str
) -> None:
    await session.exchange(FACT, "Good.")
    before = {memory.id for memory in await session.memories()}
    following = session.another()
    context = await following.prompt(QUESTION)
    assert FACT in context
    quoted = context.replace("\n", "\n> ")
    await following.stop(echo.format(context=context, quoted=quoted, fact=FACT))
    added = [memory for memory in await session.memories() if memory.id not in before]
    assert not [memory for memory in added if "Postgres 15" in memory.content]


async def test_new_statements_beside_recalled_ones_are_stored(session: ClientSession) -> None:
    await session.exchange(FACT, "Good.")
    following = session.another()
    await following.prompt(QUESTION)
    await following.stop(f"{FACT}\n\n{FAILURE}")
    assert FAILURE in {memory.content for memory in await session.memories()}


async def test_an_answer_that_repeats_a_sentence_of_a_shown_memory_adds_no_memory(
    session: ClientSession,
) -> None:
    await session.exchange(LONG, "Good.")
    before = {memory.content for memory in await session.memories()}
    following = session.another()
    assert LONG in await following.prompt(QUESTION)
    await following.stop(f"I remember. {FAILURE}")
    assert {memory.content for memory in await session.memories()} <= before


async def test_memories_that_were_shown_are_removed_from_the_summary_of_a_session(
    session: ClientSession,
) -> None:
    await session.exchange(FACT, "Good.")
    following = session.another()
    await following.prompt(QUESTION)
    await following.post(
        "PostCompact", compact_summary=f"The user asked for the version.\n- {FACT}\n- {OTHER}"
    )
    await following.settled()
    (summary,) = [
        memory.content
        for memory in await session.memories()
        if "asked for the version" in memory.content
    ]
    assert FACT not in summary
    assert OTHER in summary
