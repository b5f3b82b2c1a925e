"""What a reader gives: rows and unreadable places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias


@dataclass(frozen=True, slots=True)
class RawItem:
    """The fields of one row as its file says them, and where it stands.

    heading: the title that the file's structure gives it. textual: every value is text (CSV), so that a number, a list
    or an object is still to be read out of it.
    """

    fields: dict[str, Any]
    file: str
    line: int
    heading: str | None = None
    textual: bool = False


@dataclass(frozen=True, slots=True)
class BadLine:
    """A place that could not be read, and why. line: None when it is the file as a whole."""

    file: str
    line: int | None
    reason: str


Reading: TypeAlias = RawItem | BadLine

Reader: TypeAlias = Callable[[BinaryIO, str], Iterator[Reading]]
"""Takes an open binary stream and the file's name as it is reported."""
