"""The exceptions of the client.

RemembrancerError
├── Unreachable           the service cannot be reached, or the connection broke
│   └── TimedOut          it did not answer in time
├── UnexpectedAnswer      the answer is not one of this API: a proxy's page, a redirect, a body that cannot be read
├── UploadFailed          a part of an upload failed; `result` says what was done before it
└── Problem               the service refused the call and said why
    ├── InvalidRequest    400, 413, 422: the request has to be changed; `errors` names the fields
    ├── Unauthorized      401: no key, or an unknown one
    ├── Forbidden         403: the key's role or agent may not do this
    ├── NotFound          404: there is no such thing in this namespace
    ├── Conflict          409: another version is stored, or an idempotency key came with another body
    ├── RateLimited       429: too many calls; `retry_after` says when to try again
    └── Unavailable       502, 503, 504: a part of the service is away; `retry_after` says when to try again
"""

from __future__ import annotations

import msgspec

from remembrancer_client.answers.memories import UploadAnswer


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with a field. path: such as `items[3].importance`; empty for the whole body. got: what was sent."""

    path: str
    message: str
    got: object = None


class RemembrancerError(Exception):
    """Base of all exceptions of this package."""


class Unreachable(RemembrancerError):
    """The service cannot be reached, or the connection broke. sent: whether the request may have reached it."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class TimedOut(Unreachable):
    """The service did not answer in time; a write may have been done all the same."""


class UnexpectedAnswer(RemembrancerError):
    """The answer is not one of this API; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UploadFailed(RemembrancerError):
    """A part of an upload failed; `__cause__` is the error. result: what was done with the parts before it."""

    def __init__(self, message: str, result: UploadAnswer) -> None:
        super().__init__(message)
        self.result = result


class Problem(RemembrancerError):
    """An error that the service answered: an RFC 9457 problem document.

    status: the HTTP status. errors: what is wrong with single fields. retry_after: seconds, or None if none were named.
    current_version: version of the thread or workflow, after a version conflict.
    """

    def __init__(self, document: ProblemDocument, retry_after: float | None) -> None:
        faults = [f"{fault.path}: {fault.message}" for fault in document.errors if fault.path]
        lines = [document.detail or document.title, *(fault for fault in faults if fault not in document.detail)]
        super().__init__("\n  ".join(lines))
        self.status = document.status
        self.title = document.title
        self.detail = document.detail
        self.errors = document.errors
        self.current_version = document.current_version
        self.retry_after = retry_after


class InvalidRequest(Problem):
    """The request has to be changed; `errors` names the fields."""


class Unauthorized(Problem):
    """The call had no key, or an unknown one."""


class Forbidden(Problem):
    """The key's role does not allow the call, or the key is bound to other agents."""


class NotFound(Problem):
    """There is no such thing in this namespace."""


class Conflict(Problem):
    """The call contradicts what is stored: another version, or an idempotency key that came with another body."""


class RateLimited(Problem):
    """The key has made too many calls; `retry_after` says when to try again."""


class Unavailable(Problem):
    """A part of the service is away; `retry_after` says when to try again."""


class ProblemDocument(msgspec.Struct, frozen=True):
    """The body of an error answer."""

    status: int
    title: str = ""
    detail: str = ""
    errors: list[FieldError] = []
    current_version: int | None = None


_BY_STATUS: dict[int, type[Problem]] = {
    400: InvalidRequest,
    413: InvalidRequest,
    422: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem(status: int, body: bytes, retry_after: float | None) -> RemembrancerError:
    """The exception for an error answer with this status, body and Retry-After in seconds."""
    try:
        document = msgspec.json.decode(body, type=ProblemDocument)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if status not in (429, 502, 503, 504):  # a proxy answers these in its own form
            return UnexpectedAnswer(f"status {status} without a problem document; is it Remembrancer?", status)
        document = ProblemDocument(status, detail=f"status {status}")
    return _BY_STATUS.get(status, Problem)(document, retry_after)
