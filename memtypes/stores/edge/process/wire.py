"""Messages between a client and the engine process: each is its length in four bytes, then MessagePack.

Vectors are sent as raw bytes, so a message costs little more than a copy. Uses neither sockets nor the engine.
"""

from __future__ import annotations

import asyncio
from typing import Any, Union

import msgspec

from memtypes.model import errors
from memtypes.stores.operations import items, reads, searching, writes
from memtypes.stores.operations.messages import EngineRequest, Request, encode_into

PROTOCOL = 12
"""Version of the messages: incremented on every change of their format, so that other versions are refused."""

MAX_MESSAGE = 1 << 30
_LENGTH = 4


class Hello(Request[None], frozen=True, kw_only=True, tag=True):
    """Asks whether the engine answers: the first request on a connection, and a ping later."""


class RewriteShards(Request[int], frozen=True, kw_only=True, tag=True):
    """Rewrite, in the background, the shards that contain bytes deleted by the time `removed_by`, in nanoseconds.

    The answer is the number of shards still to rewrite; repeat the request to follow the progress.
    """

    removed_by: int


_DEFINED = [member for module in (reads, writes, searching, items) for member in vars(module).values()]
_ENGINE_REQUESTS = [each for each in _DEFINED if isinstance(each, type) and issubclass(each, EngineRequest)]

ANY_REQUEST: Any = Union[Hello, RewriteShards, *_ENGINE_REQUESTS]
"""The type of every request, for decoding one."""


class Call(msgspec.Struct, frozen=True, array_like=True):
    """What a client sends: a number and an encoded request. The reply has the same number."""

    number: int
    request: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """An error of this program as sent to a client: class name, message, and `path` of an InvalidRequest."""

    kind: str
    message: str
    path: str = ""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What the engine sends back: the call's number, and the encoded answer or the failure."""

    number: int
    answer: msgspec.Raw = msgspec.Raw(msgspec.msgpack.encode(None))
    failure: Failure | None = None


_ERRORS = (errors.NotFound, errors.Conflict, errors.Unavailable, errors.StoreInUse)


def failure_of(error: errors.RemembrancerError | OSError) -> Failure:
    """`error` as a failure that can be sent."""
    return Failure(type(error).__name__, str(error), getattr(error, "path", ""))


def error_of(failure: Failure) -> errors.RemembrancerError:
    """The error to raise for a received failure; Unavailable for an unknown class name."""
    if failure.kind == errors.InvalidRequest.__name__:
        return errors.InvalidRequest(failure.message, path=failure.path)
    kind = next((kind for kind in _ERRORS if kind.__name__ == failure.kind), errors.Unavailable)
    return kind(failure.message)


def framed(message: object) -> bytearray:
    """`message` encoded, with its length in front. Raises InvalidRequest for a message over MAX_MESSAGE bytes."""
    frame = bytearray(_LENGTH)
    encode_into(message, frame, _LENGTH)
    length = len(frame) - _LENGTH
    if length > MAX_MESSAGE:
        raise errors.InvalidRequest(f"a message of {length} bytes is too large for the embedded engine")
    frame[:_LENGTH] = length.to_bytes(_LENGTH, "big")
    return frame


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """The next message from `reader`. Raises IncompleteReadError at the end, ValueError if over MAX_MESSAGE bytes."""
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > MAX_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    return await reader.readexactly(length)
