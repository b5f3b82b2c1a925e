"""Messages between a client and the engine process: a length of four bytes, then MessagePack.

Vectors travel as raw bytes, so a message costs little more than a copy. Knows neither sockets nor the engine.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import msgspec

from memtypes.model import errors
from memtypes.stores.operations import reads, writes
from memtypes.stores.operations.messages import Request
from memtypes.stores.operations.searching import FindCandidates

PROTOCOL = 9
"""Raised whenever a message changes its form, so that two versions of the program refuse to talk to each other."""

MAX_MESSAGE = 1 << 30
_LENGTH = 4


class Hello(Request[None], frozen=True, kw_only=True, tag=True):
    """The first message on a connection, and the way to ask whether the engine still answers."""


class RewriteShards(Request[int], frozen=True, kw_only=True, tag=True):
    """Rewrite the shards that contain bytes removed at this time (in nanoseconds) or before, in the background.

    The answer is the number of types that still contain such bytes; repeat the request to follow the progress.
    """

    removed_by: int


AnyRequest: TypeAlias = (
    Hello
    | RewriteShards
    | writes.Upsert
    | writes.Patch
    | writes.NoteUses
    | writes.Delete
    | writes.DeleteWhere
    | reads.GetPayloads
    | reads.GetPassages
    | reads.ListPage
    | reads.CountTokens
    | reads.ListNamespaces
    | FindCandidates
)


class Call(msgspec.Struct, frozen=True, array_like=True):
    """An encoded request with the number of its reply."""

    number: int
    request: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    """An error of the product, by the name of its class."""

    kind: str
    message: str
    path: str = ""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The encoded answer to a call, or its failure."""

    number: int
    answer: msgspec.Raw = msgspec.Raw(msgspec.msgpack.encode(None))
    failure: Failure | None = None


_ERRORS = (errors.NotFound, errors.Conflict, errors.Unavailable, errors.StoreInUse)


def failure_of(error: errors.RemembrancerError) -> Failure:
    """The failure that carries `error`."""
    return Failure(type(error).__name__, str(error), getattr(error, "path", ""))


def error_of(failure: Failure) -> errors.RemembrancerError:
    """The error that a failure carries."""
    if failure.kind == errors.InvalidRequest.__name__:
        return errors.InvalidRequest(failure.message, path=failure.path)
    kind = next((kind for kind in _ERRORS if kind.__name__ == failure.kind), errors.Unavailable)
    return kind(failure.message)


def framed(message: bytes) -> bytes:
    """`message` with its length in front."""
    if len(message) > MAX_MESSAGE:
        raise errors.InvalidRequest(f"a message of {len(message)} bytes is too large for the embedded engine")
    return len(message).to_bytes(_LENGTH, "big") + message


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """The next message. Raises asyncio.IncompleteReadError at the end, ValueError for a length out of bounds."""
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > MAX_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    return await reader.readexactly(length)
