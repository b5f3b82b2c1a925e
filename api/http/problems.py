"""RFC 9457 problem documents: the table from domain errors to HTTP statuses, and the handler that
answers with them.

Pydantic's errors are reported in the caller's terms: path of the field in the request, reason, and
the value sent. Litestar's problem details plugin is not used: it has no place for field paths, and
redacts no secrets.
"""

from __future__ import annotations

import http
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from inspect import isclass
from typing import Any, Self, TypeVar, get_args
from urllib.parse import unquote

from litestar import Request, Response
from litestar.exceptions import HTTPException
from pydantic import BaseModel, ValidationError

from ingest.screening.redaction.scan import redact
from memtypes.config import message_of
from memtypes.model.errors import (
    AccessDenied,
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    RemembrancerError,
    StoreInUse,
    Unavailable,
    VersionConflict,
)
from memtypes.model.strict_json import MalformedJson
from retrieval.answer import Answer, OmittedIfNone

PROBLEM_JSON = "application/problem+json"
MAX_ERRORS = 20
"""Maximum number of field errors that one problem document lists."""

MAX_FIELD_ERRORS = 100
"""Maximum number of pydantic's errors about one request that are converted to field errors."""

MAX_QUOTED = 80
"""Maximum number of characters of an invalid value, or of a key in a path, that a problem document
quotes.
"""

_ModelT = TypeVar("_ModelT", bound=BaseModel)
_ABOUT_A_KEY = frozenset({"missing", "extra_forbidden"})

_log = logging.getLogger(__name__)


class FieldError(Answer):
    """An invalid field. path: such as `items[3].importance`; empty for the whole body. got: value
    sent, shortened.
    """

    path: str
    message: str
    got: OmittedIfNone[Any] = None


class InvalidInput(RemembrancerError):
    """The request has invalid fields. `errors` has an entry for each of them."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        first = errors[0]
        suffix = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(
            f"{first.path}: {first.message}{suffix}" if first.path else f"{first.message}{suffix}"
        )
        self.errors = tuple(errors)

    @classmethod
    def at(cls, path: str, message: str) -> Self:
        """An InvalidInput with one error: `message` about the field at `path`."""
        return cls([FieldError(path=path, message=message)])


class Unauthorized(RemembrancerError):
    """The request has no API key, or an unknown one. Answered with status 401."""


class Forbidden(RemembrancerError):
    """The API key's role may not do this, or a browser sent the call for a page of another site."""


class UnsupportedMedia(RemembrancerError):
    """The call does not support the media type or the compression of the request's body."""


class TooSlow(RemembrancerError):
    """The request's body did not arrive within the time limit."""


class TooMany(Overloaded):
    """The API key has exceeded its rate limit."""


STATUS: dict[type[RemembrancerError], int] = {
    MalformedJson: 400,
    Unauthorized: 401,
    AccessDenied: 403,
    Forbidden: 403,
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
"""HTTP status of each domain error, which also holds for subclasses. Any other error is a bug:
status 500.
"""

_HINTS = {
    404: "There is no such path; /docs lists the calls.",
    405: "This path does not support this method; the Allow header lists the supported ones.",
    413: (
        "The body is too large: the limit is 2 MiB, 4 MiB for a keyed item, or 32 MiB for "
        "a batch. Split it."
    ),
    500: "The service failed on this request; its log names the cause.",
}

_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 408: {"Connection": "close"}}


class ProblemAnswer(Answer):
    """An RFC 9457 problem document, the answer to a call that failed.

    instance: path of the call. errors: invalid fields of the request, if these are the reason.
    current_version: after a version conflict, the current version of the thread or workflow.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    current_version: OmittedIfNone[int] = None
    errors: OmittedIfNone[list[FieldError]] = None


def problem_of(error: Exception, path: str) -> ProblemAnswer:
    """The problem document for `error`, raised by a call to the URL path `path`, with secrets
    redacted.
    """
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    errors: Sequence[FieldError] = error.errors if isinstance(error, InvalidInput) else ()
    if isinstance(error, HTTPException):
        status = error.status_code
        detail = _HINTS.get(status, error.detail)
    elif isinstance(error, InvalidRequest | MalformedJson) and error.path:
        text = str(error)
        field = error.path.rpartition(".")[2]
        errors = [
            FieldError(path=error.path, message=text, got=quoted(getattr(error, "got", None)))
        ]
        detail = f"{error.path}: {text.removeprefix(f'{field}: ')}"
    else:
        detail = _HINTS[500] if status == 500 else str(error)
    title = http.HTTPStatus(status).phrase
    redacted = [
        FieldError(path=redact(fault.path), message=redact(fault.message), got=fault.got)
        for fault in errors[:MAX_ERRORS]
    ]
    return ProblemAnswer(
        type=f"urn:remembrancer:problem:{title.lower().replace(' ', '-')}",
        title=title,
        status=status,
        detail=redact(detail),
        instance=redact(path),
        current_version=error.current_version if isinstance(error, VersionConflict) else None,
        errors=redacted or None,
    )


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemAnswer]:
    """Litestar exception handler: the response for `error`. Errors with status 500 or more are
    logged.
    """
    # "path" lacks /mcp in what is mounted there
    path = request.scope["raw_path"].partition(b"?")[0].decode("latin-1")
    problem = problem_of(error, unquote(path))
    if problem.status >= 500:
        log_fault(_log, f"{request.method} {request.scope.get('path_template', '?')}", error)
    headers = _HEADERS.get(problem.status, {})
    if isinstance(error, HTTPException):
        headers = {name.title(): value for name, value in (error.headers or {}).items()}
    elif isinstance(error, Overloaded | Unavailable):
        headers = {"Retry-After": str(max(1, error.retry_after_s))}
    return Response(problem, status_code=problem.status, media_type=PROBLEM_JSON, headers=headers)


def log_fault(log: logging.Logger, call: str, error: Exception) -> None:
    """Log that `call` failed, by class names: messages may quote stored content. The debug log has
    the traceback.
    """
    names = type(error).__name__
    cause = error.__cause__
    while cause is not None:
        names = f"{names} <- {type(cause).__name__}"
        cause = cause.__cause__
    log.error("%s: %s", call, names)
    log.debug("traceback", exc_info=error)


def validated(model: type[_ModelT], value: object) -> _ModelT:
    """`value` validated as an instance of `model`. Raises InvalidInput with an entry for each
    invalid field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        failures = error.errors(include_url=False)[:MAX_FIELD_ERRORS]
        raise InvalidInput([_field_error(model, details, value) for details in failures]) from error


def _field_error(model: type[BaseModel], details: Mapping[str, Any], value: object) -> FieldError:
    steps = list(_real_steps(details["loc"], value, names_key=details["type"] in _ABOUT_A_KEY))
    message = message_of(details)
    got = None if details["type"] == "missing" else details["input"]
    if details["type"] == "union_tag_invalid":
        steps = [*steps, "type"]
        got = details["input"]["type"]
    if details["type"] == "extra_forbidden":
        *loc, name = details["loc"]
        fields = sorted(_known_fields(model, loc))
        similar = get_close_matches(str(name), fields, n=1)
        message += (
            f"; did you mean {similar[0]}?" if similar else f"; known are {', '.join(fields)}"
        )
    return FieldError(path=path_text(steps), message=message, got=quoted(got))


def _known_fields(kind: Any, loc: Sequence[str | int]) -> Iterator[str]:
    """Yield the names of the fields that the object at pydantic's error path `loc` in a value of
    type `kind` has.
    """
    fields = kind.model_fields if isclass(kind) and issubclass(kind, BaseModel) else {}
    if "root" in fields:
        yield from _known_fields(fields["root"].annotation, loc)
    elif fields and not loc:
        yield from (field.alias or name for name, field in fields.items())
    elif loc and loc[0] in fields:
        yield from _known_fields(fields[loc[0]].annotation, loc[1:])
    else:  # a list, or a union, whose branch pydantic names by its tag
        branches = get_args(kind)
        tagged = [
            branch
            for branch in branches
            if any(getattr(mark, "tag", None) in loc[:1] for mark in get_args(branch))
        ]
        inner = loc[1:] if tagged or (loc and isinstance(loc[0], int)) else loc
        for branch in tagged or branches:
            yield from _known_fields(branch, inner)


def _real_steps(loc: Iterable[str | int], value: object, *, names_key: bool) -> Iterable[str | int]:
    """The steps of pydantic's error path `loc` that are keys or indices of `value`, the validated
    input.

    The other steps are names of union branches, which pydantic adds. names_key: also keep the last
    step if it is a missing or forbidden key of an object.
    """
    steps = list(loc)
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(value, dict) and step in value:
            value = value[step]
            yield step
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else None
            yield step
        elif last and names_key and isinstance(value, dict):
            yield step


def path_text(steps: Iterable[str | int]) -> str:
    """The path of a field as text, such as `items[3].importance`. steps: keys and indices, the
    outermost first.
    """
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{str(step)[:MAX_QUOTED]}"
    return _encodable(text.removeprefix("."))


def quoted(value: object) -> Any:
    """`value` as a problem document quotes it: texts redacted and shortened, lists and objects as
    their size.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if isinstance(value, int) and abs(value) < 2**53 else _cut(str(value))
    if isinstance(value, dict):
        return f"an object with {len(value)} fields"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return _cut(str(value))


def _cut(text: str) -> str:
    text = redact(text)  # before cutting: half a secret is not recognised
    short = text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}... ({len(text)} characters)"
    return _encodable(short)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
