"""Errors as RFC 9457 problems: the table from domain errors to statuses, and the exception handler that uses it.

Litestar's problem details plugin has no place for the paths of fields and the redaction of what a problem quotes.
"""

from __future__ import annotations

import http
import logging
from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from pydantic import BaseModel

from api.http.validation import FieldError, InvalidInput, shown
from ingest.screening.redaction.scan import redact
from memtypes.model.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    ReadOnly,
    RemembrancerError,
    StoreInUse,
    Unavailable,
    VersionConflict,
)
from memtypes.model.strict_json import MalformedJson

PROBLEM_JSON = "application/problem+json"
MAX_ERRORS = 20

_log = logging.getLogger(__name__)


class Unauthorized(RemembrancerError):
    """The request has no key, or an unknown one."""


class Forbidden(RemembrancerError):
    """The role of the key is not enough, or the call comes from another site's page."""


class UnsupportedMedia(RemembrancerError):
    """The media type or encoding of the body is not supported by this call."""


class TooSlow(RemembrancerError):
    """The body did not arrive in time."""


class TooMany(Overloaded):
    """The key has exceeded its rate limit."""


STATUS: dict[type[RemembrancerError], int] = {
    MalformedJson: 400,
    Unauthorized: 401,
    Forbidden: 403,
    ReadOnly: 403,
    NotFound: 404,
    TooSlow: 408,
    Conflict: 409,
    StoreInUse: 409,
    UnsupportedMedia: 415,
    InvalidInput: 422,
    InvalidRequest: 422,
    TooMany: 429,
    Overloaded: 429,
    Unavailable: 503,
}
"""Any other domain error is a bug of the service: 500."""

_HINTS = {
    404: "There is no such path; /docs lists the calls.",
    405: "This path does not support this method; the Allow header lists the supported ones.",
    413: "The body is too large: the limit is 2 MiB, or 32 MiB for a batch. Split it.",
    500: "The service failed on this request; its log names the cause.",
}


_BY_STATUS = {401: {"WWW-Authenticate": "Bearer"}, 408: {"Connection": "close"}}


class ProblemField(BaseModel):
    """An invalid field: its path, the reason, and the value that was sent."""

    path: str
    message: str
    got: Any = None


class ProblemAnswer(BaseModel):
    """An RFC 9457 problem. current_version: of what an expected version did not match."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    current_version: int | None = None
    errors: list[ProblemField] | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is answered."""

    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    current_version: int | None = None

    def body(self, instance: str) -> bytes:
        """The problem as JSON, redacted because it quotes the request. instance: the path of the call."""
        title = http.HTTPStatus(self.status).phrase
        members: dict[str, Any] = {
            "type": f"urn:remembrancer:problem:{title.lower().replace(' ', '-')}",
            "title": title,
            "status": self.status,
            "detail": redact(self.detail),
            "instance": redact(instance),
        }
        if self.current_version is not None:
            members["current_version"] = self.current_version
        if self.errors:
            members["errors"] = [error.members() for error in self.errors[:MAX_ERRORS]]
        return msgspec.json.encode(members)


def problem_of(error: Exception) -> Problem:
    """The problem for `error`. An unexpected error is a plain 500 that reveals nothing."""
    if isinstance(error, HTTPException):
        return _http_problem(error)
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    if status == 500:
        return Problem(500, _HINTS[500])
    version = error.current_version if isinstance(error, VersionConflict) else None
    return Problem(status, _detail(error), _field_errors(error), _headers(error, status), version)


def _http_problem(error: HTTPException) -> Problem:
    status = error.status_code
    headers = {name.title(): value for name, value in (error.headers or {}).items()}
    return Problem(status, _HINTS.get(status, error.detail), (), headers)


def _detail(error: Exception) -> str:
    """The error's message, preceded by its path where the error has one."""
    path, text = getattr(error, "path", ""), str(error)
    field = path.rpartition(".")[2]
    return f"{path}: {text.removeprefix(f'{field}: ')}" if path else text


def _field_errors(error: Exception) -> tuple[FieldError, ...]:
    if isinstance(error, InvalidInput):
        return error.errors
    path = getattr(error, "path", "")
    if not path:
        return ()
    got = getattr(error, "got", None)
    return (FieldError(path, str(error), None if got is None else shown(got)),)


def _headers(error: Exception, status: int) -> dict[str, str]:
    if isinstance(error, Overloaded | Unavailable):
        return {"Retry-After": str(max(1, error.retry_after_s))}
    return _BY_STATUS.get(status, {})


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The response for an error that a handler or the routing raised: Litestar's exception handler."""
    problem = problem_of(error)
    if problem.status >= 500:
        cause = "".join(f" <- {type(link).__name__}" for link in _causes(error))
        # Only class names: the message of an error may quote stored content.
        _log.error("%s %s: %s%s", request.method, _template(request), type(error).__name__, cause)
        _log.debug("traceback", exc_info=error)
    return Response(
        problem.body(request.scope["path"]),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=problem.headers,
    )


def _causes(error: BaseException) -> list[BaseException]:
    causes = []
    while (cause := error.__cause__) is not None:
        causes.append(cause)
        error = cause
    return causes


def _template(request: Request[Any, Any, Any]) -> str:
    return str(request.scope.get("path_template", "?"))
