"""Reads the conversations that chat programs export, as files or in the ZIP archive that the user
downloads.

Each message of ChatGPT's conversations.json (a tree of messages per conversation) and of Claude's
conversations.json (a list of messages) becomes a row: an event with its speaker, in the session of
its conversation. System, tool, hidden and empty messages are skipped. Of ChatGPT's tree only the
branch that ends in current_node is read.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from ingest.files.readers.json_files import Exported, export_reader
from ingest.files.readers.rows import BadLine, FileRow, Reader, in_utc
from ingest.files.readers.transcripts import PastMessage, PastSession, clean
from memtypes.model.memory import MAX_LABEL

CONVERSATIONS = "conversations"
"""How the names of an export's conversation files begin, and the name that the list in such a file
may have.
"""

_EVENTS = {"user": "user_query", "assistant": "agent_response"}


@export_reader(CONVERSATIONS)
def read_chatgpt(line: FileRow) -> Iterator[Exported]:
    """One event per user or assistant message of `line`, a conversation in ChatGPT's
    conversations.json, in order.
    """
    fields = line.fields
    nodes = fields["mapping"]
    session = str(fields.get("conversation_id") or fields.get("id") or fields["create_time"])
    for turn, message in enumerate(_branch(nodes, fields.get("current_node"))):
        role = message["author"]["role"]
        content = message.get("content") or {}
        parts = content.get("parts") or [content.get("text") or ""]
        texts = [part if isinstance(part, str) else part.get("text") or "" for part in parts]
        text = "\n".join(filter(None, texts))
        hidden = (message.get("metadata") or {}).get("is_visually_hidden_from_conversation")
        to_tool = message.get("recipient") not in (None, "all")
        if role in _EVENTS and text.strip() and not hidden and not to_tool:
            seconds = message.get("create_time") or fields.get("create_time")
            at = (
                None if seconds is None else datetime.fromtimestamp(float(seconds), UTC).isoformat()
            )
            yield _event(session, fields.get("title"), turn, role, text, at)


def _branch(nodes: dict[str, Any], last_node: str | None) -> list[dict[str, Any]]:
    """The messages from the root of a tree to `last_node`, or to its last leaf if that is unknown.
    Stops at a cycle.
    """
    parents = {node.get("parent") for node in nodes.values()}
    leaves = [name for name in nodes if name not in parents]
    node_id: Any = last_node if last_node in nodes else next(reversed(leaves), None)
    messages: dict[Any, Any] = {}
    while node_id in nodes and node_id not in messages:
        messages[node_id] = nodes[node_id].get("message")
        node_id = nodes[node_id].get("parent")
    return [message for message in reversed(messages.values()) if message]


@export_reader(CONVERSATIONS)
def read_claude(line: FileRow) -> Iterator[Exported]:
    """One event per user or assistant message of `line`, a conversation in Claude's
    conversations.json, in order.
    """
    fields = line.fields
    if not fields["uuid"]:
        raise KeyError("uuid")
    session = str(fields["uuid"])
    for turn, message in enumerate(fields["chat_messages"]):
        role = {"human": "user"}.get(message["sender"], message["sender"])
        blocks = () if message.get("text") else message.get("content") or ()
        texts = [
            block["text"] for block in blocks if block.get("type") == "text" and block.get("text")
        ]
        text = str(message.get("text") or "\n".join(map(str, texts)))
        if role not in _EVENTS:
            reason = (
                f"message {turn} of conversation {session} is of {role!r:.50}; known are "
                "human and assistant"
            )
            yield BadLine(line.file, line.line, reason)
        elif text.strip():
            at = message.get("created_at") or fields.get("created_at")
            yield _event(session, fields.get("name"), turn, role, text, at)


def _event(
    session: str, title: object, turn: int, role: str, text: str, at: str | None
) -> dict[str, Any]:
    return {
        "type": "episodic",
        "content": text,
        "session_id": session,
        "speaker": role,
        "event_type": _EVENTS[role],
        "created_at": at,
        "context": " ".join(str(title or "").split())[:MAX_LABEL],
        "source": {"thread_id": session, "turns": [turn], "line": None},
    }


@dataclass(slots=True)
class ChatFile:
    """A file or ZIP archive of exported conversations. left_out: counts of unreadable messages, by
    reason.
    """

    path: Path
    reader: Reader
    left_out: Counter[str] = field(default_factory=Counter)

    def sessions(self, *, quiet: bool) -> list[PastSession]:
        """The conversations of the export. Raises OSError if it cannot be read. quiet: has no
        effect here.
        """
        del quiet
        self.left_out.clear()
        messages: defaultdict[str, list[PastMessage]] = defaultdict(list)
        occurrences: Counter[str] = Counter()
        for event in self._events():
            session = clean(event["session_id"])
            speaker = event["speaker"]
            text = clean(event["content"])
            if text:
                # A message's position changes between exports, so a hash of it is the key by which
                # imports know it.
                identity = "\0".join((session, speaker, str(event.get("created_at")), text))
                digest = hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:24]
                occurrences[digest] += 1
                key = f"{session}/{digest}.{occurrences[digest]}"
                messages[session].append(
                    PastMessage(speaker, in_utc(event.get("created_at")), ((key, text),))
                )
        return [PastSession(session, None, tuple(past)) for session, past in messages.items()]

    def _events(self) -> Iterator[dict[str, Any]]:
        with export_streams(self.path) as streams:
            for name, open_stream in streams:
                with open_stream() as stream:
                    for reading in self.reader(stream, name):
                        if isinstance(reading, BadLine):
                            self.left_out[reading.reason] += 1
                        else:
                            yield reading.fields

    def forget(self) -> None:
        """Do nothing: an export is read in full each time."""


@contextmanager
def export_streams(path: Path) -> Iterator[list[tuple[str, Callable[[], BinaryIO]]]]:
    """The conversation files in a file or ZIP archive: each name with a function that opens it.
    Raises OSError.
    """
    if path.suffix.lower() != ".zip":
        yield [(str(path), lambda: path.open("rb"))]
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield [
                (f"{path}:{name}", cast(Callable[[], BinaryIO], partial(archive.open, name)))
                for name in sorted(archive.namelist())
                if name.rpartition("/")[2].startswith(CONVERSATIONS) and name.endswith(".json")
            ]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise OSError(f"it is a damaged or unsupported archive: {error}") from error
