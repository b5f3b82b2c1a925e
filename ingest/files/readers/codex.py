"""Reads rollouts, Codex's session logs: JSON Lines files with one line per item of a session.

Only the messages of user and assistant among the `response_item`s are read. `event_msg` lines
repeat them, and developer messages are instructions. Text that Codex itself put into a user's
message (environment, instructions, context of hooks) is left out; it is recognised by the kind that
the log records for it, or by its beginning. Messages that were rolled back are left out, too.
"""

from __future__ import annotations

import re
from typing import Any

from ingest.files.readers.transcripts import (
    REMINDERS,
    PastMessage,
    PastSession,
    TranscriptLines,
    clean,
    name_or_none,
)

ROLLED_BACK = "messages that were rolled back"
SUBAGENTS = "messages of subagents"
DEVELOPER = "instructions of the developer role"
TOOLS = "calls and results of tools, and thoughts"

_NOTE = "internal_chat_message_metadata_passthrough"
_USER_TEXT = "user.text"
_TEXT_TYPES = {"user": "input_text", "assistant": "output_text"}
_PROGRAM_TEXT = re.compile(
    r"<(?:[a-z]+(?:_[a-z]+)+|INSTRUCTIONS|skill|permissions instructions)[ >]|# AGENTS\.md "
    r"instructions"
)
_REQUEST = re.compile(
    r"# Context from my IDE setup:.*?^## My request for Codex:\s*", re.DOTALL | re.MULTILINE
)


class CodexLines(TranscriptLines):
    """Collects the lines of one rollout (a session log of Codex) and makes a session of them."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._file = name.removesuffix(".zst").removesuffix(".jsonl")
        self._session: str | None = None
        self._folder: str | None = None
        self._is_subagent = False
        self._messages: list[PastMessage] = []

    def add(self, number: int, line: dict[str, Any]) -> None:
        """Add a line; lines that hold no message of their own, such as token counts, are
        skipped.
        """
        payload = line.get("payload")
        if not isinstance(payload, dict):
            return
        match line.get("type"), payload.get("type"):
            case "session_meta", _ if self._session is None:  # later ones describe forked sessions
                self._session = str(payload["id"])
                self._folder = name_or_none(payload.get("cwd"))
                source = payload.get("source")
                is_nested = isinstance(source, dict) and "subagent" in source
                self._is_subagent = is_nested or payload.get("thread_source") == "subagent"
            case "turn_context", _:
                self._folder = self._folder or name_or_none(payload.get("cwd"))
            case "event_msg", "thread_rolled_back":
                self._roll_back(int(payload["num_turns"]))
            case "response_item", "message":
                self._take_message(number, line, payload)
            case "response_item", _:
                self.left_out[TOOLS] += 1

    def sessions(self) -> list[PastSession]:
        """The session of the rollout, always one; it may have no messages."""
        return [PastSession(self._session or self._file, self._folder, tuple(self._messages))]

    def _take_message(self, number: int, line: dict[str, Any], payload: dict[str, Any]) -> None:
        role = payload["role"]
        if role not in _TEXT_TYPES:
            self.left_out[DEVELOPER] += 1
            return
        items = payload["content"]
        marks = payload.get(_NOTE)
        kinds = marks.get("content_item_kinds") if isinstance(marks, dict) else None
        if role == "user" and isinstance(kinds, list):  # items are marked; not all are the user's
            items = [item for item, kind in zip(items, kinds, strict=False) if kind == _USER_TEXT]
        texts = [clean(item.get("text")) for item in items if item.get("type") == _TEXT_TYPES[role]]
        spoken_texts = [
            text for text in texts if text and (role != "user" or not _PROGRAM_TEXT.match(text))
        ]
        if not spoken_texts or self._is_subagent:
            self.left_out[SUBAGENTS if spoken_texts else REMINDERS] += 1
            return
        text = "\n".join(
            _REQUEST.sub("", item) if role == "user" else item for item in spoken_texts
        )
        # Lines have no id, but are never changed, and the name has the session
        key = f"{self._file}/{number}"
        self._messages.append(
            PastMessage(role, name_or_none(line.get("timestamp")), ((key, text),))
        )

    def _roll_back(self, turns: int) -> None:
        """Remove the last `turns` messages of the user, and all messages after the first of the
        removed ones.
        """
        positions = [
            position for position, message in enumerate(self._messages) if message.role == "user"
        ]
        if turns > 0 and positions:
            start = positions[max(0, len(positions) - turns)]
            self.left_out[ROLLED_BACK] += len(self._messages) - start
            del self._messages[start:]
