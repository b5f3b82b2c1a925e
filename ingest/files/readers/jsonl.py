"""JSON Lines: an object a line; blank lines are passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ingest.files.readers.lines import Line, read_lines
from ingest.files.readers.rows import BadLine, RawItem, Reading
from memtypes.model.strict_json import MalformedJson, whole_value


def read_jsonl(stream: BinaryIO, file: str) -> Iterator[Reading]:
    """A row for each line."""
    for line in read_lines(stream, file):
        if isinstance(line, BadLine):
            yield line
        elif line.text.strip():
            yield _row(line, file)


def _row(line: Line, file: str) -> Reading:
    try:
        return as_row(whole_value(line.text), file, line.number)
    except MalformedJson as error:
        return BadLine(file, line.number, str(error))


def as_row(value: Any, file: str, number: int) -> Reading:
    """The row that a JSON value is, when it is an object."""
    if not isinstance(value, dict):
        return BadLine(file, number, f"must be a JSON object, is {_kind(value)}")
    return RawItem(value, file, number)


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
