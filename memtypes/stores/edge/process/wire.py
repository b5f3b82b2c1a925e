"""Messages between a client and the engine process: a length in four bytes, then MessagePack, with
arrays as bytes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Union

import msgspec

from memtypes.model import errors
from memtypes.stores.operations import items, reads, searching, writes
from memtypes.stores.operations.messages import EngineRequest, Request, encode_into

PROTOCOL = 15
"""Version of the message format. Increase it with every change, so that engines of other versions
are refused.
"""

MAX_MESSAGE = 1 << 30
_LENGTH = 4


class Hello(Request[None], frozen=True, kw_only=True, tag=True):
    """Check that the engine process answers. It is sent first on every connection, and later as a
    ping.
    """


class RewriteShards(Request[int], frozen=True, kw_only=True, tag=True):
    """Start to rewrite the shards that contain bytes of points removed until `removed_by` (a
    `time.time_ns`).

    The engine answers at once, with the number of such shards, and rewrites them in the background.
    """

    removed_by: int


_MEMBERS = [
    member for module in (reads, writes, searching, items) for member in vars(module).values()
]
_ENGINE_REQUESTS = [
    member for member in _MEMBERS if isinstance(member, type) and issubclass(member, EngineRequest)
]

ANY_REQUEST: Any = Union[Hello, RewriteShards, *_ENGINE_REQUESTS]
"""The union of all request classes, for decoding a request."""


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A message from a client: an encoded request, and a number that its reply repeats."""

    number: int
    request: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """An error as sent to a client. kind: the name of its class. path: the invalid field of an
    InvalidRequest.
    """

    kind: str
    message: str
    path: str = ""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """A message from the engine process: the number of the call, and either the encoded answer or a
    failure.
    """

    number: int
    answer: msgspec.Raw = msgspec.Raw(msgspec.msgpack.encode(None))
    failure: Failure | None = None


_ERRORS = (errors.NotFound, errors.Conflict, errors.Unavailable, errors.StoreInUse)


def failure_of(error: errors.RemembrancerError | OSError) -> Failure:
    """`error` as a Failure, which can be sent to a client."""
    return Failure(type(error).__name__, str(error), getattr(error, "path", ""))


def error_of(failure: Failure) -> errors.RemembrancerError:
    """The error that a received Failure stands for. It is Unavailable if the name of the class is
    unknown.
    """
    if failure.kind == errors.InvalidRequest.__name__:
        return errors.InvalidRequest(failure.message, path=failure.path)
    kind = next((kind for kind in _ERRORS if kind.__name__ == failure.kind), errors.Unavailable)
    return kind(failure.message)


def frame(message: object) -> bytearray:
    """Encode `message` with its length in front. Raises InvalidRequest if it has over MAX_MESSAGE
    bytes.
    """
    buffer = bytearray(_LENGTH)
    encode_into(message, buffer, _LENGTH)
    length = len(buffer) - _LENGTH
    if length > MAX_MESSAGE:
        raise errors.InvalidRequest(
            f"the request has {length} bytes, and the embedded engine takes at most "
            f"{MAX_MESSAGE}; send fewer memories"
        )
    buffer[:_LENGTH] = length.to_bytes(_LENGTH, "big")
    return buffer


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Read the next message. Raises IncompleteReadError at the end, ValueError if it has over
    MAX_MESSAGE bytes.
    """
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > MAX_MESSAGE:
        raise ValueError(f"a message of {length} bytes; at most {MAX_MESSAGE} are allowed")
    return await reader.readexactly(length)
