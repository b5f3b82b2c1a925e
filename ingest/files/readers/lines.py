"""Text lines out of a binary stream, in bounded memory. Knows no format."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from ingest.files.readers.rows import BadLine

MAX_LINE = 8 * 1024 * 1024
"""Bytes of a line: the longest content, every character escaped, fits three times."""

_FOREIGN_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end, and its number from 1."""

    number: int
    text: str


LineReading: TypeAlias = Line | BadLine


def read_lines(stream: BinaryIO, file: str) -> Iterator[LineReading]:
    """The lines of `stream`, UTF-8 with or without a mark; one too long or not UTF-8 is reported in its place."""
    number = 0
    while chunk := stream.readline(MAX_LINE + 1):
        number += 1
        if number == 1 and chunk[:2] in _FOREIGN_MARKS:
            yield BadLine(file, None, f"is {_FOREIGN_MARKS[chunk[:2]]} text; convert it to UTF-8")
            return
        if len(chunk) > MAX_LINE and not chunk.endswith(b"\n"):
            _skip_to_end_of_line(stream)
            yield BadLine(file, number, f"the line is longer than {MAX_LINE} bytes")
            continue
        yield _decoded(chunk, file, number)


def _decoded(chunk: bytes, file: str, number: int) -> LineReading:
    try:
        text = chunk.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return BadLine(file, number, f"is not UTF-8 (byte {error.start + 1} of the line)")
    return Line(number, text.rstrip("\r\n"))


def _skip_to_end_of_line(stream: BinaryIO) -> None:
    while (chunk := stream.readline(MAX_LINE)) and not chunk.endswith(b"\n"):
        continue
