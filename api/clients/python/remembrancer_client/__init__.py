"""A typed client of Remembrancer, the memory service for AI agents: sync and async.

with Remembrancer("http://127.0.0.1:8707", namespace="me") as memory:
    memory.remember("I drink my coffee black")
    print(memory.recall("how do I like my coffee?", budget=500).context)
"""

from remembrancer_client.client import AsyncRemembrancer, Remembrancer
from remembrancer_client.connection import Retries
from remembrancer_client.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Problem,
    RateLimited,
    RemembrancerError,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    UploadFailed,
)

__all__ = [
    "AsyncRemembrancer",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "Problem",
    "RateLimited",
    "Remembrancer",
    "RemembrancerError",
    "Retries",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "UploadFailed",
]
