"""What is done again and again beside the calls. Knows no work of its own: it is handed in."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from memtypes.errors import RemembrancerError

_log = logging.getLogger(__name__)


@asynccontextmanager
async def repeating(name: str, work: Callable[[], Awaitable[int]], every_s: float) -> AsyncIterator[None]:
    """Within the context `work` runs at once and `every_s` seconds after it ended; it is cancelled at the end.

    What it could not do, and any fault of it, is logged and tried again the next time: upkeep never ends the service.
    """
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_repeat, name, work, every_s)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def _repeat(name: str, work: Callable[[], Awaitable[int]], every_s: float) -> None:
    while True:
        try:
            done = await work()
        except RemembrancerError as error:
            _log.warning("%s: %s", name, error)
        except Exception:  # noqa: BLE001 - a fault of upkeep must not cancel the calls that run beside it
            _log.exception("%s failed", name)
        else:
            if done:
                _log.info("%s: %s done", name, done)
        await anyio.sleep(every_s)
