"""The sync and the async connection, which send the requests of the module `calls` and decode the answers.

If the service cannot be connected to, every request is sent again. After status 429, 502, 503 or 504 or a broken
connection, only requests that are repeatable or have an idempotency key are sent again. The wait before the next
attempt is that of the Retry-After header, or else a random time that grows with each attempt.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
import msgspec

from remembrancer_client.calls import Description, Lines, Pages, Request, Upload
from remembrancer_client.errors import (
    NotFound,
    Problem,
    RateLimited,
    RemembrancerError,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    problem,
)

T = TypeVar("T")
VERSION = "0.1.0"

_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Retries:
    """When a failed call is sent again. attempts: maximum number of times that a call is sent, the first one included.

    longest_wait_s: seconds; a call that would have to wait longer before its next attempt is not sent again.
    """

    attempts: int = 4
    longest_wait_s: float = 60.0

    def wait_s(self, request: Request[Any], attempt: int, error: RemembrancerError) -> float | None:
        """Seconds to wait before `request` is sent again; None to give up. attempt: number of attempts so far."""
        if attempt >= self.attempts or not _may_repeat(request, error):
            return None
        asked = error.retry_after if isinstance(error, Problem) else None
        wait = asked if asked is not None else random.uniform(0.5, 1.0) * min(0.2 * 2**attempt, 5.0)  # noqa: S311
        return wait if wait <= self.longest_wait_s else None


@dataclass(frozen=True)
class Target:
    """The service to call. key: API key, None to send no key. timeout: in seconds, or an `httpx.Timeout`.

    transport: replaces httpx's transport, such as for a Unix socket or for an application in the same process.
    """

    url: str
    key: str | None = field(repr=False)
    timeout: float | httpx.Timeout
    retries: Retries
    transport: Any = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments for `httpx.Client`. Raises ValueError if the URL or the key is malformed."""
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"not the URL of a service: {self.url!r}; it begins with http:// or https://")
        headers = {"User-Agent": f"remembrancer-client/{VERSION}"}
        if self.key:
            if not _KEY.fullmatch(self.key):
                raise ValueError("not an API key: it has a space, a line break or a character outside ASCII")
            headers["Authorization"] = f"Bearer {self.key}"
        return {"base_url": self.url, "headers": headers, "timeout": self.timeout, "transport": self.transport}


class Connection:
    """Sends calls to the service and returns their decoded answers."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.http = httpx.Client(**target.options())

    def run(self, description: Description[T]) -> T:
        """Send the described call and return its answer. An `Upload` is sent in parts, whose results are added up."""
        if isinstance(description, Request):
            response = self._send(description)
            answer: T = _decoded(description, response, response.content)
        elif isinstance(description, Upload):
            answer = self._upload(description)
        else:
            raise TypeError(f"not a call: {description!r}")
        return answer

    def find(self, description: Description[T]) -> T | None:
        """Send the described call and return its answer; None if it is a GET request answered with 404."""
        try:
            return self.run(description)
        except NotFound:
            if _reads(description):
                return None
            raise

    def each(self, description: Pages[T] | Lines[T]) -> Iterator[T]:
        """Yield the entries of all pages, or the decoded lines of a streamed answer."""
        if isinstance(description, Lines):
            yield from self._lines(description)
        else:
            request: Request[Any] | None = description.first
            while request is not None:
                entries, request = description.turn(self.run(request))
                yield from entries

    def _send(self, request: Request[Any], *, stream: bool = False) -> httpx.Response:
        attempt = 1
        while isinstance(outcome := self._attempt(request, stream=stream), RemembrancerError):
            wait = self._target.retries.wait_s(request, attempt, outcome)
            if wait is None:
                raise outcome
            time.sleep(wait)
            attempt += 1
        return outcome

    def _attempt(self, request: Request[Any], *, stream: bool) -> httpx.Response | RemembrancerError:
        try:
            with _translated(self._target.url):
                response = self.http.send(_built(self.http, request), stream=stream)
                if _accepted(request, response):
                    return response
                response.read()
                return _error(response)
        except Unreachable as error:
            return error

    def _lines(self, description: Lines[T]) -> Iterator[T]:
        response = self._send(description.request, stream=True)
        try:
            rest = b""
            with _translated(self._target.url):
                for chunk in response.iter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")  # not at other separators, which texts may contain
                    for line in lines:
                        yield _decoded(description.request, response, line)
            if rest:
                yield _decoded(description.request, response, rest)
        finally:
            response.close()

    def _upload(self, upload: Upload) -> Any:
        if not isinstance(upload.lines, Iterable):
            raise TypeError("an async iterable needs AsyncRemembrancer")
        for line in upload.lines:
            self._part(upload, upload.add(line))
        self._part(upload, upload.rest())
        return upload.result()

    def _part(self, upload: Upload, request: Request[Any] | None) -> None:
        if request is not None:
            try:
                upload.take(self.run(request))
            except RemembrancerError as error:
                raise upload.failed(error) from error


class AsyncConnection:
    """Sends calls to the service and returns their decoded answers, on asyncio."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.http = httpx.AsyncClient(**target.options())

    async def run(self, description: Description[T]) -> T:
        """Send the described call and return its answer. An `Upload` is sent in parts, whose results are added up."""
        if isinstance(description, Request):
            response = await self._send(description)
            answer: T = _decoded(description, response, response.content)
        elif isinstance(description, Upload):
            answer = await self._upload(description)
        else:
            raise TypeError(f"not a call: {description!r}")
        return answer

    async def find(self, description: Description[T]) -> T | None:
        """Send the described call and return its answer; None if it is a GET request answered with 404."""
        try:
            return await self.run(description)
        except NotFound:
            if _reads(description):
                return None
            raise

    async def each(self, description: Pages[T] | Lines[T]) -> AsyncIterator[T]:
        """Yield the entries of all pages, or the decoded lines of a streamed answer."""
        if isinstance(description, Lines):
            async for line in self._lines(description):
                yield line
        else:
            request: Request[Any] | None = description.first
            while request is not None:
                entries, request = description.turn(await self.run(request))
                for entry in entries:
                    yield entry

    async def _send(self, request: Request[Any], *, stream: bool = False) -> httpx.Response:
        attempt = 1
        while isinstance(outcome := await self._attempt(request, stream=stream), RemembrancerError):
            wait = self._target.retries.wait_s(request, attempt, outcome)
            if wait is None:
                raise outcome
            await asyncio.sleep(wait)
            attempt += 1
        return outcome

    async def _attempt(self, request: Request[Any], *, stream: bool) -> httpx.Response | RemembrancerError:
        try:
            with _translated(self._target.url):
                response = await self.http.send(_built(self.http, request), stream=stream)
                if _accepted(request, response):
                    return response
                await response.aread()
                return _error(response)
        except Unreachable as error:
            return error

    async def _lines(self, description: Lines[T]) -> AsyncIterator[T]:
        response = await self._send(description.request, stream=True)
        try:
            rest = b""
            with _translated(self._target.url):
                async for chunk in response.aiter_bytes():
                    *lines, rest = (rest + chunk).split(b"\n")  # not at other separators, which texts may contain
                    for line in lines:
                        yield _decoded(description.request, response, line)
            if rest:
                yield _decoded(description.request, response, rest)
        finally:
            await response.aclose()

    async def _upload(self, upload: Upload) -> Any:
        if isinstance(upload.lines, AsyncIterable):
            async for line in upload.lines:
                await self._part(upload, upload.add(line))
        else:
            for line in upload.lines:
                await self._part(upload, upload.add(line))
        await self._part(upload, upload.rest())
        return upload.result()

    async def _part(self, upload: Upload, request: Request[Any] | None) -> None:
        if request is not None:
            try:
                upload.take(await self.run(request))
            except RemembrancerError as error:
                raise upload.failed(error) from error


def _reads(description: Description[Any]) -> bool:
    """Whether the call is a GET request, whose 404 means that the entry does not exist."""
    return isinstance(description, Request) and description.method == "GET"


def _may_repeat(request: Request[Any], error: RemembrancerError) -> bool:
    if isinstance(error, Unreachable) and not error.sent:
        return True
    transient = isinstance(error, RateLimited | Unavailable | Unreachable)
    return transient and (request.repeatable or request.key is not None)


def _built(http: httpx.Client | httpx.AsyncClient, request: Request[Any]) -> httpx.Request:
    headers = {} if request.body is None else {"Content-Type": request.media_type}
    if request.key is not None:
        headers["Idempotency-Key"] = request.key
    query = _query(request.query)
    return http.build_request(request.method, request.path, params=query, content=request.body, headers=headers)


def _query(members: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Query parameters as text: booleans as `true` or `false`, times in ISO 8601. Omits members that are None."""
    texts: dict[str, str | list[str]] = {}
    for name, value in members.items():
        if isinstance(value, bool):
            texts[name] = str(value).lower()
        elif isinstance(value, datetime):
            texts[name] = value.isoformat()
        elif value is not None:
            texts[name] = str(value)
    return texts


def _accepted(request: Request[Any], response: httpx.Response) -> bool:
    return response.is_success or response.status_code in request.accepts


def _decoded(request: Request[T], response: httpx.Response, body: bytes) -> T:
    try:
        return msgspec.json.decode(body or b"null", type=request.answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"the answer to {request.method} {request.path} is not that of this API: {error}"
        raise UnexpectedAnswer(message, response.status_code) from error


def _error(response: httpx.Response) -> RemembrancerError:
    return problem(response.status_code, response.content, _retry_after(response.headers.get("retry-after")))


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, which is a number or a date; None if it is absent or malformed."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return None


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Context manager that raises httpx's connection errors as `Unreachable` or `TimedOut`. url: for the message."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Unreachable(f"{url} cannot be reached: {error}; is the service running there?", sent=False) from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{url} did not answer in time", sent=True) from error
    except httpx.RequestError as error:
        raise Unreachable(f"the connection to {url} broke: {error}", sent=True) from error
