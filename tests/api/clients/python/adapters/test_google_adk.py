"""The memory service for Google's ADK, compared with ADK's InMemoryMemoryService by random
events.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime
from typing import Any

import pytest
from google.adk.events import Event
from google.adk.memory import BaseMemoryService, InMemoryMemoryService
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.sessions import Session
from google.genai import types
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from remembrancer_client import AsyncRemembrancer
from remembrancer_client.google_adk import RemembrancerMemoryService

WORDS = ["lantern", "harbour", "violin", "glacier", "pepper", "saddle"]
EVENTS = st.tuples(
    st.sampled_from(["user", "agent"]),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
)
CALLS = st.tuples(
    st.sampled_from(["app", "app/x"]),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["s1", "s2"]),
    st.lists(EVENTS, max_size=3),
)


def event(author: str, text: str) -> Event:
    """An ADK event by `author` with a text."""
    role = "user" if author == "user" else "model"
    return Event(author=author, content=types.Content(role=role, parts=[types.Part(text=text)]))


def texts(memories: list[MemoryEntry]) -> set[tuple[str | None, str | None]]:
    """Author and text of each memory."""
    return {
        (memory.author, memory.content.parts[0].text) for memory in memories if memory.content.parts
    }


@given(calls=st.lists(CALLS, min_size=1, max_size=5), word=st.sampled_from(WORDS))
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_a_search_finds_the_same_events_as_adks_in_memory_service(
    url: str, calls: list[Any], word: str
) -> None:
    """A search for a word that all events contain finds the same events as ADK's
    InMemoryMemoryService.

    It finds no events of another app or user.
    """

    async def main() -> None:
        oracle = InMemoryMemoryService()
        async with AsyncRemembrancer(url, namespace=f"n {uuid.uuid4()}") as memory:
            service: BaseMemoryService = RemembrancerMemoryService(memory, top_k=50)
            salt = uuid.uuid4().hex[:8]
            for app, user, session_id, turns in calls:
                events = [event(author, " ".join(["the", *words])) for author, words in turns]
                scope = {"app_name": f"{app} {salt}", "user_id": user, "session_id": session_id}
                for store in (oracle, service):
                    await store.add_events_to_memory(**scope, events=events)
            for app in ("app", "app/x"):
                for user in ("ann", "bob"):
                    scope = {"app_name": f"{app} {salt}", "user_id": user}
                    everything = texts((await service.search_memory(**scope, query="the")).memories)
                    assert (
                        texts((await oracle.search_memory(**scope, query=word)).memories)
                        <= everything
                    )
                    assert everything == texts(
                        (await oracle.search_memory(**scope, query="the")).memories
                    )

    asyncio.run(main())


async def test_a_session_that_is_added_twice_is_remembered_once(url: str) -> None:
    """A session that is added twice is stored once, and only searches of its user find it.

    A memory that has been deleted is not found.
    """
    async with AsyncRemembrancer(url, namespace="n") as memory:
        service = RemembrancerMemoryService(memory)
        app = uuid.uuid4().hex
        events = [
            event("user", "My sister lives in Oslo"),
            event("helper", "Noted."),
            Event(author="user"),
        ]
        session = Session(id="s", app_name=app, user_id="ann", events=events)
        for _ in range(2):
            await service.add_session_to_memory(session)
        answer = await service.search_memory(
            app_name=app, user_id="ann", query="where does the sister live?"
        )
        memories = answer.memories
        assert (memories[0].author, memories[0].content.role, len(memories)) == ("user", "user", 2)
        assert memories[0].content.parts is not None
        assert memories[0].content.parts[0].text == "My sister lives in Oslo"
        at = datetime.fromisoformat(memories[0].timestamp or "").timestamp()
        assert at == pytest.approx(events[0].timestamp, abs=0.001)
        assert (
            await service.search_memory(app_name=app, user_id="bob", query="sister")
        ).memories == []
        await service.delete_memory(app_name=app, user_id="ann", memory_id=memories[0].id)
        remaining = (
            await service.search_memory(app_name=app, user_id="ann", query="sister")
        ).memories
        assert texts(remaining) == {("helper", "Noted.")}


async def test_a_memory_that_add_memory_stored_is_found(url: str) -> None:
    async with AsyncRemembrancer(url) as memory:
        service = RemembrancerMemoryService(memory)
        app = uuid.uuid4().hex
        fact = MemoryEntry(
            content=types.Content(parts=[types.Part(text="Ann likes tea")]),
            custom_metadata={"n": 1},
        )
        await service.add_memory(app_name=app, user_id="ann", memories=[fact])
        (entry,) = (await service.search_memory(app_name=app, user_id="ann", query="tea")).memories
        assert entry.custom_metadata == {"n": 1}
