"""Sessions of the past, and the transcripts that agents write while a session runs: JSON Lines that grow.

Only what people and agents said becomes messages. Each part of a message has a key, which is the same in copies of the
transcript. Everything else is counted, by the reason why it is left out. A malformed line does not stop the reading.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec
import re2

from ingest.files.readers.rows import MAX_LINE, in_utc
from memtypes.model.errors import InvalidRequest

NOT_JSON = "lines that are no JSON object"
OTHER_FORM = "lines of another form than expected"
TOO_LONG = f"lines of more than {MAX_LINE:,} bytes"
REMINDERS = "texts of the program, such as commands and reminders"

_REMINDER = re2.compile(
    r"(?s)<system-reminder>.*?</system-reminder>|<user-prompt-submit-hook>.*?</user-prompt-submit-hook>"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Escape sequences of terminals, and the characters that no memory may have."""

Block: TypeAlias = tuple[str, str]
"""The key of a part of a message, and its text."""


@dataclass(frozen=True, slots=True)
class PastMessage:
    """A message of the user or the agent. at: the time as the transcript has it.

    blocks: the message's parts (a transcript's content blocks), each a key, the same in every copy, and a text.
    """

    role: str
    at: str | None
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        """The texts of all parts, one below the other."""
        return "\n".join(text for _, text in self.blocks)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all parts."""
        return tuple(key for key, _ in self.blocks)

    def without(self, sent: Container[str]) -> PastMessage | None:
        """The message without the parts whose keys are in `sent`; None if no part is left."""
        blocks = tuple(block for block in self.blocks if block[0] not in sent)
        return replace(self, blocks=blocks) if blocks else None


@dataclass(frozen=True, slots=True)
class PastSession:
    """The messages of one session, oldest first. folder: where the agent worked; None if it is not recorded."""

    id: str
    folder: str | None
    messages: tuple[PastMessage, ...]

    def times(self) -> list[str]:
        """The valid times of its messages, as RFC 3339 in UTC."""
        return [moment for message in self.messages if (moment := in_utc(message.at)) is not None]


def spoken(text: Any) -> str:
    """`text` without control characters and without reminders that a program put into it; empty if it is no text."""
    if not isinstance(text, str):
        return ""
    without: str = _REMINDER.sub("", _CONTROL.sub("", text))
    return without.strip()


def name_or_none(value: Any) -> str | None:
    """`value` if it is a text with at least one character, else None."""
    return value if isinstance(value, str) and value else None


class TranscriptLines:
    """Collects the lines of a transcript; a subclass for each program's format. left_out: counts of skipped lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left_out: Counter[str] = Counter()

    def add(self, number: int, line: dict[str, Any]) -> None:
        """Add the line with this number, counted from 0.

        Raises LookupError, TypeError, ValueError, AttributeError or ArithmeticError for a line of unknown form.
        """
        raise NotImplementedError

    def sessions(self) -> list[PastSession]:
        """The sessions of all lines so far."""
        raise NotImplementedError


@dataclass(slots=True)
class TranscriptFile:
    """A transcript, and how far it was read. An incomplete last line is left for the next time.

    lines_of: returns an empty `TranscriptLines` for a transcript with this name.
    """

    path: Path
    lines_of: Callable[[str], TranscriptLines]
    offset: int = 0
    number: int = 0
    junk: Counter[str] = field(default_factory=Counter)
    lines: TranscriptLines = field(init=False)

    def __post_init__(self) -> None:
        self.forget()

    @property
    def left_out(self) -> Counter[str]:
        """How much was left out so far, by reason."""
        return self.junk + self.lines.left_out

    def sessions(self, *, quiet: bool) -> list[PastSession]:
        """All sessions in the file so far; reads only what was added since the last call.

        quiet: whether nothing was written for a while. If not, an answer at the end may be incomplete, so it is left
        out. Raises OSError and InvalidRequest.
        """
        compressed = self.path.suffix == ".zst"
        if compressed or self.path.stat().st_size < self.offset:
            self.forget()
        with _zstd_opened(self.path) if compressed else self.path.open("rb") as stream:
            stream.seek(self.offset)
            while self._take_line(stream):
                self.number += 1
        sessions = [session for session in self.lines.sessions() if session.messages]
        if not quiet and sessions and sessions[-1].messages[-1].role == "assistant":
            sessions[-1] = replace(sessions[-1], messages=sessions[-1].messages[:-1])
        return sessions

    def forget(self) -> None:
        """Forget what was read, so that the next call reads the file from its beginning."""
        self.offset = self.number = 0
        self.junk = Counter()
        self.lines = self.lines_of(self.path.name)

    def _take_line(self, stream: BinaryIO) -> bool:
        """Read the next complete line; False if there is none."""
        chunk = stream.readline(MAX_LINE + 1)
        size, ended, fits = len(chunk), chunk.endswith(b"\n"), len(chunk) <= MAX_LINE
        while not ended and size > MAX_LINE and (more := stream.readline(MAX_LINE)):
            size, ended = size + len(more), more.endswith(b"\n")
        line = _parsed(chunk) if fits else None
        if not chunk or not (ended or line is not None):
            return False
        self.offset += size
        if not fits:
            self.junk[TOO_LONG] += 1
        elif line is not None:
            self._add(line)
        elif chunk.strip():
            self.junk[NOT_JSON] += 1
        return True

    def _add(self, line: dict[str, Any]) -> None:
        try:
            self.lines.add(self.number, line)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            self.junk[OTHER_FORM] += 1


def _parsed(chunk: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None if it is none."""
    try:
        value = msgspec.json.decode(chunk)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = _half_characters(chunk)
    return value if isinstance(value, dict) else None


def _half_characters(chunk: bytes) -> Any:
    """The JSON value of a line in which JavaScript escaped half of a surrogate pair, without it; None if it is none."""
    try:
        text = json.dumps(json.loads(chunk), ensure_ascii=False) if b"\\u" in chunk else "null"
        return json.loads(text.encode(errors="ignore"))
    except (ValueError, RecursionError):
        return None


@contextmanager
def _zstd_opened(path: Path) -> Iterator[BinaryIO]:
    """The text of a file in Zstandard's format. Raises InvalidRequest without the library, OSError if it is damaged."""
    try:
        zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    except ImportError as error:
        message = f"{path} is compressed; install remembrancer[zstd] to read it"
        raise InvalidRequest(message, path="paths") from error
    try:
        with zstd.open(path, "rb") as stream:
            yield stream
    except (EOFError, zstd.ZstdError) as error:
        raise OSError(f"it is damaged: {error}") from error
