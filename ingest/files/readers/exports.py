"""Read the conversations that chat programs export.

The files are the conversations.json of ChatGPT (a tree of messages per conversation) and that of Claude (a list of
messages). Each message becomes a row: an event with its speaker, in the session of its conversation. System, tool,
hidden and empty messages are skipped. Of ChatGPT's tree only the branch that ends in current_node is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeAlias

from ingest.files.readers.json_files import read_objects
from ingest.files.readers.rows import BadLine, FileRow, Reading, row
from memtypes.model.memory import MAX_LABEL

_EVENTS = {"user": "user_query", "assistant": "agent_response"}

Convert: TypeAlias = Callable[[FileRow], Iterator[Reading]]
"""Takes one object of an export, with its place; returns its rows."""


def read_chatgpt(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One event per user or assistant message of ChatGPT's conversations.json, in order."""
    return exported(stream, file, ("conversations",), _chatgpt_messages)


def read_claude(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One event per user or assistant message of Claude's conversations.json, in order."""
    return exported(stream, file, ("conversations",), _claude_messages)


def exported(stream: BinaryIO, file: str, list_names: tuple[str, ...], convert: Convert) -> Iterator[Reading]:
    """The rows that `convert` makes of each object in the file's list, which may be under one of `list_names`."""
    return converted(read_objects(stream, file, list_names), convert)


def converted(readings: Iterator[Reading], convert: Convert) -> Iterator[Reading]:
    """The rows that `convert` makes of each object; a BadLine that says what is wrong for one of another form."""
    for reading in readings:
        if isinstance(reading, BadLine):
            yield reading
            continue
        try:
            yield from convert(reading)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            yield BadLine(reading.file, reading.line, _other_form(error))


def _other_form(error: Exception) -> str:
    problem = f"it has no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
    return f"does not have the form of this export: {problem[:120]}"


@dataclass(frozen=True, slots=True)
class _Conversation:
    """What all messages of one exported conversation share: place in the file, session id and title."""

    file: str
    line: int
    session: str
    title: object

    def message(self, turn: int, role: str, text: str, at: str | None) -> FileRow:
        """The event row for message number `turn`, said by `role` (user or assistant) at `at`."""
        fields = {
            "type": "episodic",
            "content": text,
            "session_id": self.session,
            "speaker": role,
            "event_type": _EVENTS[role],
            "created_at": at,
            "context": " ".join(str(self.title or "").split())[:MAX_LABEL],
            "source": {"thread_id": self.session, "turns": [turn], "line": None},
        }
        return row(self.file, self.line, fields)


def _chatgpt_messages(line: FileRow) -> Iterator[Reading]:
    fields = line.fields
    nodes = fields["mapping"]
    session = str(fields.get("conversation_id") or fields.get("id") or fields["create_time"])
    conversation = _Conversation(line.file, line.line, session, fields.get("title"))
    for turn, message in enumerate(_branch(nodes, fields.get("current_node"))):
        role = message["author"]["role"]
        text = _chatgpt_text(message.get("content") or {})
        hidden = (message.get("metadata") or {}).get("is_visually_hidden_from_conversation")
        to_tool = message.get("recipient") not in (None, "all")
        if role in _EVENTS and text.strip() and not hidden and not to_tool:
            at = _from_unix(message.get("create_time") or fields.get("create_time"))
            yield conversation.message(turn, role, text, at)


def _branch(nodes: dict[str, Any], last: str | None) -> list[dict[str, Any]]:
    """The messages from the root to node `last`, or to the last leaf if `last` is unknown. Stops at a cycle."""
    parents = {node.get("parent") for node in nodes.values()}
    leaves = [name for name in nodes if name not in parents]
    at: str | None = last if last in nodes else leaves[-1] if leaves else None
    messages: list[dict[str, Any]] = []
    seen: set[str] = set()
    while at is not None and at in nodes and at not in seen:
        seen.add(at)
        if nodes[at].get("message"):
            messages.append(nodes[at]["message"])
        at = nodes[at].get("parent")
    return messages[::-1]


def _chatgpt_text(content: dict[str, Any]) -> str:
    parts = content.get("parts") or [content.get("text") or ""]
    texts = [part if isinstance(part, str) else part.get("text") or "" for part in parts]
    return "\n".join(text for text in texts if text)


def _from_unix(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(float(seconds), UTC).isoformat()


def _claude_messages(line: FileRow) -> Iterator[Reading]:
    fields = line.fields
    if not fields["uuid"]:
        raise KeyError("uuid")
    session = str(fields["uuid"])
    conversation = _Conversation(line.file, line.line, session, fields.get("name"))
    for turn, message in enumerate(fields["chat_messages"]):
        role = {"human": "user"}.get(message["sender"], message["sender"])
        text = _claude_text(message)
        if role not in _EVENTS:
            yield BadLine(line.file, line.line, f"message {turn} of conversation {session} is of {role!r:.50}")
        elif text.strip():
            yield conversation.message(turn, role, text, message.get("created_at") or fields.get("created_at"))


def _claude_text(message: dict[str, Any]) -> str:
    """The `text` of a Claude message; if it is empty, the texts of its content blocks."""
    if message.get("text"):
        return str(message["text"])
    blocks = message.get("content") or []
    return "\n".join(str(block["text"]) for block in blocks if block.get("type") == "text" and block.get("text"))
