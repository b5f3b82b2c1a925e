"""Which program a file was exported by, told from its beginning."""

from __future__ import annotations

import re
from enum import StrEnum

LOOK = 64 * 1024
"""Bytes of a file that are looked at."""


class Origin(StrEnum):
    """The programs whose exports are known."""

    CHATGPT = "chatgpt"
    CLAUDE = "claude"
    MEM0 = "mem0"
    MCP = "mcp"
    NOTES = "notes"


_ENTITY = re.compile(rb'^\s*\{[^\n]*"type"\s*:\s*"(?:entity|relation)"')
_MARKS = (
    (Origin.CHATGPT, (re.compile(rb'"mapping"\s*:\s*\{'),)),
    (Origin.CLAUDE, (re.compile(rb'"chat_messages"\s*:\s*\['), re.compile(rb'"uuid"\s*:'))),
    (Origin.MEM0, (re.compile(rb'"memory"\s*:\s*"'), re.compile(rb'"(?:hash|user_id|created_at)"\s*:'))),
)


def origin_of(name: str, beginning: bytes) -> Origin | None:
    """The program that wrote a file of this name and beginning; None where no shape is known."""
    lowered = name.lower()
    if lowered.endswith((".md", ".markdown")):
        return Origin.NOTES
    if not lowered.endswith((".json", ".jsonl", ".ndjson")):
        return None
    if _ENTITY.match(beginning):
        return Origin.MCP
    return next((origin for origin, marks in _MARKS if all(mark.search(beginning) for mark in marks)), None)
