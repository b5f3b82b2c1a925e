"""Read JSON Lines, JSON, and other programs' exports in these two formats.

JSON Lines: one object per line; blank lines are skipped.

JSON: a list of objects, an object that has such a list under "memories" or "items", or one or more
objects that follow each other, such as one per line. The file is parsed value by value, so that
each row has its line number, and rows before a syntax error are still read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, BinaryIO, TypeAlias

from ingest.files.readers.rows import BadLine, FileRow, Reader, Reading, read_lines, read_utf8, row
from memtypes.model.strict_json import MalformedJson, skip_blank, value_at, whole_value

MAX_FILE = 256 * 1024 * 1024
"""Maximum bytes of a JSON file, which is read as a whole; JSON Lines has no such limit."""

_LIST_NAMES = ("memories", "items")
_TYPE_NAMES = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}

Exported: TypeAlias = dict[str, Any] | BadLine
"""The fields of one row made from an export's object, with its `key`; or a BadLine that says what
is wrong with it.
"""


def read_jsonl(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """One row per line that is not blank; a BadLine for each line that is no JSON object."""
    for line in read_lines(stream, file):
        if isinstance(line, BadLine):
            yield line
        elif line.text.strip():
            try:
                yield _row(whole_value(line.text), file, line.number)
            except MalformedJson as error:
                yield BadLine(file, line.number, str(error))


def read_json(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """Read a JSON file: a list of objects (or an object with such a list as "memories" or "items"),
    one row each.
    """
    return read_objects(stream, file, _LIST_NAMES)


def read_objects(stream: BinaryIO, file: str, list_names: tuple[str, ...]) -> Iterator[Reading]:
    """Read a JSON file with a list of objects: one row per object.

    The list is the whole file or, in an object, a member with one of `list_names`. An object that
    has no such member is read as one row. Objects may follow each other, as in JSON Lines.
    """
    text = read_utf8(stream, file, MAX_FILE, "; split it, or make it JSON Lines")
    if isinstance(text, BadLine):
        yield text
    else:
        yield from _JsonWalk(text, file, list_names).rows()


def export_reader(*list_names: str) -> Callable[[Callable[[FileRow], Iterator[Exported]]], Reader]:
    """Decorator that makes a `Reader` of a function which converts one object of an export into
    rows.

    list_names: names under which a JSON file may have the list of objects; without names, the file
    is JSON Lines. If the function raises an error, because an object does not have the expected
    form, the reader returns a BadLine for it.
    """

    def decorate(convert: Callable[[FileRow], Iterator[Exported]]) -> Reader:
        @wraps(convert)
        def read(stream: BinaryIO, file: str) -> Iterator[Reading]:
            for reading in (
                read_objects(stream, file, list_names) if list_names else read_jsonl(stream, file)
            ):
                if isinstance(reading, BadLine):
                    yield reading
                    continue
                line = reading.line
                try:
                    for fields in convert(reading):
                        yield (
                            fields
                            if isinstance(fields, BadLine)
                            else row(file, line, fields, fields.pop("key", None))
                        )
                except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                    fault = (
                        f"it has no {error}"
                        if isinstance(error, KeyError)
                        else f"{type(error).__name__}: {error}"
                    )
                    yield BadLine(
                        file,
                        line,
                        f"is no entry of the chosen export format: {fault:.120}; choose another",
                    )

        return read

    return decorate


def _row(value: Any, file: str, line: int) -> Reading:
    if not isinstance(value, dict):
        return BadLine(
            file, line, f"must be a JSON object, is {_TYPE_NAMES.get(type(value), 'a number')}"
        )
    return FileRow(value, file, line)


@dataclass(slots=True)
class _JsonWalk:
    """Parses a JSON text value by value, so that rows have line numbers. at, line: current offset
    and line number.
    """

    text: str
    file: str
    list_names: tuple[str, ...]
    at: int = 0
    line: int = 1

    def rows(self) -> Iterator[Reading]:
        try:
            first_char = self._peek()
            if first_char == "[":
                yield from self._list()
            elif first_char == "{":
                while self._peek() == "{":
                    yield from self._object()
            else:
                names = " or ".join(f'"{name}"' for name in self.list_names)
                yield BadLine(self.file, self.line, f"must be a list, or an object with {names}")
                return
            if self._peek():
                yield BadLine(
                    self.file, self.line, "has text after the JSON value; nothing after it was read"
                )
        except MalformedJson as error:
            self._advance(max(error.position, self.at))
            yield BadLine(self.file, self.line, f"{error}; nothing after it was read")

    def _object(self) -> Iterator[Reading]:
        first_line = self.line
        fields = dict[str, Any]()
        has_list = False
        for _ in self._members("{", "}"):
            key = self._value()
            if not isinstance(key, str):
                raise MalformedJson("is not JSON: a name must be text", position=self.at)
            self._expect(":")
            if key in self.list_names and self._peek() == "[":
                has_list = True
                yield from self._list()
            else:
                fields[key] = self._value()
        if not has_list:
            yield FileRow(fields, self.file, first_line)

    def _list(self) -> Iterator[Reading]:
        for _ in self._members("[", "]"):
            line = self.line
            yield _row(self._value(), self.file, line)

    def _members(self, begin: str, end: str) -> Iterator[None]:
        """Parse a list or object; yields before each member, which the caller then reads."""
        self._expect(begin)
        while self._peek() != end:
            yield
            if self._peek() != end:
                self._expect(",")
                if self._peek() == end:
                    raise MalformedJson(f"is not JSON: a comma before {end}", position=self.at)
        self._expect(end)

    def _peek(self) -> str:
        self._advance(skip_blank(self.text, self.at))
        return self.text[self.at : self.at + 1]

    def _expect(self, expected: str) -> None:
        char = self._peek()
        if char != expected:
            raise MalformedJson(
                f"is not JSON: {expected} expected, {char or 'the end'} found", position=self.at
            )
        self._advance(self.at + 1)

    def _value(self) -> Any:
        self._peek()
        value, end = value_at(self.text, self.at)
        self._advance(end)
        return value

    def _advance(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = to
