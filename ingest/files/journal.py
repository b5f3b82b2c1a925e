"""The journals of imports, so that an interrupted import continues where it stopped.

An import of files with rows (such as CSV) has a journal of its own, identified by destination,
paths and options. The journal has a JSON line for each finished batch: which rows of which file it
covers, how they ended, and why some were not stored. The line is written and synced to disk only
after the batch was stored. A batch that was stored but not recorded is sent again, which is
harmless because ids are deterministic. An incomplete last line is cut off. An import without
failures deletes its journal.

All imports of sessions into one destination share a journal, which is kept. It lists the keys of
all messages that were sent. So an import sends only new messages, from whatever file it reads them,
and memories that were forgotten since do not come back. Imports of rows into one destination share
a list of files and of their rows that have keys; it is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from ingest.files.readers.sources import SourceFile
from ingest.files.report import RowProblem
from ingest.writing.outcome import WriteStatus
from memtypes.model.errors import InvalidRequest

_HEAD = 64 * 1024

_Entry = TypeVar("_Entry")


class WrittenRow(msgspec.Struct, frozen=True, array_like=True):
    """A row that its file names by a key, such as a heading or an id, and the memory `id` that it
    was written to.

    is_new: whether the import made this memory; otherwise the row was merged into it. expires_at:
    that of the row.
    """

    key: str
    id: str
    is_new: bool
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class FinishedRows:
    """A range of rows of one file that an import has finished: from row `first` (counted from 0) to
    before row `end`.

    file: hash of the file (`file_identity`). counts: how many rows ended with each status.
    problems: rows that were not stored, and why. written: the rows that have a key.
    """

    file: str
    first: int
    end: int
    counts: Mapping[WriteStatus, int]
    problems: tuple[RowProblem, ...] = ()
    written: tuple[WrittenRow, ...] = ()


def file_identity(source: SourceFile) -> str | None:
    """A hash of the file's path, size, modification time and first 64 KiB; None for a pipe or an
    unreadable file.
    """
    if source.path is None or not source.path.is_file():
        return None
    try:
        state = source.path.stat()
        with source.path.open("rb") as stream:
            head = hashlib.sha256(stream.read(_HEAD)).hexdigest()
    except OSError:
        return None  # the reader will report the error
    path = os.fsencode(source.path.resolve()).hex()
    return hashlib.sha256(
        json.dumps([path, state.st_size, state.st_mtime_ns, head]).encode()
    ).hexdigest()


@dataclass(slots=True)
class ImportJournal:
    """Ranges of rows that an import has stored or rejected, kept as JSON Lines at `path`; only in
    memory if None.
    """

    path: Path | None
    entries: list[FinishedRows] = field(default_factory=list)

    @classmethod
    def open(cls, directory: Path | None, identity: object) -> ImportJournal:
        """Open the journal of the import with this `identity` (any JSON value), and read what
        earlier runs finished.

        directory: where journals are stored; None keeps the journal in memory only. Raises
        InvalidRequest if the directory cannot be used.
        """
        path = _path("import", directory, json.dumps(identity, sort_keys=True))
        if path is not None:
            with _as_invalid_request(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        return cls(path, _entries(path, FinishedRows))

    def finished(self, file: str | None) -> list[FinishedRows]:
        """The stored or rejected rows of the file whose `file_identity` is `file`; none if `file`
        is None.
        """
        return [rows for rows in self.entries if rows.file == file]

    def add(self, rows: FinishedRows) -> None:
        """Append `rows` to the journal; they are on disk when this returns."""
        self.entries.append(rows)
        _append(self.path, rows)

    def close(self, *, complete: bool) -> None:
        """Delete the journal if the import is `complete`; otherwise leave it for the next run."""
        if complete and self.path is not None:
            self.path.unlink(missing_ok=True)


class _SentPart(msgspec.Struct):
    """A line of a journal of sessions: the namespace to which messages were written, and the
    messages' keys.
    """

    namespace: str
    keys: list[str]


@dataclass(slots=True)
class SentMessages:
    """The keys of messages that imports have sent to one destination (a service or a store), by
    namespace.

    A key identifies a message in all copies of a transcript. path: the journal; None keeps the keys
    in memory only.
    """

    path: Path | None
    keys: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def open(cls, directory: Path | None, destination: str) -> SentMessages:
        """Read the keys that were sent to `destination`. directory, errors: as in
        `ImportJournal.open`.
        """
        path = _path("sessions", directory, destination)
        sent = cls(path)
        for part in _entries(path, _SentPart):
            sent.keys[part.namespace].update(part.keys)
        return sent

    def add(self, namespace: str, keys: Iterable[str]) -> None:
        """Append the `keys` of messages that were written to `namespace`; they are on disk when
        this returns.
        """
        part = _SentPart(namespace, list(keys))
        self.keys[namespace].update(part.keys)
        if part.keys:
            _append(self.path, part)


class ImportedFile(msgspec.Struct, frozen=True):
    """A line of the list of imported files: the keys of a file's rows, by the id of the memory made
    of each.

    names: of the file in the sources of these memories. ended: ids of memories that imports of it
    ended or let expire.
    """

    namespace: str
    file: str
    names: list[str] = []
    rows: dict[str, str] = {}
    ended: list[str] = []


@dataclass(slots=True)
class ImportedFiles:
    """The files whose rows were imported into one destination. path: the list on disk; None keeps
    it in memory only.
    """

    path: Path | None
    files: dict[tuple[str, str], ImportedFile] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: Path | None, destination: str) -> ImportedFiles:
        """Read which files were imported into `destination`. directory, errors: as in
        `ImportJournal.open`.
        """
        path = _path("files", directory, destination)
        return cls(
            path, {(entry.namespace, entry.file): entry for entry in _entries(path, ImportedFile)}
        )

    def with_memory(self, namespace: str, memory_id: str) -> list[ImportedFile]:
        """The files that have a row of this memory."""
        return [
            entry
            for entry in self.files.values()
            if entry.namespace == namespace and memory_id in entry.rows
        ]

    def add(self, entry: ImportedFile) -> None:
        """Record `entry` in place of the earlier entry of its file; it is on disk when this
        returns.
        """
        key = (entry.namespace, entry.file)
        if self.files.get(key) != entry:
            self.files[key] = entry
            _append(self.path, entry)


def _path(kind: str, directory: Path | None, identity: str) -> Path | None:
    name = hashlib.sha256(identity.encode()).hexdigest()[:24]
    return None if directory is None else directory / f"{kind}-{name}.jsonl"


@contextmanager
def _as_invalid_request(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = (
            f"the journal {path} can't be used: {error.strerror or error}; choose another "
            "place, or do without"
        )
        raise InvalidRequest(message, path="journal") from error


def _append(path: Path | None, entry: object) -> None:
    if path is None:
        return
    with _as_invalid_request(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            stream.write(msgspec.json.encode(entry) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def _entries(path: Path | None, kind: type[_Entry]) -> list[_Entry]:
    """The entries of the journal at `path`, if any. An incomplete last line is cut off, a damaged
    line is skipped.
    """
    if path is None or not path.exists():
        return []
    with _as_invalid_request(path):
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end != len(content):
            os.truncate(path, end)
    entries: list[_Entry] = []
    for line in content[:end].splitlines():
        with suppress(msgspec.MsgspecError):
            entries.append(msgspec.json.decode(line, type=kind))
    return entries
