"""Descriptions of the API's calls, each written once for the sync and the async client.

A method under the decorator `Call` returns a `Request` or an `Upload`; a method under `Each`
returns `Pages` or `Lines`. These objects describe what to send. When a user calls the decorated
method on a client, the client's connection sends the request: `Call` then returns the answer, and
`Each` an iterator. On an async client they return an awaitable and an async iterator.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, overload
from urllib.parse import quote

import msgspec

from remembrancer_client.answers.memories import BatchAnswer, BatchItem, StatusCounts, UploadAnswer
from remembrancer_client.errors import RemembrancerError, UploadFailed

if TYPE_CHECKING:
    from remembrancer_client.connection import AsyncConnection, Connection

P = ParamSpec("P")
T = TypeVar("T")
EntryT = TypeVar("EntryT")
ConnectionT_co = TypeVar("ConnectionT_co", covariant=True)
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


class Upload:
    """An upload of lines in parts of at most MAX_LINES lines and MAX_BYTES bytes. Adds up the
    results of the parts.

    lines: each is a JSON object, as a mapping or as text; blank lines are skipped. path, query: of
    the call that takes them. keyed: whether each part has an idempotency key.
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
        self._sent = 0
        self._counts = dict.fromkeys(StatusCounts.__struct_fields__, 0)
        self._refused: list[BatchItem] = []

    def add(self, line: Line) -> Request[BatchAnswer] | None:
        """Add a line to the current part. If the part is full, begin a new one and return the
        request for the old one.

        Returns None otherwise. Blank lines are left out.
        """
        text = (
            encode(line)
            if isinstance(line, Mapping)
            else line.encode()
            if isinstance(line, str)
            else line
        )
        text = text.strip()
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
                self._refused.append(msgspec.structs.replace(item, index=self._sent + item.index))
        self._sent += len(answer.results)

    def result(self) -> UploadAnswer:
        """Number of lines that were answered so far, by status, and the results of the rejected and
        failed lines.
        """
        return UploadAnswer(StatusCounts(**self._counts), self._refused)

    def failed(self, error: RemembrancerError) -> UploadFailed:
        """The exception for a part that failed with `error`. It has the results of the lines that
        were sent before.
        """
        return UploadFailed(f"after {self._sent} lines: {error}", self.result())


Description: TypeAlias = Request[T] | Upload
"""A call to the API, as a method under `Call` describes it. T is the type of the call's answer."""


class Group(Generic[ConnectionT_co]):
    """Base of the groups of calls, such as `client.threads`, with the client's connection and
    namespace.
    """

    def __init__(self, connection: ConnectionT_co, namespace: str | None) -> None:
        self.connection = connection
        self._namespace = namespace

    def _scope(self, options: Mapping[str, Any]) -> str:
        """The namespace in `options`, or else the client's. Raises ValueError if neither is set."""
        namespace = options.get("namespace", self._namespace)
        if namespace is None:
            raise ValueError(
                "name a namespace: namespace= of the call or of the client, or "
                "REMEMBRANCER_NAMESPACE"
            )
        return str(namespace)

    def _body(self, options: Mapping[str, Any], **members: Any) -> bytes:
        """A JSON body with `members`, `options` and the namespace."""
        return encode({**members, **options, "namespace": self._scope(options)})

    def _query(self, options: Mapping[str, Any], **members: Any) -> dict[str, Any]:
        """Query parameters with `members`, `options` and the namespace."""
        return {**members, **options, "namespace": self._scope(options)}

    def _get(
        self, path: str, answer: type[T], options: Mapping[str, Any], /, **members: Any
    ) -> Request[T]:
        """A GET request for `path` with the query parameters `members` and `options`."""
        return Request("GET", path, answer, query=self._query(options, **members), repeatable=True)

    def _ask(
        self, path: str, answer: type[T], options: Mapping[str, Any], /, **members: Any
    ) -> Request[T]:
        """A POST request that only reads, so that it may be sent again. `members` and `options` go
        into its body.
        """
        return replace(self._post(path, answer, options, **members), repeatable=True)

    def _post(
        self, path: str, answer: type[T], options: Mapping[str, Any], /, **members: Any
    ) -> Request[T]:
        """A POST request that changes data. `members` and `options` go into its body."""
        return Request("POST", path, answer, body=self._body(options, **members))

    def _request(
        self,
        method: str,
        path: str,
        answer: type[T],
        options: Mapping[str, Any],
        /,
        *in_query: str,
        **members: Any,
    ) -> Request[T]:
        """A request with the namespace and the options named `in_query` in its query, and all else
        in its body.
        """
        query = {name: options[name] for name in in_query if name in options}
        fields = {
            name: value for name, value in options.items() if name not in ("namespace", *in_query)
        }
        query["namespace"] = self._scope(options)
        return Request(method, path, answer, query=query, body=encode({**members, **fields}))


class Call(Generic[P, T]):
    """Decorator for a method that returns a `Description`. Calling the decorated method sends the
    described call.
    """

    def __init__(self, describe: Callable[Concatenate[Any, P], Description[T]]) -> None:
        self.__doc__ = describe.__doc__
        self.describe = describe

    @overload
    def __get__(self, group: None, owner: type | None = None) -> Call[P, T]: ...
    @overload
    def __get__(self, group: Group[Connection], owner: type | None = None) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, group: Group[AsyncConnection], owner: type | None = None
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, group: Any, owner: type | None = None) -> Any:
        """On an instance, a method that sends the call. On the class (`group` is None), the
        decorator itself.
        """
        return self if group is None else _bound(group, self.describe, group.connection.run)


class Each(Generic[P, T]):
    """Decorator for a method that returns `Pages` or `Lines`. The decorated method returns an
    iterator over entries.
    """

    def __init__(self, describe: Callable[Concatenate[Any, P], Pages[T] | Lines[T]]) -> None:
        self.__doc__ = describe.__doc__
        self.describe = describe

    @overload
    def __get__(self, group: None, owner: type | None = None) -> Each[P, T]: ...
    @overload
    def __get__(
        self, group: Group[Connection], owner: type | None = None
    ) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(
        self, group: Group[AsyncConnection], owner: type | None = None
    ) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, group: Any, owner: type | None = None) -> Any:
        """On an instance, a method that sends the call. On the class (`group` is None), the
        decorator itself.
        """
        return self if group is None else _bound(group, self.describe, group.connection.each)


def _bound(
    group: Group[Any], describe: Callable[..., Any], run: Callable[[Any], Any]
) -> Callable[..., Any]:
    @functools.wraps(describe)
    def method(*args: Any, **options: Any) -> Any:
        return run(describe(group, *args, **options))

    return method


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
