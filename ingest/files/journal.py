"""How far an import has come, so that one that was interrupted goes on where it stopped.

One file an import (its destination, paths and options), one JSON line a finished piece: which rows of which file, what
became of them, and what was wrong with those that were not kept. A line is written and synced only after its piece was
read back, so what the journal says is true; a piece that was stored but not yet noted is sent again, which the
deterministic ids make harmless. A torn last line is cut off. An import that has ended well leaves no journal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.files.readers.sources import SourceFile
from ingest.files.report import Problem
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest

_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows first (from 0) to end (not included) of one file, and how they ended."""

    file: str
    first: int
    end: int
    counts: Mapping[WriteStatus, int]
    problems: tuple[Problem, ...] = ()


def file_identity(source: SourceFile) -> str | None:
    """What tells this state of a file from any other: path, size, time of change, first 64 KiB.

    None for what has no identity: a pipe, and a file that can't be read, of which the reader tells.
    """
    if source.path is None or not source.path.is_file():
        return None
    try:
        state = source.path.stat()
        with source.path.open("rb") as stream:
            head = hashlib.sha256(stream.read(_HEAD)).hexdigest()
    except OSError:
        return None
    path = os.fsencode(source.path.resolve()).hex()
    return hashlib.sha256(json.dumps([path, state.st_size, state.st_mtime_ns, head]).encode()).hexdigest()


@dataclass(slots=True)
class Journal:
    """The finished pieces of one import. path: None keeps nothing."""

    path: Path | None
    pieces: list[Piece] = field(default_factory=list)

    @classmethod
    def open(cls, directory: Path | None, identity: object) -> Journal:
        """The journal of the import that `identity` (plain JSON) names, with what it holds already.

        Raises InvalidRequest for a directory that can't be used.
        """
        if directory is None:
            return cls(None)
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]
        path = directory / f"import-{name}.jsonl"
        with _usable(path):
            directory.mkdir(parents=True, exist_ok=True)
            return cls(path, _read(path))

    def finished(self, file: str | None) -> list[Piece]:
        """The finished pieces of the file of that identity."""
        return [] if file is None else [piece for piece in self.pieces if piece.file == file]

    def add(self, piece: Piece) -> None:
        """Note a finished piece; it is on disk when this returns."""
        self.pieces.append(piece)
        if self.path is None:
            return
        with _usable(self.path), self.path.open("ab") as stream:
            stream.write(json.dumps(_to_json(piece)).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def close(self, *, complete: bool) -> None:
        """Forget everything when the import is complete; else keep it for the next run."""
        if complete and self.path is not None:
            self.path.unlink(missing_ok=True)


def spans(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """The rows of `pieces` as few spans (first, end), in order: neighbours are joined."""
    joined: list[tuple[int, int]] = []
    for first, end in sorted((piece.first, piece.end) for piece in pieces):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Pass the system's refusal on as one sentence."""
    try:
        yield
    except OSError as error:
        message = f"the journal {path} can't be used: {error.strerror or error}; choose another place, or do without"
        raise InvalidRequest(message, path="journal") from error


def _read(path: Path) -> list[Piece]:
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        with path.open("r+b") as stream:
            stream.truncate(len(whole))
    return [piece for line in whole.splitlines() if (piece := _from_json(line)) is not None]


def _to_json(piece: Piece) -> dict[str, Any]:
    problems = [[problem.file, problem.line, problem.status, problem.reason] for problem in piece.problems]
    return {
        "file": piece.file,
        "first": piece.first,
        "end": piece.end,
        "counts": dict(piece.counts),
        "problems": problems,
    }


def _from_json(line: bytes) -> Piece | None:
    """The piece that `line` notes, or None for a damaged one: its rows are then sent again."""
    try:
        noted = json.loads(line)
        counts = {WriteStatus(name): int(count) for name, count in noted["counts"].items()}
        problems = tuple(_problem(*fields) for fields in noted["problems"])
        return Piece(noted["file"], int(noted["first"]), int(noted["end"]), counts, problems)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _problem(file: str, line: int | None, status: str, reason: str) -> Problem:
    return Problem(file, line, WriteStatus(status), reason)
