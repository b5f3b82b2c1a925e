"""Use counts of the memories that contexts show: written later, in batches, and never at a retrieval's expense."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime

from memtypes.model.errors import RemembrancerError, Unavailable
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore, Use
from memtypes.ports.working import LiveItemStore
from memtypes.search.passage import Passage

MAX_WAITING = 10_000
"""Uses that may wait to be written; more are dropped and counted in `lost`."""

PAUSE_FACTOR = 4.0
"""Pause after each write, as a multiple of the time that it took."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _ShownTogether:
    """Memories that one context showed at `at`."""

    scope: Scope
    shown: Sequence[Passage]
    at: datetime


@dataclass(slots=True)
class UseCounts:
    """Uses of stored memories, written by namespace. lost: uses that were dropped or could not be written."""

    store: MemoryStore
    period_s: float = 0.5
    lost: int = 0
    _waiting: dict[tuple[str, str], list[_ShownTogether]] = field(default_factory=dict)
    _room: int = MAX_WAITING

    def note(self, scope: Scope, shown: Sequence[Passage], at: datetime) -> None:
        """Note that `shown` were used at `at`; returns at once."""
        noted = shown[: self._room]
        if noted:
            self._waiting.setdefault((scope.tenant, scope.namespace), []).append(_ShownTogether(scope, noted, at))
            self._room -= len(noted)
        self.lost += len(shown) - len(noted)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[UseCounts]:
        """Write in the background while the context lasts, and what is left at its end."""
        task = asyncio.create_task(self._write_for_ever())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.write()

    async def write(self) -> None:
        """Write all uses that wait. A failure is logged and counted: the answers were sent long ago."""
        while self._waiting:
            await self._write_next()

    async def _write_next(self) -> None:
        """Write the uses of the namespace that has waited longest."""
        batch = self._waiting.pop(next(iter(self._waiting)))
        count = sum(len(together.shown) for together in batch)
        self._room += count
        try:
            await self.store.note_uses(batch[0].scope, _summed(batch))
        except RemembrancerError as error:
            self.lost += count
            _log.warning("%d use counts could not be written: %s", count, error)

    async def _write_for_ever(self) -> None:
        """Write with pauses, so that retrievals do not wait behind a row of writes."""
        while True:
            await asyncio.sleep(self.period_s)
            while self._waiting:
                began = time.monotonic()
                await self._write_next()
                if self._room > MAX_WAITING // 2:
                    await asyncio.sleep(PAUSE_FACTOR * (time.monotonic() - began))


def _summed(batch: Sequence[_ShownTogether]) -> list[Use]:
    """The number of uses of each memory, with the time of the last one."""
    counts = Counter(passage.id for together in batch for passage in together.shown)
    last = {passage.id: (passage.type, together.at) for together in batch for passage in together.shown}
    return [Use(memory_id, kind, counts[memory_id], at) for memory_id, (kind, at) in last.items()]


class LiveUses:
    """Restarts the time limit of live items that a context shows, behind the answer: the write is synced to disk.

    lost: uses that could not be noted.
    """

    def __init__(self, items: LiveItemStore | None) -> None:
        self.lost = 0
        self._items = items
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, scope: Scope, shown: Sequence[Passage], at: datetime) -> None:
        """Note that the live items among `shown` were used at `at`; returns at once."""
        used = [passage.id for passage in shown if passage.live]
        if self._items is not None and used:
            task = asyncio.create_task(self._touch(self._items, scope, used, at))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def noted(self) -> None:
        """Return when all uses are noted."""
        await asyncio.gather(*self._tasks)

    async def _touch(self, items: LiveItemStore, scope: Scope, ids: Sequence[str], at: datetime) -> None:
        try:
            await items.touch(scope, ids, at)
        except Unavailable as error:
            self.lost += len(ids)
            _log.warning("%d uses of live items could not be noted: %s", len(ids), error)
