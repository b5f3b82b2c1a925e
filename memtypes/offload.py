"""Run CPU-bound text processing in a worker thread when it would block the event loop for too long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio.to_thread

SHORT = 2_000
"""Characters that are processed faster than a thread starts: a few tenths of a millisecond."""

_Result = TypeVar("_Result")


async def offload(texts: Iterable[str], work: Callable[[], _Result], short: int = SHORT) -> _Result:
    """Return the result of `work`, run in a worker thread if `texts` have more than `short` characters in total."""
    if sum(map(len, texts)) <= short:
        return work()
    return await anyio.to_thread.run_sync(work)
