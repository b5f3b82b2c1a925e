"""Markdown: one row a section, with its heading's path ("Deploying > Rolling back") and the text under it.

Headings are those written with `#`; a `#` inside a fenced block is none. Text before the first heading is a section
without one. Front matter (between two lines of three hyphens, at the top) holds fields for every section, one
`name: value` a line, or a list of `- value` lines under a bare `name:`. No more of YAML than that is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, BinaryIO

from ingest.files.readers.lines import Line, LineReading, read_lines
from ingest.files.readers.plaintext import Block
from ingest.files.readers.rows import BadLine, RawItem, Reading

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_FRONT = re.compile(r"([A-Za-z_][\w.-]*)\s*:\s*(.*)$")
_MAX_FRONT_LINES = 200


def read_markdown(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A row for each section that has a text."""
    lines = read_lines(stream, file)
    head, front = _front_matter(lines)
    for reading in _sections(chain(head, lines), file):
        if isinstance(reading, RawItem):
            # Front matter is text, like a cell of CSV, and is read the same way; it never replaces the content.
            yield replace(reading, fields={**front, **reading.fields}, textual=True)
        else:
            yield reading


def _front_matter(lines: Iterator[LineReading]) -> tuple[list[LineReading], dict[str, Any]]:
    """The lines that were looked at but are no front matter, and the fields that the front matter holds."""
    seen: list[LineReading] = []
    for line in lines:
        seen.append(line)
        closing = isinstance(line, Line) and line.text.rstrip() in ("---", "...")
        if len(seen) == 1 and not (isinstance(line, Line) and line.text.rstrip() == "---"):
            break
        if len(seen) > 1 and closing:
            return [], _fields(part.text for part in seen[1:-1] if isinstance(part, Line))
        if len(seen) > _MAX_FRONT_LINES:
            break
    return seen, {}


def _fields(texts: Iterator[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    name = ""
    for text in texts:
        if match := _FRONT.match(text):
            name = match[1]
            fields[name] = _unquoted(match[2].strip())
        elif name and text.strip().startswith("- "):
            items = fields[name] if isinstance(fields[name], list) else []
            fields[name] = [*items, _unquoted(text.strip()[2:].strip())]
    return {name: value for name, value in fields.items() if value}


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _sections(lines: Iterator[LineReading], file: str) -> Iterator[Reading]:
    outline = _Outline()
    block: Block | None = None
    for line in lines:
        if isinstance(line, BadLine):
            yield line
        elif outline.is_heading(line.text):
            if block:
                yield from block.reading(file)
            block = Block(line.number, heading=outline.path())
        elif block or line.text.strip():
            block = block or Block(line.number)
            block.add(line.text)
    if block:
        yield from block.reading(file)


class _Outline:
    """Where in the document's headings the reading stands, and whether it is inside a fenced block."""

    def __init__(self) -> None:
        self._fence: str | None = None
        self._headings: dict[int, str] = {}

    def is_heading(self, text: str) -> bool:
        """Whether `text` is a heading; if so, it has become the current one."""
        if fence := _FENCE.match(text):
            self._step_over(fence[1], fence[2])
            return False
        heading = None if self._fence else _HEADING.match(text)
        if heading is None:
            return False
        level = len(heading[1])
        self._headings = {other: name for other, name in self._headings.items() if other < level}
        self._headings[level] = (heading[2] or "").strip()
        return True

    def path(self) -> str | None:
        """The current heading under those above it."""
        return " > ".join(name for _, name in sorted(self._headings.items()) if name) or None

    def _step_over(self, fence: str, rest: str) -> None:
        if self._fence is None:
            self._fence = fence
        elif fence[0] == self._fence[0] and len(fence) >= len(self._fence) and not rest.strip():
            self._fence = None
