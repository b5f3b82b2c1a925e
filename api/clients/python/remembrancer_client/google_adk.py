"""A memory service for Google's ADK: `RemembrancerMemoryService`. Needs the package's extra
`google-adk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from google.adk.events import Event
from google.adk.memory import BaseMemoryService
from google.adk.memory.base_memory_service import SearchMemoryResponse
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.sessions import Session
from google.genai import types

from remembrancer_client.answers import Memory
from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.conversations import contents_of, query_of
from remembrancer_client.options import NewMemory


class RemembrancerMemoryService(BaseMemoryService):
    """Remembers the events of ADK sessions. Each user of an app has a separate namespace,
    `app/user`.

    An event that is added twice is stored once. top_k: maximum number of memories that a search
    returns.
    """

    def __init__(self, memory: AsyncRemembrancer, *, top_k: int = 10) -> None:
        self._memory = memory
        self._top_k = top_k

    async def add_session_to_memory(self, session: Session) -> None:
        """Remember all events of a session."""
        await self.add_events_to_memory(
            app_name=session.app_name,
            user_id=session.user_id,
            events=session.events,
            session_id=session.id,
        )

    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[Event],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Remember the texts of events, unchanged, as episodic memories. Skips partial events."""
        metadata = dict(custom_metadata or {})
        texts = [
            (event, text)
            for event in events
            if not event.partial
            for text in contents_of(_text(event.content))
        ]
        await self._client(app_name, user_id).remember_all(
            {**_memory(event, text), "metadata": metadata, "session_id": session_id}
            for event, text in texts
        )

    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Remember the texts of `memories` as facts (semantic memories)."""
        items: list[NewMemory] = [
            {
                "type": "semantic",
                "content": text,
                "metadata": {**entry.custom_metadata, **(custom_metadata or {})},
            }
            for entry in memories
            for text in contents_of(_text(entry.content))
        ]
        await self._client(app_name, user_id).remember_all(items)

    async def search_memory(
        self, *, app_name: str, user_id: str, query: str
    ) -> SearchMemoryResponse:
        """The memories in the user's namespace that answer a query best."""
        if not (query := query_of(query)):
            return SearchMemoryResponse(memories=[])
        answer = await self._client(app_name, user_id).search(query, top_k=self._top_k)
        return SearchMemoryResponse(memories=[_entry(hit.memory) for hit in answer.hits])

    async def delete_memory(
        self, *, app_name: str, user_id: str, memory_id: str | None = None
    ) -> None:
        """Delete the memory with this id, which a search returned. Does nothing if the id is
        None.
        """
        if memory_id is not None:
            await self._client(app_name, user_id).forget(memory_id)

    def _client(self, app_name: str, user_id: str) -> AsyncRemembrancer:
        return self._memory.within(f"{quote(app_name, safe=' @')}/{quote(user_id, safe=' @')}")


def _memory(event: Event, text: str) -> NewMemory:
    user = event.author == "user"
    return {
        "type": "episodic",
        "event_type": "user_query" if user else "agent_response",
        "content": text,
        "speaker": event.author,
        "created_at": datetime.fromtimestamp(event.timestamp, timezone.utc),
        "visibility": "namespace",
    }


def _entry(memory: Memory) -> MemoryEntry:
    role = "model" if memory.event_type == "agent_response" else "user"
    return MemoryEntry(
        id=memory.id,
        content=types.Content(role=role, parts=[types.Part(text=memory.content)]),
        author=memory.speaker,
        timestamp=memory.created_at.isoformat(),
        custom_metadata=memory.metadata,
    )


def _text(content: types.Content | None) -> str:
    parts: list[Any] = list(content.parts or ()) if content is not None else []
    return "\n".join(part.text for part in parts if part.text and not part.thought)
