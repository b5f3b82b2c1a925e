"""The objects of an export's JSON file, one after the other, each with the line on which it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeAlias

from ingest.files.readers.jsonfile import read_objects
from ingest.files.readers.rows import BadLine, RawItem, Reading
from memtypes.model.memory import Memory

Convert: TypeAlias = Callable[[dict[str, Any], str, int], Iterator[Reading]]
"""Takes one object of the export, the file's name and the line; gives its rows."""


def converted(stream: BinaryIO, file: str, lists: tuple[str, ...], convert: Convert) -> Iterator[Reading]:
    """The rows of each object of the list, which may stand under one of the names `lists`."""
    for reading in read_objects(stream, file, lists):
        if isinstance(reading, BadLine):
            yield reading
            continue
        try:
            yield from convert(reading.fields, file, reading.line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            missing = f"it has no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            yield BadLine(file, reading.line, f"is not what this export has there: {missing[:120]}")


def as_metadata(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` as metadata; what would name a memory's own field is renamed."""
    return {f"original_{name}" if name in Memory.model_fields else name: value for name, value in fields.items()}


def row(file: str, line: int, fields: dict[str, Any]) -> RawItem:
    """A row of those `fields` that have a value."""
    return RawItem({name: value for name, value in fields.items() if value not in (None, "", [], {})}, file, line)
