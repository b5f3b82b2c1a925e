"""Runs CPU-bound text processing in a worker thread if it would block the event loop for too
long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio.to_thread

SHORT = 2_000
"""Number of characters that are processed before a thread would have started: in a few tenths of a
millisecond.
"""

_Result = TypeVar("_Result")


async def offload(texts: Iterable[str], work: Callable[[], _Result], short: int = SHORT) -> _Result:
    """Call `work`; return its result. It runs in a worker thread if its `texts` have more than
    `short` characters.
    """
    if sum(map(len, texts)) <= short:
        return work()
    return await anyio.to_thread.run_sync(work)
