"""What a call sends and what it reads: requests, pages, lines and uploads.

A method of a group describes its call with these; a connection sends it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from remembrancer_client.answers import BatchAnswer, BatchItem, StatusCounts

T = TypeVar("T")
EntryT = TypeVar("EntryT")
Line: TypeAlias = Mapping[str, Any] | str | bytes


@dataclass(frozen=True)
class Request(Generic[T]):
    """An HTTP request. answer: type into which the response body is decoded; NoneType for an empty
    body.

    repeatable: whether the request may be sent again if it is unknown whether the service carried
    it out; True for reads. key: idempotency key; a request that has a key may always be sent again.
    accepts: error statuses that do not raise, because their body has the type `answer`.
    """

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    media_type: str = "application/json"
    repeatable: bool = False
    key: str | None = None
    accepts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Pages(Generic[T]):
    """A list that the service returns in pages. first: request for the first page.

    read: called with a page's answer; returns the page's entries and the next request, or None
    after the last page.
    """

    first: Request[Any]
    read: Callable[[Any], tuple[list[T], Request[Any] | None]]


def by_cursor(first: Request[T], entries: Callable[[T], list[EntryT]]) -> Pages[EntryT]:
    """The pages of a list that names its next page by `next_cursor`. entries: returns the entries
    in a page.
    """

    def read(page: Any) -> tuple[list[EntryT], Request[T] | None]:
        query = {**first.query, "cursor": page.next_cursor}
        return entries(page), None if page.next_cursor is None else replace(first, query=query)

    return Pages(first, read)


@dataclass(frozen=True)
class Lines(Generic[T]):
    """A call whose answer has a JSON value on each line (NDJSON); the lines are decoded as they
    arrive.
    """

    request: Request[T]


@dataclass(frozen=True)
class UploadAnswer:
    """How many lines of an upload ended with each status.

    refused: the results of the lines that were rejected or failed; their `index` counts the lines
    of the whole upload.
    """

    counts: StatusCounts
    refused: list[BatchItem]


class Upload:
    """An upload of lines in parts of at most MAX_LINES lines and MAX_BYTES bytes. Adds up the
    results of the parts.

    lines: each is a JSON object, as a mapping or as text; blank lines are skipped. path, query: of
    the call that takes them. keyed: whether each part has an idempotency key. sent: number of lines
    that were answered.
    """

    MAX_LINES = 1_000
    MAX_BYTES = 8 * 1024 * 1024

    def __init__(
        self,
        lines: Iterable[Line] | AsyncIterable[Line],
        path: str,
        query: Mapping[str, Any],
        *,
        keyed: bool = False,
    ) -> None:
        self.lines = lines
        self._keyed = keyed
        self._call = Request("POST", path, BatchAnswer, query, media_type="application/x-ndjson")
        self._part: list[bytes] = []
        self._size = 0
        self.sent = 0
        self._counts = dict.fromkeys(StatusCounts.__struct_fields__, 0)
        self._refused: list[BatchItem] = []

    def add(self, line: Line) -> Request[BatchAnswer] | None:
        """Add a line to the current part. If the part is full, begin a new one and return the
        request for the old one.

        Returns None otherwise. Blank lines are left out.
        """
        text = _line(line).strip()
        if not text:
            return None
        full = len(self._part) == self.MAX_LINES or self._size + len(text) > self.MAX_BYTES
        request = self.remaining() if full else None
        self._part.append(text)
        self._size += len(text) + 1
        return request

    def remaining(self) -> Request[BatchAnswer] | None:
        """The request for the lines that are not sent yet; None if there are none. Begins a new
        part.
        """
        part = self._part
        self._part = []
        self._size = 0
        key = fresh_key() if self._keyed else None
        return replace(self._call, body=b"\n".join(part), key=key) if part else None

    def add_answer(self, answer: BatchAnswer) -> None:
        """Add the service's answer to a part to the counts and to the list of refused lines."""
        for name in self._counts:
            self._counts[name] += getattr(answer.counts, name)
        for item in answer.results:
            if item.status in ("rejected", "failed"):
                self._refused.append(msgspec.structs.replace(item, index=self.sent + item.index))
        self.sent += len(answer.results)

    def result(self) -> UploadAnswer:
        """Number of lines that were answered so far, by status, and the results of the rejected and
        failed lines.
        """
        return UploadAnswer(StatusCounts(**self._counts), self._refused)


Description: TypeAlias = Request[T] | Upload
"""A call to the API, as a method under `Call` describes it. T is the type of the call's answer."""


def _line(line: Line) -> bytes:
    """A line of an upload as JSON."""
    if isinstance(line, Mapping):
        return encode(line)
    return line.encode() if isinstance(line, str) else line


def encode(value: Any) -> bytes:
    """`value` as JSON. Raises ValueError for numbers and texts that JSON cannot hold, TypeError for
    other objects.
    """
    return json.dumps(
        value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else msgspec.to_builtins(value)


def segment(name: str) -> str:
    """`name`, percent-encoded as one segment of a URL path. Raises ValueError if it is empty, `.`
    or `..`.
    """
    if name in ("", ".", ".."):
        raise ValueError(f"not an id: {name!r}")
    return quote(name, safe="")


def fresh_key() -> str:
    """A new random idempotency key."""
    return uuid.uuid4().hex
