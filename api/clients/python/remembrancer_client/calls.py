"""Calls of the API, each written once for the sync and the async client.

A method under the decorator `Call` returns a `Request` or an `Upload`; a method under `Each`
returns `Pages` or `Lines`. These objects describe what to send. When a user calls the decorated
method on a client, the client's connection sends the request: `Call` then returns the answer, and
`Each` an iterator. On an async client they return an awaitable and an async iterator.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from remembrancer_client.connection import AsyncConnection, Connection
from remembrancer_client.request import Description, Lines, Pages, Request, encode

P = ParamSpec("P")
T = TypeVar("T")
ConnectionT_co = TypeVar("ConnectionT_co", covariant=True)


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
