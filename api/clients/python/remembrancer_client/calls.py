"""How each call is described once, for the sync and the async client.

A call is a method that returns a description of what to send: a `Request` or an `Upload` if it is decorated with
`Call`, `Pages` or `Lines` if it is decorated with `Each`. On a client, the decorated method makes the call. With a
`Connection` it returns the answer, or an iterator if decorated with `Each`. With an `AsyncConnection` it returns an
awaitable, or an async iterator.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
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
NDJSON = "application/x-ndjson"
Line: TypeAlias = Mapping[str, Any] | str | bytes


class Description(Generic[T]):
    """Description of what to send. T is the type of the answer."""


@dataclass(frozen=True)
class Request(Description[T]):
    """A call: its method and path, and the type that its answer is decoded into (NoneType for an empty one).

    repeatable: whether the call may be sent again when it is unknown whether the service did it, as for reads. A call
    with an idempotency key always may. accepts: error statuses whose body has the type `answer`, too.
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
    """A list returned in pages. turn: returns a page's entries, and the request for the next page or None."""

    first: Request[Any]
    turn: Callable[[Any], tuple[list[T], Request[Any] | None]]


def by_cursor(first: Request[T], entries: Callable[[T], list[EntryT]]) -> Pages[EntryT]:
    """The pages of a list: `first` requests the first page, and each page has the cursor of the next one.

    entries: returns the entries of a page.
    """

    def turn(page: Any) -> tuple[list[EntryT], Request[T] | None]:
        query = {**first.query, "cursor": page.next_cursor}
        return entries(page), None if page.next_cursor is None else replace(first, query=query)

    return Pages(first, turn)


@dataclass(frozen=True)
class Lines(Generic[T]):
    """An answer of one JSON value a line, decoded while it arrives."""

    request: Request[T]


class Upload(Description[UploadAnswer]):
    """Lines that are sent in parts, and the result so far. request: returns the request for a part, given its body.

    A line is an object, or the JSON text of one; blank lines are skipped.
    """

    MAX_LINES = 1_000
    MAX_BYTES = 8 * 1024 * 1024

    def __init__(
        self, lines: Iterable[Line] | AsyncIterable[Line], request: Callable[[bytes], Request[BatchAnswer]]
    ) -> None:
        self.lines = lines
        self._request = request
        self._part: list[bytes] = []
        self._size = 0
        self._sent = 0
        self._counts = dict.fromkeys(StatusCounts.__struct_fields__, 0)
        self._refused: list[BatchItem] = []

    def add(self, line: Line) -> Request[BatchAnswer] | None:
        """Add a line. If it does not fit into the current part, return the request for that part."""
        text = encode(line) if isinstance(line, Mapping) else line.encode() if isinstance(line, str) else line
        text = text.strip()
        if not text:
            return None
        full = len(self._part) == self.MAX_LINES or self._size + len(text) > self.MAX_BYTES
        request = self.rest() if full else None
        self._part.append(text)
        self._size += len(text) + 1
        return request

    def rest(self) -> Request[BatchAnswer] | None:
        """The request for the lines that were not sent yet; None if there are none."""
        part, self._part, self._size = self._part, [], 0
        return self._request(b"\n".join(part)) if part else None

    def take(self, answer: BatchAnswer) -> None:
        """Add to the result what the service answered to a part."""
        for name in self._counts:
            self._counts[name] += getattr(answer.counts, name)
        for item in answer.results:
            if item.status in ("rejected", "failed"):
                self._refused.append(msgspec.structs.replace(item, index=self._sent + item.index))
        self._sent += len(answer.results)

    def result(self) -> UploadAnswer:
        """The counts of all parts so far, and the lines that were not stored."""
        return UploadAnswer(StatusCounts(**self._counts), self._refused)

    def failed(self, error: RemembrancerError) -> UploadFailed:
        """The exception for a part that failed: how many lines were sent before it, and with what result."""
        return UploadFailed(f"after {self._sent} lines: {error}", self.result())


class Group(Generic[ConnectionT_co]):
    """Calls that share a connection and a namespace."""

    def __init__(self, connection: ConnectionT_co, namespace: str | None) -> None:
        self.connection = connection
        self._namespace = namespace

    def _scope(self, options: Mapping[str, Any]) -> str:
        """The namespace that `options` names, or else the client's."""
        namespace = options.get("namespace", self._namespace)
        if namespace is None:
            raise ValueError("name a namespace: namespace= of the call or of the client, or REMEMBRANCER_NAMESPACE")
        return str(namespace)

    def _body(self, options: Mapping[str, Any], **members: Any) -> bytes:
        """A JSON body of `members` and `options`, with the namespace."""
        return encode({**members, **options, "namespace": self._scope(options)})

    def _query(self, options: Mapping[str, Any], **members: Any) -> dict[str, Any]:
        """The query of `members` and `options`, with the namespace."""
        return {**members, **options, "namespace": self._scope(options)}

    def _get(self, path: str, answer: type[T], options: Mapping[str, Any], /, **members: Any) -> Request[T]:
        """A call that reads. `members` and `options` go into the query."""
        return Request("GET", path, answer, query=self._query(options, **members), repeatable=True)

    def _ask(self, path: str, answer: type[T], options: Mapping[str, Any], /, **members: Any) -> Request[T]:
        """A call that reads, whose `members` and `options` go into a body."""
        return replace(self._post(path, answer, options, **members), repeatable=True)

    def _post(self, path: str, answer: type[T], options: Mapping[str, Any], /, **members: Any) -> Request[T]:
        """A call that writes. `members` and `options` go into its body."""
        return Request("POST", path, answer, body=self._body(options, **members))

    def _split(self, options: Mapping[str, Any], *names: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split `options`: the namespace and the options in `names`, for the query, and the others, for the body."""
        in_query = {"namespace", *names}
        query = {name: value for name, value in options.items() if name in in_query}
        return self._query(query), {name: value for name, value in options.items() if name not in in_query}


class Call(Generic[P, T]):
    """Decorator of a method that describes a call with one answer."""

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
        """On a group, the method that makes the call over the group's connection. On the class, this decorator."""
        return self if group is None else _bound(group, self.describe, group.connection.run)


class Each(Generic[P, T]):
    """Decorator of a method that describes a list to iterate over."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Pages[T] | Lines[T]]) -> None:
        self.__doc__ = describe.__doc__
        self.describe = describe

    @overload
    def __get__(self, group: None, owner: type | None = None) -> Each[P, T]: ...
    @overload
    def __get__(self, group: Group[Connection], owner: type | None = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, group: Group[AsyncConnection], owner: type | None = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, group: Any, owner: type | None = None) -> Any:
        """On a group, the method that makes the call over the group's connection. On the class, this decorator."""
        return self if group is None else _bound(group, self.describe, group.connection.each)


def _bound(group: Group[Any], describe: Callable[..., Any], run: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(describe)
    def method(*args: Any, **options: Any) -> Any:
        return run(describe(group, *args, **options))

    return method


def encode(value: Any) -> bytes:
    """`value` as JSON. Raises ValueError for numbers and texts that JSON cannot hold, TypeError for other objects."""
    return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else msgspec.to_builtins(value)


def segment(name: str) -> str:
    """`name` as one segment of a path. Raises ValueError for a name that would lead to another path."""
    if name in ("", ".", ".."):
        raise ValueError(f"not an id: {name!r}")
    return quote(name, safe="")


def fresh_key() -> str:
    """A new idempotency key."""
    return uuid.uuid4().hex
