"""Rows and bad lines, which all file readers return, and functions that read UTF-8 files for
them.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeAlias

from memtypes.model.memory import Memory

MAX_LINE = 8 * 1024 * 1024
"""Maximum bytes of a line: three times the longest content of a memory if every character is
escaped.
"""

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF16 = "is UTF-16 text; convert it to UTF-8"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One entry that a reader found in a file: its fields, file and line.

    heading: the title that the file's structure gives the row, such as a Markdown heading. textual:
    whether text in it is still to be parsed as numbers, lists or objects. extra_to_metadata:
    whether unknown fields become metadata. key: identifies the row even after its text has changed,
    such as its headings; None if only a field `id` may do so.
    """

    fields: dict[str, Any]
    file: str
    line: int
    heading: str | None = None
    textual: bool = False
    extra_to_metadata: bool = False
    key: str | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that a reader could not read, and why. line: its number, from 1; None if the problem
    is the whole file.
    """

    file: str
    line: int | None
    reason: str


Reading: TypeAlias = FileRow | BadLine

Reader: TypeAlias = Callable[[BinaryIO, str], Iterator[Reading]]
"""A function that reads a binary stream into rows and bad lines. Its second argument is the file's
name in reports.
"""


def row(file: str, line: int, fields: dict[str, Any], key: str | None = None) -> FileRow:
    """A FileRow with those of `fields` that are neither None nor empty."""
    present = {name: value for name, value in fields.items() if value not in (None, "", [], {})}
    return FileRow(present, file, line, key=key)


def as_metadata(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` as metadata of a memory. The prefix original_ is added to names that are fields of a
    memory.
    """
    return {
        f"original_{name}" if name in Memory.model_fields else name: value
        for name, value in fields.items()
    }


def in_utc(time: Any) -> str | None:
    """The ISO time `time` as RFC 3339 in UTC; without an offset it is taken as UTC. None if it is
    not a valid time.
    """
    try:
        parsed = datetime.fromisoformat(time)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text without its line break, and its line number (the first line has number 1)."""

    number: int
    text: str


def read_lines(stream: BinaryIO, file: str) -> Iterator[TextLine | BadLine]:
    """The lines of UTF-8 text, in bounded memory; a BadLine for each unreadable one, or a single
    one for UTF-16.
    """
    for number, chunk in enumerate(iter(lambda: stream.readline(MAX_LINE + 1), b""), 1):
        if number == 1 and chunk.startswith(_UTF16_MARKS):
            yield BadLine(file, None, _UTF16)
            return
        if len(chunk) > MAX_LINE and not chunk.endswith(b"\n"):
            while (chunk := stream.readline(MAX_LINE)) and not chunk.endswith(b"\n"):
                pass
            yield BadLine(file, number, f"the line is longer than {MAX_LINE} bytes; split it")
            continue
        try:
            text = chunk.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield BadLine(
                file, number, f"is not UTF-8 (byte {error.start + 1} of the line); convert the file"
            )
        else:
            yield TextLine(number, text.rstrip("\r\n"))


def read_utf8(stream: BinaryIO, file: str, limit: int, advice: str) -> str | BadLine:
    """The text of a UTF-8 file; a BadLine if it is not UTF-8, or, with `advice`, if it has over
    `limit` bytes.
    """
    content = stream.read(limit + 1)
    if len(content) > limit:
        return BadLine(file, None, f"is larger than {limit} bytes{advice}")
    if content.startswith(_UTF16_MARKS):
        return BadLine(file, None, _UTF16)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return BadLine(
            file, content.count(b"\n", 0, error.start) + 1, "is not UTF-8; convert the file"
        )
