"""Strict reading of published JSON: an unexpected shape is refused with its place. Writes the two files of a set."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.sets.data import CORPUS, QUERIES, BadSet
from memtypes.model.times import rfc3339

T = TypeVar("T")


class BadSource(BadSet):
    """A published file is not in the expected format; the message names the file and the place in it."""


@dataclass(slots=True)
class Prepared:
    """A set to be written. left_out: what the source has and the set has not, counted by kind."""

    name: str
    corpus: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_json(path: Path) -> Any:
    """The JSON value in the file. Raises BadSource."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadSource(f"{path} does not exist") from error
    except ValueError as error:
        raise BadSource(f"{path}: not JSON: {error}") from error


def expect(value: Any, kind: type[T], place: str) -> T:
    """`value` if it is of this kind. Raises BadSource."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadSource(f"{place}: needs {_NAMES.get(kind, kind.__name__)}, has {_shown(value)}")
    return value


def member(row: dict[str, Any], name: str, kind: type[T], place: str) -> T:
    """The member `name` of `row` if it is of this kind. Raises BadSource."""
    if name not in row:
        raise BadSource(f"{place}: has no {name}; it has {', '.join(sorted(row)) or 'nothing'}")
    return expect(row[name], kind, f"{place}.{name}")


def moment(text: str, formats: Sequence[str], place: str) -> datetime:
    """The time that `text` is in one of `formats`, as UTC. Raises BadSource."""
    for pattern in formats:
        try:
            return datetime.strptime(text.strip(), pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise BadSource(f"{place}: is not a time: {text!r}")


def stamp(at: datetime) -> str:
    """`at` as RFC 3339 in whole seconds."""
    return rfc3339(at.replace(microsecond=0))


def write_set(prepared: Prepared, directory: Path) -> Path:
    """The new folder of the set in `directory`. Raises BadSource if it exists."""
    folder = directory / prepared.name
    if folder.exists():
        raise BadSource(f"{folder} exists: remove it or choose another --out")
    folder.mkdir(parents=True)
    for name, rows in ((CORPUS, prepared.corpus), (QUERIES, prepared.queries)):
        lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
        (folder / name).write_text("".join(lines), encoding="utf-8")
    return folder


_NAMES: dict[type, str] = {list: "a list", dict: "an object", str: "a text", int: "a whole number"}


def _shown(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
