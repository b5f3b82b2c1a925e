"""What the adapters for agent frameworks share: texts of conversations in the form that the service takes.

People paste the output of terminals and whole documents into prompts. Both must not end the run of an agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.options.sessions import ChatMessage

MAX_CONTENT = 500_000
"""Maximum characters of a memory."""

QUERY_CHARACTERS = 9_999
"""Characters at each end of a prompt that are its query if it is longer than both; a query has at most 20,000."""

_REFUSED = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Terminal codes, control characters but tab, newline and return, and lone surrogates."""


def printable(text: str) -> str:
    """`text` without the characters that the service refuses, and without blanks around it."""
    return _REFUSED.sub("", text).strip()


def query_of(prompt: str) -> str:
    """The query for a prompt: its printable text, or both ends of a long one; empty if the prompt has no text."""
    text = printable(prompt)
    if len(text) <= 2 * QUERY_CHARACTERS:
        return text
    return f"{text[:QUERY_CHARACTERS]}\n{text[-QUERY_CHARACTERS:]}"


def contents_of(text: str) -> list[str]:
    """The printable text as the contents of memories: usually one, several for a long text, none for a blank one."""
    text = printable(text)
    return [text[start : start + MAX_CONTENT] for start in range(0, len(text), MAX_CONTENT)]


async def recalled(memory: AsyncRemembrancer, prompt: str, budget: int) -> str:
    """The context for a prompt in at most `budget` tokens; empty if nothing helps or the prompt has no text."""
    query = query_of(prompt)
    return (await memory.recall(query, budget=budget)).context if query else ""


async def capture(memory: AsyncRemembrancer, session_id: str, messages: Iterable[tuple[str, str]]) -> None:
    """Send the messages of a session, each a role and a text, to the service, which stores what is worth keeping."""
    texts = ((role, printable(text)) for role, text in messages)
    said: list[ChatMessage] = [{"role": role, "content": text} for role, text in texts if text]
    if said:
        await memory.hooks.session_stop(session_id, said, ended=False)
