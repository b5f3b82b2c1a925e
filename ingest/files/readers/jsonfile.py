"""JSON: a list of objects, or an object with such a list under "memories" or "items", or one object that is one memory.

The list is walked value by value, so that each row has its line and what comes before a broken place is still read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ingest.files.readers.jsonl import as_row
from ingest.files.readers.rows import BadLine, RawItem, Reading
from memtypes.model.strict_json import MalformedJson, skip_blank, value_at

MAX_FILE = 256 * 1024 * 1024
"""Bytes of a JSON file, which is read as a whole; JSON Lines has no such limit."""

_LISTS = ("memories", "items")


def read_json(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A row for each object of the list."""
    return read_objects(stream, file, _LISTS)


def read_objects(stream: BinaryIO, file: str, lists: tuple[str, ...]) -> Iterator[Reading]:
    """A row for each object of the list, which may stand under one of the names `lists`."""
    data = stream.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        yield BadLine(file, None, f"is larger than {MAX_FILE} bytes; split it, or make it JSON Lines")
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield BadLine(file, data.count(b"\n", 0, error.start) + 1, "is not UTF-8")
        return
    yield from _Walk(text, file, lists).rows()


class _Walk:
    """Steps through one JSON text; `at` is where it stands and `line` the line of that place."""

    def __init__(self, text: str, file: str, lists: tuple[str, ...]) -> None:
        self._lists = lists
        self._text = text
        self._file = file
        self._at = 0
        self._line = 1

    def rows(self) -> Iterator[Reading]:
        try:
            match self._peek():
                case "[":
                    yield from self._list()
                    self._end()
                case "{":
                    yield from self._object()
                    self._end()
                case _:
                    names = " or ".join(f'"{name}"' for name in self._lists)
                    yield BadLine(self._file, self._line, f"must be a list, or an object with {names}")
        except MalformedJson as error:
            self._advance(max(error.position, self._at))
            yield BadLine(self._file, self._line, f"{error}; nothing after it was read")

    def _object(self) -> Iterator[Reading]:
        first_line, fields, listed = self._line, dict[str, Any](), False
        self._expect("{")
        while self._peek() != "}":
            key = self._value()
            if not isinstance(key, str):
                raise MalformedJson("is not JSON: a name must be text", position=self._at)
            self._expect(":")
            if key in self._lists and self._peek() == "[":
                listed = True
                yield from self._list()
            else:
                fields[key] = self._value()
            self._comma_or("}")
        self._expect("}")
        if not listed:
            yield RawItem(fields, self._file, first_line)

    def _list(self) -> Iterator[Reading]:
        self._expect("[")
        while self._peek() != "]":
            line = self._line
            yield as_row(self._value(), self._file, line)
            self._comma_or("]")
        self._expect("]")

    def _comma_or(self, end: str) -> None:
        """Step over a comma that another value follows; stay before `end`."""
        if self._peek() == end:
            return
        self._expect(",")
        if self._peek() == end:
            raise MalformedJson(f"is not JSON: a comma before {end}", position=self._at)

    def _end(self) -> None:
        if self._peek():
            raise MalformedJson("has more after the JSON value", position=self._at)

    def _peek(self) -> str:
        """The next character that is not white space, or nothing at the end."""
        self._advance(skip_blank(self._text, self._at))
        return self._text[self._at : self._at + 1]

    def _expect(self, char: str) -> None:
        found = self._peek()
        if found != char:
            raise MalformedJson(f"is not JSON: {char} expected, {found or 'the end'} found", position=self._at)
        self._advance(self._at + 1)

    def _value(self) -> Any:
        self._peek()
        value, end = value_at(self._text, self._at)
        self._advance(end)
        return value

    def _advance(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to
