"""Messages between a client and the engine process: a length of four bytes, then MessagePack.

Vectors travel as raw bytes, so a message costs little more than a copy. Knows neither sockets nor the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import msgspec

from memtypes.model import errors
from memtypes.stores.operations import messages

PROTOCOL = 7
"""Raised when a message changes its form: two versions of the program never talk past each other."""

MAX_MESSAGE = 1 << 30
_LENGTH = 4


class Hello(msgspec.Struct, frozen=True, tag=True, tag_field="ask"):
    """The first message on a connection, and the way to ask whether the engine still answers."""

    protocol: int


class Renew(msgspec.Struct, frozen=True, tag=True, tag_field="ask"):
    """Write anew, by and by, what holds bytes of what was removed at this time (in nanoseconds) or before.

    The answer is how many types do so yet; asking again tells how far it is.
    """

    answer: ClassVar[Any] = int
    repeatable: ClassVar[bool] = True

    removed_by: int


class Welcome(msgspec.Struct, frozen=True):
    """The answer to Hello."""

    pid: int
    protocol: int


Question: TypeAlias = messages.AnyAsk | Hello | Renew


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A question with the number under which its answer comes back."""

    number: int
    question: Question


class Failure(msgspec.Struct, frozen=True):
    """An error of ours, by its class's name."""

    kind: str
    message: str
    path: str = ""


NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The encoded answer to one call, or why there is none."""

    number: int
    answer: msgspec.Raw = NOTHING
    failure: Failure | None = None


_ERRORS: Mapping[str, type[errors.RemembrancerError]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (errors.InvalidRequest, errors.NotFound, errors.Conflict, errors.Unavailable, errors.StoreInUse)
    }
)

encode = msgspec.msgpack.Encoder().encode
decode_call = msgspec.msgpack.Decoder(Call).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode


def decode_answer(question: Question, raw: msgspec.Raw) -> Any:
    """The answer to `question` in its own type."""
    expected = Welcome if isinstance(question, Hello) else question.answer
    return msgspec.msgpack.decode(raw, type=expected)


def failure_of(error: errors.RemembrancerError) -> Failure:
    """`error` as it travels."""
    return Failure(type(error).__name__, str(error), getattr(error, "path", ""))


def error_of(failure: Failure) -> errors.RemembrancerError:
    """The error that `failure` stands for."""
    kind = _ERRORS.get(failure.kind, errors.Unavailable)
    if kind is errors.InvalidRequest:
        return errors.InvalidRequest(failure.message, path=failure.path)
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
