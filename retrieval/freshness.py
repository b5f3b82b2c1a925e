"""What was shown in a context is noted as used: later, together, and never at a retrieval's expense."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from memtypes.errors import RemembrancerError
from memtypes.policy import MemoryType
from memtypes.ports import MemoryStore
from memtypes.scope import Scope
from memtypes.times import rfc3339

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
class Use:
    """A memory was shown at `at`."""

    scope: Scope
    id: str
    type: MemoryType
    at: datetime


@dataclass(slots=True)
class Freshness:
    """Notes uses and writes them in batches. lost: how many could not be kept or written."""

    store: MemoryStore
    period_s: float = 0.5
    lost: int = 0
    _waiting: list[Use] = field(default_factory=list)

    def note(self, scope: Scope, shown: Sequence[Shown], at: datetime) -> None:
        """Remember that `shown` were used at `at`; returns at once."""
        room = MAX_WAITING - len(self._waiting)
        self._waiting += [Use(scope, one.id, one.type, at) for one in shown[:room]]
        self.lost += max(0, len(shown) - room)

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
        waiting, self._waiting = self._waiting, []
        by_scope: dict[tuple[str, str], list[Use]] = {}
        for use in waiting:
            by_scope.setdefault((use.scope.tenant, use.scope.namespace), []).append(use)
        for uses in by_scope.values():
            try:
                await self.store.patch(uses[0].scope, await self._changes(uses))
            except RemembrancerError as error:
                self.lost += len(uses)
                _log.warning("%d uses could not be noted: %s", len(uses), error)

    async def _changes(self, uses: Sequence[Use]) -> dict[str, dict[str, Any]]:
        """The new access fields by id, counted from what is stored now: others write, too."""
        current = await self.store.get(uses[0].scope, {use.id: use.type for use in uses})
        changes: dict[str, dict[str, Any]] = {}
        for use in uses:
            if (memory := current.get(use.id)) is not None:
                before = changes.get(memory.id, {"access_count": memory.access_count})
                changes[memory.id] = {"access_count": before["access_count"] + 1, "accessed_at": rfc3339(use.at)}
        return changes

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.period_s)
            if self._waiting:
                await self.write()
