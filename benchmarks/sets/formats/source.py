"""Reads published JSON files strictly and writes the two files of a set."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

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


def read_json(path: Path, kind: type[T]) -> T:
    """The content of the file as a value of type `kind`. Raises BadSource."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise BadSource(f"{path} does not exist") from error
    except msgspec.MsgspecError as error:
        raise BadSource(f"{path}: {error}") from error


def parse_time(text: str, pattern: str, place: str) -> datetime:
    """The time that `text` is in the strptime `pattern`, as UTC. Raises BadSource."""
    try:
        return datetime.strptime(text.strip(), pattern).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadSource(f"{place}: is not a time: {text!r}") from error


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
