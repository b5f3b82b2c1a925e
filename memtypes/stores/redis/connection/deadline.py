"""A time limit that a busy process does not mistake for a slow server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

GRACE = 10
"""Rounds of the event loop after the time limit: an answer that lies in the socket by then is read in fewer."""

TIDY_S = 0.05
"""Seconds for which a call that was cut off is waited for: the client may be hanging up on a server that is away."""


async def answered(call: Coroutine[Any, Any, T], limit_s: float) -> T:
    """What `call` gives within the limit. Raises TimeoutError, and cuts the call off.

    What is over at the limit may be this process's own time: its event loop was busy while the answer lay in the
    socket. So the loop goes round a few times more, which takes a quiet process next to nothing.
    """
    asked = asyncio.ensure_future(call)
    try:
        await asyncio.wait({asked}, timeout=limit_s)
        for _ in range(GRACE):
            if not asked.done():
                await asyncio.sleep(0)
        if not asked.done():
            raise TimeoutError
    finally:
        if not asked.done():
            asked.cancel()
            asked.add_done_callback(_looked_at)
            await asyncio.wait({asked}, timeout=TIDY_S)
    return asked.result()


def _looked_at(done: asyncio.Future[T]) -> None:
    """Nobody is left to be told how a call ended that was cut off."""
    if not done.cancelled():
        done.exception()
