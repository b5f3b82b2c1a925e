"""The sync and the async connection, which send the requests of the module `request` and decode the
answers.

If the service cannot be connected to, every request is sent again. After status 429, 502, 503 or
504 or a broken connection, only requests that are repeatable or have an idempotency key are sent
again. The wait before the next attempt is that of the Retry-After header, or else a random time
that grows with each attempt.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import httpx
import msgspec

from remembrancer_client.errors import (
    NotFound,
    Problem,
    RateLimited,
    RemembrancerError,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UploadFailed,
    problem,
)
from remembrancer_client.request import Description, Lines, Pages, Request, Upload

T = TypeVar("T")
VERSION = "0.1.0"

_KEY = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class Retries:
    """When a failed call is sent again. attempts: maximum number of times that a call is sent, the
    first one included.

    longest_wait_s: seconds; a call that would have to wait longer before its next attempt is not
    sent again.
    """

    attempts: int = 4
    longest_wait_s: float = 60.0

    def wait_s(self, request: Request[Any], attempt: int, error: RemembrancerError) -> float | None:
        """Seconds to wait before `request` is sent again; None to give up. attempt: number of
        attempts so far.
        """
        unsent = isinstance(error, Unreachable) and not error.sent
        transient = isinstance(error, RateLimited | Unavailable | Unreachable)
        repeatable = request.repeatable or request.key is not None
        may_repeat = unsent or (transient and repeatable)
        if attempt >= self.attempts or not may_repeat:
            return None
        wait = error.retry_after if isinstance(error, Problem) else None
        if wait is None:
            # At random, so that clients that failed together do not come back together
            wait = random.uniform(0.5, 1.0) * min(0.2 * 2**attempt, 5.0)  # noqa: S311
        return wait if wait <= self.longest_wait_s else None


@dataclass(frozen=True)
class Target:
    """The service to call. key: API key, None to send no key. timeout: in seconds, or an
    `httpx.Timeout`.

    transport: replaces httpx's transport, such as for a Unix socket or for an application in the
    same process.
    """

    url: str
    key: str | None = field(repr=False)
    timeout: float | httpx.Timeout
    retries: Retries
    transport: Any = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments for `httpx.Client`. Raises ValueError if the URL or the key is
        malformed.
        """
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(
                f"not the URL of a service: {self.url!r}; it begins with http:// or https://"
            )
        headers = {"User-Agent": f"remembrancer-client/{VERSION}"}
        if self.key:
            if not _KEY.fullmatch(self.key):
                raise ValueError(
                    "not an API key: it has a space, a line break or a character outside ASCII"
                )
            headers["Authorization"] = f"Bearer {self.key}"
        return {
            "base_url": self.url,
            "headers": headers,
            "timeout": self.timeout,
            "transport": self.transport,
        }


class Connection:
    """Sends calls to the service and returns their decoded answers."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.http = httpx.Client(**target.options())

    def run(self, description: Description[T]) -> T:
        """Send the described call and return its answer. An `Upload` is sent in parts, whose
        results are added up.
        """
        if isinstance(description, Upload):
            answer: T = self._upload(description)
            return answer
        response = self._send(description)
        return _decoded(description, response, response.content)

    def find(self, description: Description[T]) -> T | None:
        """Send the described call and return its answer; None if it is a GET request answered with
        404.
        """
        try:
            return self.run(description)
        except NotFound:
            if isinstance(description, Request) and description.method == "GET":
                return None
            raise

    def each(self, description: Pages[T] | Lines[T]) -> Iterator[T]:
        """Yield the entries of all pages, or the decoded lines of a streamed answer."""
        if isinstance(description, Lines):
            yield from self._lines(description)
        else:
            request: Request[Any] | None = description.first
            while request is not None:
                entries, request = description.read(self.run(request))
                yield from entries

    def _send(self, request: Request[Any], *, stream: bool = False) -> httpx.Response:
        attempt = 1
        while True:
            try:
                with _translated(self._target.url):
                    response = self.http.send(_built(self.http, request), stream=stream)
                    if response.is_success or response.status_code in request.accepts:
                        return response
                    response.read()
                raise problem(response)
            except RemembrancerError as error:
                wait = self._target.retries.wait_s(request, attempt, error)
                if wait is None:
                    raise
            time.sleep(wait)
            attempt += 1

    def _lines(self, description: Lines[T]) -> Iterator[T]:
        response = self._send(description.request, stream=True)
        try:
            tail = b""
            with _translated(self._target.url):
                for chunk in response.iter_bytes():
                    # Only at line feeds, because texts may contain other separators
                    *lines, tail = (tail + chunk).split(b"\n")
                    for line in lines:
                        yield _decoded(description.request, response, line)
            if tail:
                yield _decoded(description.request, response, tail)
        finally:
            response.close()

    def _upload(self, upload: Upload) -> Any:
        if not isinstance(upload.lines, Iterable):
            raise TypeError("an async iterable needs AsyncRemembrancer")
        for line in upload.lines:
            self._send_part(upload, upload.add(line))
        self._send_part(upload, upload.remaining())
        return upload.result()

    def _send_part(self, upload: Upload, request: Request[Any] | None) -> None:
        if request is not None:
            try:
                upload.add_answer(self.run(request))
            except RemembrancerError as error:
                raise _upload_failed(upload, error) from error


class AsyncConnection:
    """Sends calls to the service and returns their decoded answers, on asyncio."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.http = httpx.AsyncClient(**target.options())

    async def run(self, description: Description[T]) -> T:
        """Send the described call and return its answer. An `Upload` is sent in parts, whose
        results are added up.
        """
        if isinstance(description, Upload):
            answer: T = await self._upload(description)
            return answer
        response = await self._send(description)
        return _decoded(description, response, response.content)

    async def find(self, description: Description[T]) -> T | None:
        """Send the described call and return its answer; None if it is a GET request answered with
        404.
        """
        try:
            return await self.run(description)
        except NotFound:
            if isinstance(description, Request) and description.method == "GET":
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
                entries, request = description.read(await self.run(request))
                for entry in entries:
                    yield entry

    async def _send(self, request: Request[Any], *, stream: bool = False) -> httpx.Response:
        attempt = 1
        while True:
            try:
                with _translated(self._target.url):
                    response = await self.http.send(_built(self.http, request), stream=stream)
                    if response.is_success or response.status_code in request.accepts:
                        return response
                    await response.aread()
                raise problem(response)
            except RemembrancerError as error:
                wait = self._target.retries.wait_s(request, attempt, error)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            attempt += 1

    async def _lines(self, description: Lines[T]) -> AsyncIterator[T]:
        response = await self._send(description.request, stream=True)
        try:
            tail = b""
            with _translated(self._target.url):
                async for chunk in response.aiter_bytes():
                    # Only at line feeds, because texts may contain other separators
                    *lines, tail = (tail + chunk).split(b"\n")
                    for line in lines:
                        yield _decoded(description.request, response, line)
            if tail:
                yield _decoded(description.request, response, tail)
        finally:
            await response.aclose()

    async def _upload(self, upload: Upload) -> Any:
        if isinstance(upload.lines, AsyncIterable):
            async for line in upload.lines:
                await self._send_part(upload, upload.add(line))
        else:
            for line in upload.lines:
                await self._send_part(upload, upload.add(line))
        await self._send_part(upload, upload.remaining())
        return upload.result()

    async def _send_part(self, upload: Upload, request: Request[Any] | None) -> None:
        if request is not None:
            try:
                upload.add_answer(await self.run(request))
            except RemembrancerError as error:
                raise _upload_failed(upload, error) from error


def _built(http: httpx.Client | httpx.AsyncClient, request: Request[Any]) -> httpx.Request:
    headers = {} if request.body is None else {"Content-Type": request.media_type}
    if request.key is not None:
        headers["Idempotency-Key"] = request.key
    query = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in request.query.items()
        if value is not None
    }
    return http.build_request(
        request.method, request.path, params=query, content=request.body, headers=headers
    )


def _decoded(request: Request[T], response: httpx.Response, body: bytes) -> T:
    try:
        return msgspec.json.decode(body or b"null", type=request.answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = (
            f"{response.url} answered in another form than this API ({error}); is it Remembrancer?"
        )
        raise UnexpectedAnswer(message, response.status_code) from error


def _upload_failed(upload: Upload, error: RemembrancerError) -> UploadFailed:
    return UploadFailed(f"after {upload.sent} lines: {error}", upload.result())


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Context manager that raises httpx's connection errors as `Unreachable` or `TimedOut`. url:
    for the message.
    """
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Unreachable(
            f"{url} cannot be reached: {error}; is the service running there?", sent=False
        ) from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{url} did not answer in time", sent=True) from error
    except httpx.RequestError as error:
        raise Unreachable(f"the connection to {url} broke: {error}", sent=True) from error
