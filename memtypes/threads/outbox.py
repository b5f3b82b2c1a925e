"""Keeps what left the threads of a namespace, in the order in which it left."""

from __future__ import annotations

import logging
from weakref import WeakValueDictionary

import anyio

from memtypes.errors import RemembrancerError
from memtypes.scope import Scope
from memtypes.threads.ports import Departure, ThreadKeeper, ThreadStore

_PIECE = 32

_log = logging.getLogger(__name__)


class Outbox:
    """One drain at a time of each namespace in this process; another process's does no harm, ids follow from turns."""

    def __init__(self, store: ThreadStore, keeper: ThreadKeeper) -> None:
        self._store = store
        self._keeper = keeper
        self._draining: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    async def drain(self, scope: Scope) -> dict[str, list[str]]:
        """Memories' ids by thread. What can't be kept now waits."""
        kept: dict[str, list[str]] = {}
        lock = self._draining.setdefault((scope.tenant, scope.namespace), anyio.Lock())
        async with lock:
            try:
                while waiting := await self._store.departures(scope, _PIECE):
                    for departure in waiting:
                        kept.setdefault(departure.thread_id, []).extend(await self._keep(scope, departure))
            except RemembrancerError as error:
                _log.warning("what left a thread waits to be kept: %s", type(error).__name__)
        return kept

    async def drain_all(self) -> int:
        """How many memories were made of what had been left waiting."""
        scopes = [scope async for scope in self._store.waiting()]
        return sum([len(ids) for scope in scopes for ids in (await self.drain(scope)).values()])

    async def _keep(self, scope: Scope, departure: Departure) -> list[str]:
        ids = await self._keeper.keep(scope, departure)
        await self._store.settle(scope, departure)
        return ids
