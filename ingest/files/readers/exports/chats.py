"""Chat exports: ChatGPT's conversations.json, a tree of messages each, and Claude's, a list of messages each.

One row a message, an event of its speaker in the session that the conversation is; system and tool messages and empty
ones are left out. Of ChatGPT's tree the branch that ends in current_node is read: what the user saw last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

from ingest.files.readers.exports.walk import converted, row
from ingest.files.readers.rows import BadLine, Reading

_EVENTS = {"user": "user_query", "assistant": "agent_response"}
_MAX_TITLE = 500


def read_chatgpt(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A row for each message of each conversation, in order."""
    return converted(stream, file, ("conversations",), _chatgpt)


def _chatgpt(conversation: dict[str, Any], file: str, line: int) -> Iterator[Reading]:
    mapping = conversation["mapping"]
    session = str(conversation.get("conversation_id") or conversation.get("id") or conversation["create_time"])
    started = conversation.get("create_time")
    for turn, message in enumerate(_branch(mapping, conversation.get("current_node"))):
        role = message["author"]["role"]
        text = _chatgpt_text(message.get("content") or {})
        if role in _EVENTS and text.strip():
            at = _unix(message.get("create_time") or started)
            yield _message(file, line, (session, conversation.get("title"), turn), (role, text, at))


def _branch(mapping: dict[str, Any], last: str | None) -> list[dict[str, Any]]:
    """The messages from the root to `last`, or to the last leaf where that is not known; a cycle is cut."""
    parents = {node.get("parent") for node in mapping.values()}
    leaves = [name for name in mapping if name not in parents]
    at: str | None = last if last in mapping else leaves[-1] if leaves else None
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    while at is not None and at in mapping and at not in seen:
        seen.add(at)
        if mapping[at].get("message"):
            found.append(mapping[at]["message"])
        at = mapping[at].get("parent")
    return found[::-1]


def _chatgpt_text(content: dict[str, Any]) -> str:
    parts = content.get("parts") or [content.get("text") or ""]
    texts = [part if isinstance(part, str) else part.get("text") or "" for part in parts]
    return "\n".join(text for text in texts if text)


def _unix(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(float(seconds), UTC).isoformat()


def read_claude(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A row for each message of each conversation, in order."""
    return converted(stream, file, ("conversations",), _claude)


def _claude(conversation: dict[str, Any], file: str, line: int) -> Iterator[Reading]:
    session = str(conversation["uuid"])
    for turn, message in enumerate(conversation["chat_messages"]):
        role = {"human": "user"}.get(message["sender"], message["sender"])
        text = _claude_text(message)
        if role not in _EVENTS:
            yield BadLine(file, line, f"message {turn} of conversation {session} is of {role!r:.50}")
        elif text.strip():
            at = message.get("created_at") or conversation.get("created_at")
            yield _message(file, line, (session, conversation.get("name"), turn), (role, text, at))


def _claude_text(message: dict[str, Any]) -> str:
    """The message's text; else the texts of its content blocks."""
    if message.get("text"):
        return str(message["text"])
    blocks = message.get("content") or []
    return "\n".join(str(block["text"]) for block in blocks if block.get("type") == "text" and block.get("text"))


def _message(file: str, line: int, where: tuple[str, Any, int], what: tuple[str, str, str | None]) -> Reading:
    session, title, turn = where
    role, text, at = what
    fields = {
        "type": "episodic",
        "content": text,
        "session_id": session,
        "speaker": role,
        "event_type": _EVENTS[role],
        "created_at": at,
        "context": " ".join(str(title or "").split())[:_MAX_TITLE],
        "source": {"thread_id": session, "turns": [turn], "line": None},
    }
    return row(file, line, fields)
