"""Sessions of clients, event by event."""

from __future__ import annotations

import pytest

from tests.api.http.client_hooks.conftest import ClientSession

pytestmark = pytest.mark.anyio

FACT = "We run Postgres 15 in production because the ledger needs logical replication."
QUESTION = "Which Postgres version do we run in production?"


async def test_facts_of_one_session_are_in_the_next_one(session: ClientSession) -> None:
    """The prompt and its answer are stored, and help another session of the project."""
    assert await session.post("SessionStart", source="startup") == {}
    assert await session.exchange(FACT, "Understood, I will keep the replication slots in mind.") == ""
    assert FACT in {memory.content for memory in await session.memories()}
    assert FACT in await session.another().prompt(QUESTION)
