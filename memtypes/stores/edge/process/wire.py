"""Messages between a client and the engine process: a length in four bytes, then a pickled value.

Both processes belong to the same user and run the same version of this program (see PROTOCOL).
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from memtypes.model import errors

PROTOCOL = 16
"""Version of the message format. Increase it with every change, so that engines of other versions
are refused.
"""

MAX_MESSAGE = 1 << 30
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Hello:
    """Check that the engine process answers. It is sent first on every connection, and later as a
    ping.
    """


@dataclass(frozen=True, slots=True)
class RewriteShards:
    """Start to rewrite the shards that contain bytes of points removed until `removed_by` (a
    `time.time_ns`).

    The engine answers at once, with the number of such shards, and rewrites them in the background.
    """

    removed_by: int


@dataclass(frozen=True, slots=True)
class EngineCall:
    """Call `function` with the engine and these arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A message from the engine process: the number of the call, and either the answer or an
    error.
    """

    number: int
    answer: Any = None
    error: errors.RemembrancerError | None = None


def frame(message: object) -> bytes:
    """Encode `message` with its length in front. Raises InvalidRequest if it has over MAX_MESSAGE
    bytes.
    """
    content = pickle.dumps(message, protocol=5)
    if len(content) > MAX_MESSAGE:
        raise errors.InvalidRequest(
            f"the request has {len(content)} bytes, and the embedded engine takes at most "
            f"{MAX_MESSAGE}; send fewer memories"
        )
    return len(content).to_bytes(_LENGTH, "big") + content


async def read_message(reader: asyncio.StreamReader) -> Any:
    """Read the next message. Raises IncompleteReadError at the end, ValueError if it has over
    MAX_MESSAGE bytes.
    """
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    if length > MAX_MESSAGE:
        raise ValueError(f"a message of {length} bytes; at most {MAX_MESSAGE} are allowed")
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - from this user's process
