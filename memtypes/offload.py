"""Work of the processor beside the event loop, where it takes so long that other calls would wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio.to_thread

SHORT = 2_000
"""Characters that are looked through sooner than a thread takes over: some tenths of a millisecond."""

_Result = TypeVar("_Result")


async def beside(texts: Iterable[str], work: Callable[[], _Result], short: int = SHORT) -> _Result:
    """What `work` gives, which looks through `texts`; in a thread where they have more than `short` characters."""
    if sum(map(len, texts)) <= short:
        return work()
    return await anyio.to_thread.run_sync(work)
