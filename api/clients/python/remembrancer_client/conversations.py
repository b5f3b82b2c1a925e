"""Functions shared by the adapters for agent frameworks: they recall memories for prompts and send
in messages.

They shorten and clean texts before the service validates them, because people paste terminal output
and whole documents into prompts, and an agent's run must not fail on such a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from remembrancer_client.client import AsyncRemembrancer
from remembrancer_client.options import SessionMessage

MAX_CONTENT = 500_000
"""Maximum characters of a memory's content."""

QUERY_CHARACTERS = 9_999
"""Characters of the beginning and of the end of a long prompt that become its query; a query has at
most 20,000.
"""

_REFUSED = re.compile(
    "\x1b\\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"
)
"""Texts that the service refuses: terminal codes, control characters but tab, newline and return,
lone surrogates.
"""


def printable(text: str) -> str:
    """Remove whitespace at the ends of `text` and control characters, which the service would
    refuse with an error.
    """
    return _REFUSED.sub("", text).strip()


def query_of(prompt: str) -> str:
    """The search query for a prompt: its printable text, reduced to the beginning and the end if it
    is too long.
    """
    text = printable(prompt)
    if len(text) <= 2 * QUERY_CHARACTERS:
        return text
    return f"{text[:QUERY_CHARACTERS]}\n{text[-QUERY_CHARACTERS:]}"


def contents_of(text: str) -> list[str]:
    """Split the printable text into pieces of at most MAX_CONTENT characters; an empty list for a
    blank text.
    """
    text = printable(text)
    return [text[start : start + MAX_CONTENT] for start in range(0, len(text), MAX_CONTENT)]


async def recall_text(memory: AsyncRemembrancer, prompt: str, budget: int) -> str:
    """The memories that help with a prompt, as text of at most `budget` tokens; empty if nothing
    helps.
    """
    query = query_of(prompt)
    return (await memory.recall(query, budget=budget)).context if query else ""


async def capture(
    memory: AsyncRemembrancer, session_id: str, messages: Iterable[tuple[str, str]]
) -> None:
    """Send messages of a session, each as (role, text), to the service, which stores what is worth
    keeping.
    """
    texts = ((role, printable(text)) for role, text in messages)
    chat: list[SessionMessage] = [{"role": role, "content": text} for role, text in texts if text]
    if chat:
        await memory.hooks.session_stop(session_id, chat, ended=False)
