"""What was shown in a context is noted as used: later, together, and never at a retrieval's expense."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from memtypes.model.errors import RemembrancerError
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore, Use

MAX_WAITING = 10_000
"""Uses that wait to be written; more are dropped and counted, because a count is worth less than memory."""

REST = 4.0
"""Pause after each write, in the time that it took."""

_log = logging.getLogger(__name__)


class Shown(Protocol):
    """What was shown, of which no more is needed than which memory it is."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def type(self) -> MemoryType:
        """Its type."""
        ...


@dataclass(frozen=True, slots=True)
class _Noted:
    """These memories were shown at `at`."""

    scope: Scope
    shown: Sequence[Shown]
    at: datetime


@dataclass(slots=True)
class Freshness:
    """Notes uses and writes them, those of a namespace together. lost: how many could not be kept or written."""

    store: MemoryStore
    period_s: float = 0.5
    lost: int = 0
    _waiting: dict[tuple[str, str], list[_Noted]] = field(default_factory=dict)
    _room: int = MAX_WAITING

    def note(self, scope: Scope, shown: Sequence[Shown], at: datetime) -> None:
        """Remember that `shown` were used at `at`; returns at once."""
        kept = shown[: self._room]
        if kept:
            self._waiting.setdefault((scope.tenant, scope.namespace), []).append(_Noted(scope, kept, at))
            self._room -= len(kept)
        self.lost += len(shown) - len(kept)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Freshness]:
        """Write what is noted as long as the context lasts, and what is left at its end."""
        task = asyncio.create_task(self._write_for_ever())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.write()

    async def write(self) -> None:
        """Write everything that waits. A failure is counted and logged: the answers that it is about are long sent."""
        while self._waiting:
            await self._write_next()

    async def _write_next(self) -> None:
        """Write the uses of the namespace that has waited longest; there is one."""
        own = self._waiting.pop(next(iter(self._waiting)))
        count = sum(len(noted.shown) for noted in own)
        self._room += count
        try:
            await self.store.note_uses(own[0].scope, _added_up(own))
        except RemembrancerError as error:
            self.lost += count
            _log.warning("%d uses could not be noted: %s", count, error)

    async def _write_for_ever(self) -> None:
        """Write in pauses, while there is room: else whoever retrieves would wait for one write after another."""
        while True:
            await asyncio.sleep(self.period_s)
            while self._waiting:
                began = time.monotonic()
                await self._write_next()
                if self._room > MAX_WAITING // 2:
                    await asyncio.sleep(REST * (time.monotonic() - began))


def _added_up(noted: Sequence[_Noted]) -> list[Use]:
    """The uses of each memory, with the time of the last."""
    times = Counter(one.id for own in noted for one in own.shown)
    last = {one.id: (one.type, own.at) for own in noted for one in own.shown}
    return [Use(one, kind, times[one], at) for one, (kind, at) in last.items()]
