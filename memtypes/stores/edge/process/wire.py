"""Messages between a client and the engine process: the length in four bytes, then MessagePack, arrays as raw bytes."""

from __future__ import annotations

import asyncio
from typing import Any, Union

import msgspec

from memtypes.model import errors
from memtypes.stores.operations import items, reads, searching, writes
from memtypes.stores.operations.messages import EngineRequest, Request, encode_into

PROTOCOL = 14
"""Version of the message format. It must be increased with every change, so that other versions are refused."""

MAX_MESSAGE = 1 << 30
_LENGTH = 4


class Hello(Request[None], frozen=True, kw_only=True, tag=True):
    """Asks whether the engine process answers. Sent first on every connection, and later as a ping."""


class RewriteShards(Request[int], frozen=True, kw_only=True, tag=True):
    """Rewrite, in the background, the shards that contain bytes of points removed until `removed_by` (`time.time_ns`).

    The answer, given at once, is the number of such shards.
    """

    removed_by: int


_DEFINED = [member for module in (reads, writes, searching, items) for member in vars(module).values()]
_ENGINE_REQUESTS = [each for each in _DEFINED if isinstance(each, type) and issubclass(each, EngineRequest)]

ANY_REQUEST: Any = Union[Hello, RewriteShards, *_ENGINE_REQUESTS]
"""The union of all request classes, for decoding a request."""


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A message from a client: a number and an encoded request. The reply has the same number."""

    number: int
    request: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """An error as it is sent to a client. kind: name of its class. path: the invalid field of an InvalidRequest."""

    kind: str
    message: str
    path: str = ""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """A message from the engine process: the number of the call, and either the encoded answer or a failure."""

    number: int
    answer: msgspec.Raw = msgspec.Raw(msgspec.msgpack.encode(None))
    failure: Failure | None = None


_ERRORS = (errors.NotFound, errors.Conflict, errors.Unavailable, errors.StoreInUse)


def failure_of(error: errors.RemembrancerError | OSError) -> Failure:
    """`error` as a Failure, which can be sent to a client."""
    return Failure(type(error).__name__, str(error), getattr(error, "path", ""))


def error_of(failure: Failure) -> errors.RemembrancerError:
    """The error to raise for a received Failure: of the same class, or Unavailable if the class name is unknown."""
    if failure.kind == errors.InvalidRequest.__name__:
        return errors.InvalidRequest(failure.message, path=failure.path)
    kind = next((kind for kind in _ERRORS if kind.__name__ == failure.kind), errors.Unavailable)
    return kind(failure.message)


def framed(message: object) -> bytearray:
    """`message` as MessagePack, with its length in front. Raises InvalidRequest for more than MAX_MESSAGE bytes."""
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
