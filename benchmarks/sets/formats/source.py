"""Reads the published JSON files of a benchmark, with validation, and writes a set's corpus.jsonl
and queries.jsonl.
"""

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
    """A published file is not in the expected format. The message names the file and the position
    in it.
    """


@dataclass(slots=True)
class Prepared:
    """A converted set: rows of corpus.jsonl and queries.jsonl. left_out: number of skipped turns
    and ids, by reason.
    """

    name: str
    corpus: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read_json(path: Path, kind: type[T]) -> T:
    """The JSON file `path` as a value of type `kind`. Raises BadSource if it is missing or does not
    match the type.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise BadSource(f"{path} does not exist") from error
    except msgspec.MsgspecError as error:
        raise BadSource(f"{path}: {error}") from error


def parse_time(text: str, pattern: str, location: str) -> datetime:
    """`text` parsed by the strptime `pattern`, as UTC. If it does not match, raises BadSource with
    its `location`.
    """
    try:
        return datetime.strptime(text.strip(), pattern).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadSource(f"{location}: {text!r} is not a time of the form {pattern!r}") from error


def stamp(at: datetime) -> str:
    """`at` in RFC 3339, cut to whole seconds."""
    return rfc3339(at.replace(microsecond=0))


def write_set(prepared: Prepared, directory: Path) -> Path:
    """Write the set to a new folder in `directory`, and return that folder. Raises BadSource if it
    exists.
    """
    folder = directory / prepared.name
    if folder.exists():
        raise BadSource(f"{folder} exists: remove it or choose another --out")
    folder.mkdir(parents=True)
    for name, rows in ((CORPUS, prepared.corpus), (QUERIES, prepared.queries)):
        lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
        (folder / name).write_text("".join(lines), encoding="utf-8")
    return folder
