"""The exceptions of the client.

RemembrancerError
├── Unreachable           the service cannot be reached, or the connection broke
│   └── TimedOut          the service did not answer in time
├── UnexpectedAnswer      the answer is not from this API, such as a proxy's page or a redirect
├── UploadFailed          a part of an upload failed; `result` has the results of earlier parts
└── Problem               the service refused the call and said why
    ├── InvalidRequest    400, 413, 422: the request has to be changed; `errors` names the fields
    ├── Unauthorized      401: the API key is missing or unknown
    ├── Forbidden         403: the key's role or agent may not do this
    ├── NotFound          404: the namespace has no memory, thread or other entry with this id
    ├── Conflict          409: another version is stored, or the idempotency key has another body
    ├── RateLimited       429: too many calls; `retry_after` says when to try again
    └── Unavailable       502, 503, 504: a part of the service is away; `retry_after` as above
"""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from remembrancer_client.request import UploadAnswer


class FieldError(msgspec.Struct, frozen=True):
    """An error in one field of a request. got: the value that was sent.

    path: the field's place in the request, such as `items[3].importance`; empty if the error is in
    the whole body.
    """

    path: str
    message: str
    got: object = None


class RemembrancerError(Exception):
    """Base of all exceptions of this package."""


class Unreachable(RemembrancerError):
    """The service cannot be reached, or the connection broke. sent: whether the request may have
    reached it.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class TimedOut(Unreachable):
    """The service did not answer in time. If the request was a write, it may have been carried
    out.
    """


class UnexpectedAnswer(RemembrancerError):
    """The answer is not from this API, such as a proxy's page or a redirect. status: its HTTP
    status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UploadFailed(RemembrancerError):
    """A part of an upload failed. `__cause__`: the part's error. result: results of the parts sent
    before it.
    """

    def __init__(self, message: str, result: UploadAnswer) -> None:
        super().__init__(message)
        self.result = result


class Problem(RemembrancerError):
    """The service refused the call and answered with an RFC 9457 problem document.

    status: the HTTP status. errors: errors in single fields. retry_after: seconds to wait before
    the next attempt; None if the answer has no Retry-After header. current_version: after a version
    conflict, the stored version of the thread or workflow.
    """

    def __init__(self, document: ProblemDocument, retry_after: float | None) -> None:
        faults = [f"{fault.path}: {fault.message}" for fault in document.errors if fault.path]
        # The detail of a single fault repeats it
        others = [fault for fault in faults if fault not in document.detail]
        super().__init__("\n  ".join([document.detail or document.title, *others]))
        self.status = document.status
        self.title = document.title
        self.detail = document.detail
        self.errors = document.errors
        self.current_version = document.current_version
        self.retry_after = retry_after


class InvalidRequest(Problem):
    """The request is malformed and has to be changed. `errors` names the fields."""


class Unauthorized(Problem):
    """The API key of the call is missing or unknown."""


class Forbidden(Problem):
    """The API key's role does not allow the call, or the key is bound to other agents."""


class NotFound(Problem):
    """The namespace has no memory, thread or other entry with this id or key."""


class Conflict(Problem):
    """The call conflicts with stored data, such as a newer version or an idempotency key used with
    another body.
    """


class RateLimited(Problem):
    """The API key has made too many calls. `retry_after` has the seconds to wait."""


class Unavailable(Problem):
    """A part of the service, such as its store, does not respond. `retry_after` has the seconds to
    wait.
    """


class ProblemDocument(msgspec.Struct, frozen=True):
    """The body of an error answer: an RFC 9457 problem document."""

    status: int
    title: str = ""
    detail: str = ""
    errors: list[FieldError] = []
    current_version: int | None = None


_BY_STATUS: dict[int, type[Problem]] = {
    **dict.fromkeys((400, 413, 422), InvalidRequest),
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
    **dict.fromkeys((502, 503, 504), Unavailable),
}


def problem(response: httpx.Response) -> RemembrancerError:
    """The exception for an error response, whose body must have been read."""
    status = response.status_code
    try:
        document = msgspec.json.decode(response.content, type=ProblemDocument)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if status not in (429, 502, 503, 504):  # a proxy answers these in its own form
            return UnexpectedAnswer(
                f"{response.url} answered {status} without a problem document; is it Remembrancer?",
                status,
            )
        document = ProblemDocument(status, detail=f"status {status}")
    return _BY_STATUS.get(status, Problem)(
        document, _retry_after(response.headers.get("retry-after"))
    )


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, which is a number or a date; None if it is absent or
    malformed.
    """
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        wait = parsedate_to_datetime(header) - datetime.now(timezone.utc)
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())
