"""Upkeep of an open embedded store: syncs its logs, flushes and warms it, rewrites its shards.

It runs in the program that has the store open, as one task that submits short steps to the worker,
so that calls run in between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import NoReturn

from memtypes.model.errors import RemembrancerError
from memtypes.stores.edge.worker import OpenStore, Worker
from memtypes.stores.files import sync_directory

SYNC_S = 1.0
QUIET_S = 0.5
"""Seconds without a call after which a shard is flushed, as a flush blocks the worker for about
100 ms.
"""

FLUSH_AT_LATEST_S = 60.0
WARM_PAUSE_S = 0.005
"""Seconds between two warm-up steps, so that warming up takes at most a quarter of the time."""

RETRY_S = 1.0
"""Seconds after which a failed rewrite is tried again."""

_log = logging.getLogger(__name__)


class Upkeep:
    """The upkeep of the store that `worker` has open."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._rewrite = asyncio.Event()
        self._called_at = time.monotonic()
        self._flushed_at = time.monotonic()

    def note_call(self) -> None:
        """Put off the next flush: a caller is waiting for an answer."""
        self._called_at = time.monotonic()

    def rewrite_shards(self) -> None:
        """Rewrite the shards that now have bytes of deleted points, soon."""
        self._rewrite.set()

    async def run(self) -> NoReturn:
        """Keep the store until it fails: raises EngineDied if the worker has died.

        Raises any error of syncing too: writes must not be acknowledged that can't reach the disk.
        """
        warming = True
        rewriting = False
        sync_at = time.monotonic() + SYNC_S
        while True:
            if time.monotonic() >= sync_at:
                await self._sync()
                await self._flush()
                sync_at = time.monotonic() + SYNC_S
            if self._rewrite.is_set() and not rewriting:
                self._rewrite.clear()
                rewriting = True

            if warming:
                warming = await self._warm_step()
                await asyncio.sleep(WARM_PAUSE_S)
            elif rewriting:
                rewriting = await self._rewrite_step()
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(sync_at - time.monotonic()):
                        await self._rewrite.wait()

    async def _sync(self) -> None:
        for directory in await self._worker.run(OpenStore.pop_unsynced):
            # In this process, as the worker answers calls meanwhile. It syncs the files' pages,
            # whichever process has written them.
            await asyncio.to_thread(sync_directory, directory)

    async def _flush(self) -> None:
        now = time.monotonic()
        quiet = now - self._called_at > QUIET_S
        late = now - self._flushed_at > FLUSH_AT_LATEST_S
        if await self._worker.run(OpenStore.is_flushed):
            self._flushed_at = now
        elif quiet or late:
            await self._worker.run(OpenStore.flush_one)

    async def _warm_step(self) -> bool:
        try:
            return await self._worker.run(OpenStore.warm_step)
        except RemembrancerError:
            _log.exception("the warm-up failed; searches fill the cache")
            return False

    async def _rewrite_step(self) -> bool:
        try:
            return await self._worker.run(OpenStore.rewrite_step)
        except (RemembrancerError, OSError):
            _log.exception("a shard with deleted bytes could not be rewritten")
            await asyncio.sleep(RETRY_S)
            self._rewrite.set()
            return False
