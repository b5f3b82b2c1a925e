"""A stand-in for a store of answers, in memory."""

from __future__ import annotations

from datetime import datetime

from memtypes.model.scope import Scope
from memtypes.model.times import Clock
from memtypes.ports.answers import KEPT_FOR, AnswerStore, Given


class FakeAnswers(AnswerStore):
    """Answers in a dictionary, each with its namespace and time."""

    def __init__(self, clock: Clock, max_bytes: int = 1_000_000) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._kept: dict[tuple[str, str], tuple[str, datetime, Given]] = {}

    async def get(self, scope: Scope, key: str) -> Given | None:
        """What is there and young enough."""
        _, at, given = self._kept.get(
            (scope.tenant, key), ("", datetime.min.replace(tzinfo=self._clock().tzinfo), None)
        )
        return given if at > self._clock() - KEPT_FOR else None

    async def keep(self, scope: Scope, key: str, given: Given) -> Given:
        """The first one; the oldest go."""
        before = await self.get(scope, key)
        if before is not None:
            return before
        self._kept[scope.tenant, key] = (scope.namespace, self._clock(), given)
        while sum(len(one.answer) for _, _, one in self._kept.values()) > self._max_bytes:
            del self._kept[next(iter(self._kept))]
        return given

    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - answers are not kept by memory
        """How many of the namespace there were."""
        gone = [key for key in self._kept if self._is_in(key, scope)]
        for key in gone:
            del self._kept[key]
        return len(gone)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - as above
        """How many there are."""
        return sum(self._is_in(key, scope) for key in self._kept)

    def _is_in(self, key: tuple[str, str], scope: Scope) -> bool:
        return key[0] == scope.tenant and self._kept[key][0] == scope.namespace
