"""Counts how often contexts show a memory. Uses are written to the store later, so that no answer
waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from memtypes.model.errors import RemembrancerError, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore, Use
from memtypes.ports.working import LiveItemStore
from retrieval.context.entries import EntryFields

PERIOD_S = 2.0
"""Seconds between two rounds of writes; uses of the same memory are added up meanwhile."""

MAX_WAITING = 100_000
"""Maximum number of memories whose uses wait to be written; uses of further memories are counted in
`lost`.
"""

PAUSE_FACTOR = 19.0
"""Pause after each write as a multiple of the write's duration, so that writes take a twentieth of
the store's time.
"""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class UseCounts:
    """Queues uses of memories (each time that a context shows one) and writes them later. lost:
    uses not written.
    """

    store: MemoryStore
    period_s: float = PERIOD_S
    lost: int = 0
    _waiting: dict[tuple[str, str], dict[str, tuple[MemoryType, int, datetime]]] = field(
        default_factory=dict
    )
    _room: int = MAX_WAITING

    def note(self, scope: Scope, shown: Sequence[EntryFields], at: datetime) -> None:
        """Queue one use, at time `at`, of each memory in `shown`; returns at once."""
        waiting = self._waiting.setdefault((scope.tenant, scope.namespace), {})
        for memory in shown:
            earlier = waiting.get(memory.id)
            if earlier is None and self._room == 0:
                self.lost += 1
                continue
            self._room -= earlier is None
            waiting[memory.id] = (memory.type, 1 if earlier is None else earlier[1] + 1, at)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[UseCounts]:
        """Write queued uses of memories during the `with` block, in the background; write the
        remaining at its end.
        """
        task = asyncio.create_task(self._write_for_ever())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.write()

    async def write(self) -> None:
        """Write all queued uses of memories. A failed write is logged and counted in `lost`, and
        not raised.
        """
        while self._waiting:
            await self._write_next()

    async def _write_next(self) -> None:
        """Write the queued uses of one namespace, the one that has waited longest."""
        tenant, namespace = next(iter(self._waiting))
        waiting = self._waiting.pop((tenant, namespace))
        uses = [Use(memory_id, kind, times, at) for memory_id, (kind, times, at) in waiting.items()]
        self._room += len(uses)
        try:
            await self.store.note_uses(Scope(tenant, namespace), uses)
        except Exception as error:  # noqa: BLE001 - a bug in one write must not end the counting
            self.lost += (count := sum(use.times for use in uses))
            bug = not isinstance(error, RemembrancerError)
            _log.warning("%d use counts could not be written: %s", count, error, exc_info=bug)

    async def _write_for_ever(self) -> None:
        """Write queued uses every `period_s` seconds, with pauses, so that retrievals do not wait
        behind writes.
        """
        while True:
            await asyncio.sleep(self.period_s)
            while self._waiting:
                began = time.monotonic()
                await self._write_next()
                if self._room > MAX_WAITING // 2:
                    await asyncio.sleep(PAUSE_FACTOR * (time.monotonic() - began))


class LiveUses:
    """Restarts the time to live of working-memory items that a context shows, without delaying the
    answer.

    lost: how many such uses of items could not be written.
    """

    def __init__(self, items: LiveItemStore | None) -> None:
        self.lost = 0
        self._items = items
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, scope: Scope, shown: Sequence[EntryFields], at: datetime) -> None:
        """Start recording that the live working items among `shown` were used at time `at`; returns
        at once. Working items that the live store does not have are ignored.
        """
        if self._items is None or scope.session_id is None:
            return  # live items belong to a session; other working memories are stored ones
        used = [memory.id for memory in shown if memory.type is MemoryType.WORKING]
        if used:
            task = asyncio.create_task(self._touch(self._items, scope, used, at))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def noted(self) -> None:
        """Wait until all uses that were passed to `note` so far are written."""
        await asyncio.gather(*self._tasks)

    async def _touch(
        self, items: LiveItemStore, scope: Scope, ids: Sequence[str], at: datetime
    ) -> None:
        try:
            await items.touch(scope, ids, at)
        except Unavailable as error:
            self.lost += len(ids)
            _log.warning("%d uses of live items could not be noted: %s", len(ids), error)
