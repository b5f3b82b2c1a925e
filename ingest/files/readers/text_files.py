"""Read plain text and Markdown.

Plain text: one row per paragraph; blank lines separate paragraphs. Paragraphs with a secret between them, such as its
name in one and its value in the next, become one row, so that it is recognised when the row is stored.

Markdown: one row per section, with the text of the section and the path of its heading ("Deploying > Rolling back"). A
heading begins with `#` outside fenced blocks. Text before the first heading is a section without heading. Front matter
(YAML between two `---` lines at the top) gives fields that every section has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import BinaryIO

from ingest.files.readers.notes import MAX_FRONT, front_matter
from ingest.files.readers.rows import MAX_LINE, BadLine, FileRow, Reading, TextLine, as_metadata, read_lines, row
from ingest.screening.redaction.scan import secrets_in
from memtypes.model.policy import MemoryType

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_WINDOW = 64 * 1024
"""Characters on each side of a cut that are searched for secrets."""


def read_text(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row per paragraph of a plain-text file; paragraphs that have a secret between them are one row."""
    held: Reading | None = None
    for reading in chain(_blocks(read_lines(stream, file), file, None), [None]):
        if isinstance(held, FileRow) and isinstance(reading, FileRow) and _share_secret(held, reading):
            held.fields["content"] += f"\n\n{reading.fields['content']}"
            continue
        if held:
            yield held
        held = reading


def _share_secret(first: FileRow, second: FileRow) -> bool:
    """Whether two paragraphs as one text have another secret than each alone: the label of one is in the other."""
    before, after = first.fields["content"][-_WINDOW:], second.fields["content"][:_WINDOW]
    apart = [(each.start, each.end) for each in secrets_in(before)]
    apart += [(len(before) + 2 + each.start, len(before) + 2 + each.end) for each in secrets_in(after)]
    together = secrets_in(f"{before}\n\n{after}")
    return len(first.fields["content"]) <= MAX_LINE and [(each.start, each.end) for each in together] != apart


def read_markdown(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row per section that has text, with the fields of the front matter; unknown ones are metadata."""
    lines = read_lines(stream, file)
    head = list(islice(lines, 1))
    if head and isinstance(head[0], TextLine) and head[0].text.rstrip() == "---":
        head += islice(lines, MAX_FRONT - 1)
    front = front_matter([line.text if isinstance(line, TextLine) else "" for line in head], file)
    if front.fault:
        yield front.fault
    fields = {**front.extra, **front.fields}
    if fields.get("type") not in tuple(MemoryType):
        fields |= as_metadata({"type": fields.pop("type", None)})
    for reading in _blocks(chain(head[front.end :], lines), file, _Outline()):
        if isinstance(reading, FileRow):
            found = row(file, reading.line, {**fields, **reading.fields})
            heading = reading.heading or str(fields.get("title") or "") or None
            yield replace(found, heading=heading, textual=True, extra_to_metadata=True)
        else:
            yield reading


class _TextBlock:
    """The lines of a paragraph or section, which form one row. line: the number of the first one in the file."""

    def __init__(self, line: int, heading: str | None = None) -> None:
        self.line = line
        self.heading = heading
        self._texts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Append a line; if the block exceeds `MAX_LINE` characters, only count them, so that memory use is bounded."""
        self._size += len(text) + 1
        if self._size <= MAX_LINE:
            self._texts.append(text)

    def readings(self, file: str) -> Iterator[Reading]:
        """The block as a row; a BadLine if it is too long; nothing if it is blank."""
        content = "\n".join(self._texts).strip("\n").rstrip()
        if self._size > MAX_LINE:
            yield BadLine(file, self.line, f"the text from here on is longer than {MAX_LINE} characters")
        elif content.strip():
            yield FileRow({"content": content}, file, self.line, heading=self.heading)


def _blocks(lines: Iterator[TextLine | BadLine], file: str, outline: _Outline | None) -> Iterator[Reading]:
    """Divide a text into rows: at its headings with `outline` (for Markdown), otherwise at its blank lines."""
    block: _TextBlock | None = None
    for line in lines:
        if isinstance(line, BadLine):
            yield line
        elif outline.enters_section(line.text) if outline else not line.text.strip():
            if block:
                yield from block.readings(file)
            block = _TextBlock(line.number, outline.path()) if outline else None
        elif block or line.text.strip():
            block = block or _TextBlock(line.number)
            block.add(line.text)
    if block:
        yield from block.readings(file)


class _Outline:
    """The headings above the current line of a Markdown file, and whether the line is inside a fenced block."""

    def __init__(self) -> None:
        self._fence: str | None = None
        self._headings: dict[int, str] = {}

    def enters_section(self, text: str) -> bool:
        """Whether the line `text` is a heading, at which a section begins. Must be called for every line, in order."""
        if fence := _FENCE.match(text):
            self._open_or_close(fence[1], fence[2])
            return False
        heading = None if self._fence else _HEADING.match(text)
        if heading is None:
            return False
        level = len(heading[1])
        self._headings = {other: name for other, name in self._headings.items() if other < level}
        self._headings[level] = (heading[2] or "").strip()
        return True

    def path(self) -> str | None:
        """The headings above the current line as a path ("Deploying > Rolling back"); None before the first heading."""
        return " > ".join(name for _, name in sorted(self._headings.items()) if name) or None

    def _open_or_close(self, fence: str, rest: str) -> None:
        if self._fence is None:
            self._fence = fence
        elif fence[0] == self._fence[0] and len(fence) >= len(self._fence) and not rest.strip():
            self._fence = None
