"""Sends messages of a conversation to be remembered, for the adapters for agent frameworks."""

from __future__ import annotations

from collections.abc import Iterable

from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.options.sessions import ChatMessage


async def capture(memory: AsyncRemembrancer, session_id: str, messages: Iterable[tuple[str, str]]) -> None:
    """Send the messages of a session, each a role and a text, to the service, which stores what is worth keeping."""
    said: list[ChatMessage] = [{"role": role, "content": text} for role, text in messages if text.strip()]
    if said:
        await memory.hooks.session_stop(session_id, said, ended=False)
