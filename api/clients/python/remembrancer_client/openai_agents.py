"""A session for the OpenAI Agents SDK: `RemembrancerSession`. Needs the package's extra
`openai-agents`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from agents import FunctionTool, TResponseInputItem, function_tool
from agents.memory import SessionSettings
from agents.memory.session_settings import resolve_session_limit

from remembrancer_client.answers import ItemAnswer
from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.conversations import capture, recall_text
from remembrancer_client.groups.items import PAGE


class RemembrancerSession:
    """Stores the items of a conversation as the SDK passed them, until `clear_session`.

    captures: whether what the user and the assistant say is also remembered, so that other sessions
    can recall it.
    """

    def __init__(
        self,
        session_id: str,
        memory: AsyncRemembrancer,
        *,
        captures: bool = True,
        session_settings: SessionSettings | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = session_settings
        self._memory = memory
        self._captures = captures
        self._path = ["openai-agents", session_id.replace("%", "%25").replace(".", "%2E")]

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The latest `limit` items, oldest first; all if negative. By default, the limit of the
        session settings.
        """
        limit = resolve_session_limit(limit, self.session_settings)
        return [entry.value for entry in await self._entries(limit)]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append items to the conversation."""
        for item in items:
            key = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
            await self._memory.items.put(self._path, key, item, index=False)
        if self._captures:
            await capture(self._memory, self.session_id, _spoken_texts(items))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the latest item and return it; None if the conversation has no items."""
        for entry in await self._entries(1):
            await self._memory.items.delete(self._path, entry.key)
            item: TResponseInputItem = entry.value
            return item
        return None

    async def clear_session(self) -> None:
        """Remove all items. Memories that were made of them stay."""
        for entry in await self._entries(None):
            await self._memory.items.delete(self._path, entry.key)

    async def _entries(self, limit: int | None) -> list[ItemAnswer]:
        """The latest `limit` stored items, oldest first; all if `limit` is None or negative."""
        maximum = None if limit is None or limit < 0 else limit
        entries: list[ItemAnswer] = []
        while maximum is None or len(entries) < maximum:
            size = PAGE if maximum is None else min(PAGE, maximum - len(entries))
            page = (
                await self._memory.items.search(self._path, limit=size, offset=len(entries))
            ).items
            entries += page
            if len(page) < size:
                break
        return sorted(entries, key=lambda entry: entry.key)


def recall_tool(memory: AsyncRemembrancer, *, budget: int = 1000) -> FunctionTool:
    """A tool with which an agent recalls what earlier sessions said, in at most `budget` tokens."""

    @function_tool
    async def recall(query: str) -> str:
        """Recall what is known from earlier conversations. query: what to look for, in a
        sentence.
        """
        return await recall_text(memory, query, budget) or "Nothing is known about it."

    return recall


def _spoken_texts(items: list[TResponseInputItem]) -> Iterator[tuple[str, str]]:
    """Role and text of what the user and the assistant said; tools, reasoning and system texts are
    left out.
    """
    for item in items:
        role = item.get("role")
        content = item.get("content")
        if role in ("user", "assistant"):
            yield str(role), content if isinstance(content, str) else _text(content)


def _text(parts: Any) -> str:
    return "\n".join(
        part["text"] for part in parts or () if isinstance(part, dict) and "text" in part
    )
