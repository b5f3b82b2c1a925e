"""What was shown in a context is noted as used: later, together, and never at a retrieval's expense."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from memtypes.errors import RemembrancerError
from memtypes.policy import MemoryType
from memtypes.ports import MemoryStore, Use
from memtypes.scope import Scope

MAX_WAITING = 10_000
"""Uses that wait to be written; more are dropped and counted, because a count is worth less than memory."""

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
    """Notes uses and writes them in batches. lost: how many could not be kept or written."""

    store: MemoryStore
    period_s: float = 0.5
    lost: int = 0
    _waiting: list[_Noted] = field(default_factory=list)
    _room: int = MAX_WAITING

    def note(self, scope: Scope, shown: Sequence[Shown], at: datetime) -> None:
        """Remember that `shown` were used at `at`; returns at once."""
        kept = shown[: self._room]
        if kept:
            self._waiting.append(_Noted(scope, kept, at))
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
        waiting, self._waiting, self._room = self._waiting, [], MAX_WAITING
        by_scope: dict[tuple[str, str], list[_Noted]] = {}
        for noted in waiting:
            by_scope.setdefault((noted.scope.tenant, noted.scope.namespace), []).append(noted)
        for own in by_scope.values():
            try:
                await self.store.note_uses(own[0].scope, _added_up(own))
            except RemembrancerError as error:
                lost = sum(len(noted.shown) for noted in own)
                self.lost += lost
                _log.warning("%d uses could not be noted: %s", lost, error)

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.period_s)
            if self._waiting:
                await self.write()


def _added_up(noted: Sequence[_Noted]) -> list[Use]:
    """The uses of each memory, with the time of the last."""
    times = Counter(one.id for own in noted for one in own.shown)
    last = {one.id: (one.type, own.at) for own in noted for one in own.shown}
    return [Use(one, kind, times[one], at) for one, (kind, at) in last.items()]
