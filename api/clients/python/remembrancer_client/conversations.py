"""What the adapters share: messages of a conversation become memories, and a query finds them again."""

from __future__ import annotations

from collections.abc import Iterable

from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.options.sessions import ChatMessage


async def capture(memory: AsyncRemembrancer, session_id: str, messages: Iterable[tuple[str, str]]) -> None:
    """Give what was said in a session, as roles and texts, to the service, which keeps what is worth it."""
    said: list[ChatMessage] = [{"role": role, "content": text} for role, text in messages if text.strip()]
    if said:
        await memory.hooks.session_stop(session_id, said, ended=False)
