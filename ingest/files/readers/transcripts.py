"""Reads messages of past sessions from the transcripts (JSON Lines files) that agents write while a
session runs.

Only what people and agents said becomes messages. Other lines and texts are left out and counted by
reason. Each part of a message has a key that is the same in all copies of the transcript, so that
no message is imported twice. A malformed line does not stop the reading.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
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
    r"(?s)<system-reminder>.*?</system-reminder>"
    r"|<user-prompt-submit-hook>.*?</user-prompt-submit-hook>"
)
_CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"
)
"""Escape sequences of terminals, and control characters, which no memory may have."""

Block: TypeAlias = tuple[str, str]
"""A part of a message: its key, which identifies it in all copies of the transcript, and its
text.
"""


@dataclass(frozen=True, slots=True)
class PastMessage:
    """A message of the user or the agent in a transcript.

    at: the time, in the transcript's own format; None if it has none. blocks: the parts of the
    message (content blocks), each with its key and text.
    """

    role: str
    at: str | None
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        """The texts of all parts of the message, joined by line breaks."""
        return "\n".join(text for _, text in self.blocks)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all parts of the message."""
        return tuple(key for key, _ in self.blocks)

    def without(self, sent: Container[str]) -> PastMessage | None:
        """The message without the parts whose keys are in `sent`; None if all parts were sent."""
        blocks = tuple(block for block in self.blocks if block[0] not in sent)
        return replace(self, blocks=blocks) if blocks else None


@dataclass(frozen=True, slots=True)
class PastSession:
    """The messages of one past session, oldest first. folder: where the agent worked; None if it is
    not recorded.
    """

    id: str
    folder: str | None
    messages: tuple[PastMessage, ...]

    def times(self) -> list[str]:
        """The times of the messages as RFC 3339 in UTC, without missing and invalid times."""
        return [moment for message in self.messages if (moment := in_utc(message.at)) is not None]


def clean(text: Any) -> str:
    """`text` without control characters and without reminders that a program inserted; empty if it
    is not a `str`.
    """
    if not isinstance(text, str):
        return ""
    without: str = _REMINDER.sub("", _CONTROL.sub("", text))
    return without.strip()


def name_or_none(value: Any) -> str | None:
    """`value` if it is a non-empty `str`; otherwise None."""
    return value if isinstance(value, str) and value else None


class TranscriptLines:
    """Collects a transcript's lines; each format has a subclass. left_out: counts of skipped lines,
    by reason.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.left_out: Counter[str] = Counter()

    def add(self, number: int, line: dict[str, Any]) -> None:
        """Add the line with this number, counted from 0.

        Raises LookupError, TypeError, ValueError, AttributeError or ArithmeticError for a line of
        another form.
        """
        raise NotImplementedError

    def sessions(self) -> list[PastSession]:
        """The sessions that the lines added so far contain."""
        raise NotImplementedError


@dataclass(slots=True)
class TranscriptFile:
    """A transcript file, and how far it was read. An incomplete last line is not read until it is
    complete.

    lines_of: makes an empty collector of lines (`TranscriptLines`) for a file with this name.
    offset, number: bytes and lines that were read. junk: counts of lines that could not be read, by
    reason.
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
        """Numbers of lines and messages that were left out so far, by reason."""
        return self.junk + self.lines.left_out

    def sessions(self, *, quiet: bool) -> list[PastSession]:
        """All sessions in the file so far. Reads only what was added since the last call.

        quiet: whether the file was left unchanged for a while. If not, an agent's answer at its end
        may be incomplete, so it is left out for now. Raises OSError if the file cannot be read, and
        InvalidRequest if it is compressed and the library for that is not installed.
        """
        compressed = self.path.suffix == ".zst"
        if compressed or self.path.stat().st_size < self.offset:
            self.forget()
        with _zstd_opened(self.path) if compressed else self.path.open("rb") as stream:
            stream.seek(self.offset)
            while self._take_line(stream):
                pass
        sessions = [session for session in self.lines.sessions() if session.messages]
        if not quiet and sessions and sessions[-1].messages[-1].role == "assistant":
            sessions[-1] = replace(sessions[-1], messages=sessions[-1].messages[:-1])
        return sessions

    def forget(self) -> None:
        """Forget what was read, which frees memory; the next call of `sessions` reads the file from
        its beginning.
        """
        self.offset = self.number = 0
        self.junk = Counter()
        self.lines = self.lines_of(self.path.name)

    def _take_line(self, stream: BinaryIO) -> bool:
        """Read the next complete line of the transcript. Returns False if there is none yet."""
        chunk = stream.readline(MAX_LINE + 1)
        size = len(chunk)
        ended = chunk.endswith(b"\n")
        is_short = len(chunk) <= MAX_LINE
        while not ended and size > MAX_LINE and (chunk_rest := stream.readline(MAX_LINE)):
            size = size + len(chunk_rest)
            ended = chunk_rest.endswith(b"\n")
        line = _parsed(chunk) if is_short else None
        if not chunk or not (ended or line is not None):
            return False
        # the end of a line may be written later than the line
        number = self.number
        self.number = self.number + ended
        self.offset += size
        if not is_short:
            self.junk[TOO_LONG] += 1
        elif line is not None:
            try:
                self.lines.add(number, line)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
                self.junk[OTHER_FORM] += 1
        elif chunk.strip():
            self.junk[NOT_JSON] += 1
        return True


def _parsed(chunk: bytes) -> dict[str, Any] | None:
    """The object in a JSON line, without lone surrogates (halves of a character); None if it is not
    JSON.
    """
    value = None
    try:
        value = msgspec.json.decode(chunk)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Perhaps the escape of half a character, such as of an emoji that was cut in two
        if b"\\u" in chunk:
            with suppress(ValueError, RecursionError):
                text = json.dumps(json.loads(chunk), ensure_ascii=False)
                value = json.loads(text.encode(errors="ignore"))
    return value if isinstance(value, dict) else None


@contextmanager
def _zstd_opened(path: Path) -> Iterator[BinaryIO]:
    """Open a Zstandard file. Raises InvalidRequest if no zstd library is installed, OSError if the
    file is damaged.
    """
    try:
        zstd = importlib.import_module(
            "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
        )
    except ImportError as error:
        message = f"{path} is compressed; install remembrancer[zstd] to read it"
        raise InvalidRequest(message, path="paths") from error
    try:
        with zstd.open(path, "rb") as stream:
            yield stream
    except (EOFError, zstd.ZstdError) as error:
        raise OSError(f"it is damaged: {error}") from error
