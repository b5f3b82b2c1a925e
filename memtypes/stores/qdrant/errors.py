"""The Qdrant client's errors, translated once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from memtypes.model.errors import InvalidRequest, RemembrancerError, Unavailable


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Let the client's errors out as ours; every text names the server."""
    try:
        yield
    except UnexpectedResponse as error:
        raise _refused(url, error) from error
    except ResponseHandlingException as error:
        raise _unreached(url, error.source) from error
    except (json.JSONDecodeError, AssertionError) as error:  # how the client says that an answer is not what it expects
        raise _unreached(url, error) from error
    except ResourceExhaustedResponse as error:
        wait = max(1, math.ceil(error.retry_after_s))
        raise Unavailable(f"the Qdrant server at {url} asks for a pause", retry_after_s=wait) from error


@contextmanager
def tolerated_conflict() -> Iterator[None]:
    """Let it pass that what should be made exists already."""
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code != 409:
            raise


def _refused(url: str, error: UnexpectedResponse) -> RemembrancerError:
    code = error.status_code
    if code in (401, 403):
        return Unavailable(f"the Qdrant server at {url} refused the API key ({code}); set the server's key")
    if code in (400, 422):
        return InvalidRequest(f"the Qdrant server at {url} refused the request: {_said(error)}")
    return Unavailable(f"the Qdrant server at {url} answered {code}: {_said(error)}")


def _unreached(url: str, cause: Exception) -> Unavailable:
    if isinstance(cause, httpx.TimeoutException):
        return Unavailable(f"the Qdrant server at {url} did not answer in time")
    if isinstance(cause, httpx.TransportError):
        return Unavailable(f"the Qdrant server at {url} can't be reached: {cause}")
    return Unavailable(f"the answer of the server at {url} is not Qdrant's: {cause}")


def _said(error: UnexpectedResponse) -> str:
    return error.content[:200].decode("utf-8", "replace").strip() or error.reason_phrase
