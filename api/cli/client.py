"""HTTP client with which commands call a running service. Calls have timeouts, and error answers
become exceptions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from memtypes.config import message_of
from memtypes.model.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    RemembrancerError,
    Unavailable,
)

TIMEOUT = httpx.Timeout(10.0, read=120.0)
"""Timeouts of a call. The read timeout is long, because a batch of 1,000 texts is embedded before
it is answered.
"""

PROBE_S = 2.0
PROBLEM_JSON = "application/problem+json"
"""Media type of the service's error answers (RFC 9457)."""

_T = TypeVar("_T")


class Refused(RemembrancerError):
    """The service refused the call because the API key is unknown or missing, or its role is too
    low.
    """


class ServiceFault(RemembrancerError):
    """The service answered with an unexpected status, or another program answered, whose JSON has
    another form.
    """


_ERRORS: dict[int, type[RemembrancerError]] = {
    400: InvalidRequest,
    413: InvalidRequest,
    422: InvalidRequest,
    401: Refused,
    403: Refused,
    404: NotFound,
    409: Conflict,
    429: Overloaded,
    503: Unavailable,
}


class _FieldError(BaseModel):
    path: str
    message: str


class _Problem(BaseModel):
    detail: str
    errors: list[_FieldError] = []


class _Total(BaseModel):
    count: int


class ApiClient:
    """Calls one service with one API key and returns its JSON answers. Error answers raise a
    RemembrancerError.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, key: str | None, transport: httpx.AsyncBaseTransport | None = None
    ) -> AsyncIterator[ApiClient]:
        """Context manager that yields a client of the service at `url` and closes it at the end.

        key: API key to send; None for a service without keys. transport: replaces the network, such
        as by an application in this process. Raises InvalidRequest for a malformed key or URL.
        """
        check_key(key)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with _translated(url):
            http = httpx.AsyncClient(
                base_url=url, headers=headers, timeout=TIMEOUT, transport=transport
            )
        async with http:
            yield cls(http)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that the service answers to GET `path`. query: query parameters."""
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: object) -> dict[str, Any]:
        """The JSON object that the service answers to POST `path`. body: sent as JSON."""
        return await self._call("POST", path, json=body)

    async def patch(self, path: str, query: Mapping[str, str], body: object) -> dict[str, Any]:
        """The JSON object that the service answers to PATCH `path`. query: query parameters. body:
        sent as JSON.
        """
        return await self._call("PATCH", path, params=query, json=body)

    async def delete(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """The JSON object that the service answers to DELETE `path`. query: query parameters."""
        return await self._call("DELETE", path, params=query)

    async def is_empty(self, namespace: str) -> bool:
        """Whether a namespace has no memories, by the service's count."""
        stats = await self.get("/v1/stats", {"namespace": namespace})
        return not self.parsed(stats.get("total"), _Total).count

    async def post_all(self, path: str, body: object, shape: type[_T], count: int) -> list[_T]:
        """The `results` in the service's answer to POST `path`, one of the type `shape` for each of
        `count` texts.
        """
        answer = await self.post(path, body)
        results = self.parsed(answer.get("results"), list[shape])  # type: ignore[valid-type]
        if len(results) != count:
            raise ServiceFault(self._not_ours(f"{len(results)} results for {count} texts"))
        return results

    def parsed(self, answer: object, shape: type[_T]) -> _T:
        """An answer of the service, or a part of one, as an object of the type `shape`.

        Raises ServiceFault if it lacks a member of `shape` or has one of another type: another
        program answered.
        """
        try:
            return TypeAdapter(shape).validate_python(answer)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(map(str, first["loc"]))
            fault = f"{path}: {message_of(first)}" if path else message_of(first)
            raise ServiceFault(self._not_ours(f"JSON of another form ({fault})")) from error

    def _not_ours(self, answer: str) -> str:
        url = str(self._http.base_url).rstrip("/")
        return f"{url} answered {answer}: check that a Remembrancer service runs at this URL"

    async def _call(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        with _translated(str(self._http.base_url)):
            try:
                request = self._http.build_request(method, path, **sent)
            except UnicodeError:
                raise InvalidRequest(
                    "a text of the request is not valid Unicode; give it in UTF-8"
                ) from None
            except ValueError:
                raise InvalidRequest(
                    "a number of the request is NaN or infinite; give a finite one"
                ) from None
            response = await self._http.send(request)
        try:
            members = self.parsed(from_json(response.content, allow_inf_nan=False), dict[str, Any])
        except ValueError as error:
            raise ServiceFault(
                self._not_ours(f"{response.status_code} without readable JSON")
            ) from error
        # Readiness answers 503 with its checks, which the caller reads.
        if response.is_success or (
            response.status_code == httpx.codes.SERVICE_UNAVAILABLE and "checks" in members
        ):
            return members
        if not response.headers.get("content-type", "").startswith(PROBLEM_JSON):
            raise ServiceFault(self._not_ours(f"{response.status_code} without a problem document"))
        raise _error(response, self.parsed(members, _Problem))


def check_key(key: str | None) -> None:
    """Raise InvalidRequest if the API key cannot be sent in an HTTP header. The message does not
    show the key.
    """
    if key is not None and (not key.isascii() or not key.isprintable() or not key.strip()):
        raise InvalidRequest(
            "--key or REMEMBRANCER_KEY must have printable ASCII characters only", path="key"
        )


def is_live(url: str) -> bool:
    """Whether a service answers at `url` within PROBE_S seconds."""
    try:
        return httpx.get(f"{url}/health/live", timeout=PROBE_S).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _error(response: httpx.Response, problem: _Problem) -> RemembrancerError:
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return Refused(
            "the service needs a key that it knows; give one with --key or as REMEMBRANCER_KEY"
        )
    faults = [f"{error.path}: {error.message}" for error in problem.errors if error.path]
    text = "\n  ".join(
        [problem.detail, *(fault for fault in faults if fault not in problem.detail)]
    )
    kind = _ERRORS.get(response.status_code, ServiceFault)
    wait = response.headers.get("retry-after", "")
    if wait.isdecimal() and issubclass(kind, Overloaded | Unavailable):
        return kind(text, retry_after_s=int(wait))
    return kind(text)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InvalidRequest(f"--url {url}: {error}") from error
    except httpx.TimeoutException as error:
        raise Unavailable(f"{url} did not answer in time") from error
    except httpx.TransportError as error:
        raise Unavailable(
            f"{url} cannot be reached: {error}; is a service running there?"
        ) from error
