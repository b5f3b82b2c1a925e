"""Conversations in the exports of ChatGPT and Claude, as files or in the ZIP archive that the user downloads."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from ingest.files.readers.rows import BadLine, FileRow, Reader
from ingest.files.readers.transcripts import PastMessage, PastSession, in_utc, spoken

CONVERSATIONS = "conversations"
"""Names of an export's files with conversations begin with this."""


@dataclass(slots=True)
class ChatFile:
    """An export of chats. reader: yields an event per message. left_out: counts of unreadable messages, by reason."""

    path: Path
    reader: Reader
    left_out: Counter[str] = field(default_factory=Counter)

    def sessions(self, *, quiet: bool) -> list[PastSession]:
        """The conversations of the export; `quiet` has no effect. Raises OSError."""
        del quiet
        self.left_out.clear()
        messages: dict[str, list[PastMessage]] = {}
        seen: Counter[str] = Counter()
        with export_streams(self.path) as streams:
            for name, opened in streams:
                with opened() as stream:
                    for reading in self.reader(stream, name):
                        if isinstance(reading, BadLine):
                            self.left_out[reading.reason] += 1
                        else:
                            _add(messages, reading, seen)
        return [PastSession(session, None, tuple(said)) for session, said in messages.items() if said]

    def forget(self) -> None:
        """Do nothing: an export is read in full each time."""


def _add(messages: dict[str, list[PastMessage]], row: FileRow, seen: Counter[str]) -> None:
    """Add a row's message to its session. Its key is a hash of its contents: positions in an export are not stable."""
    fields = row.fields
    session, text = spoken(fields["session_id"]), spoken(fields["content"])
    if not text:
        return
    at = in_utc(fields.get("created_at"))
    said = "\0".join((session, fields["speaker"], str(fields.get("created_at")), text))
    digest = hashlib.sha256(said.encode(errors="replace")).hexdigest()[:24]
    seen[digest] += 1
    key = f"{session}/{digest}.{seen[digest]}"
    messages.setdefault(session, []).append(PastMessage(fields["speaker"], at, ((key, text),)))


@contextmanager
def export_streams(path: Path) -> Iterator[list[tuple[str, Callable[[], BinaryIO]]]]:
    """Names and openers of the files with conversations at `path`, a file or a ZIP archive. Raises OSError."""
    if path.suffix.lower() != ".zip":
        yield [(str(path), lambda: path.open("rb"))]
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield [
                (f"{path}:{name}", cast(Callable[[], BinaryIO], partial(archive.open, name)))
                for name in sorted(archive.namelist())
                if name.rpartition("/")[2].startswith(CONVERSATIONS) and name.endswith(".json")
            ]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise OSError(f"it is a damaged or unsupported archive: {error}") from error
