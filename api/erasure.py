"""Where memories and what was made of them are held, and how each place forgets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from typing_extensions import TypedDict

from api.once import RecentAnswers
from memtypes.erasure import Erasable
from memtypes.policy import MemoryType
from memtypes.ports import MemoryStore
from memtypes.scope import Scope
from memtypes.times import Clock


class Memories(Erasable):
    """The five collections, with their vectors."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """How many memories were removed."""
        if memory_id is None:
            return await self._store.delete_where(scope, tuple(MemoryType), None)
        return await self._store.delete(scope, [memory_id])

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many are there."""
        if memory_id is not None:
            return len(await self._store.get(scope, [memory_id]))
        return sum(one.count for one in (await self._store.stats(scope)).values())


class Answers(Erasable):
    """The answers of batches that were sent with an idempotency key: reasons may quote what was written."""

    def __init__(self, answered: RecentAnswers) -> None:
        self._answered = answered

    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - answers are not kept by memory
        """How many answers of the tenant were dropped: they are not kept by namespace."""
        return self._answered.forget(scope.tenant)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - answers are not kept by memory
        """How many there are."""
        return self._answered.count(scope.tenant)


class Erased(TypedDict):
    """What was removed from each place, and what is there now."""

    erased: dict[str, int]
    remaining: dict[str, int]
    checked_at: datetime


async def erase_everywhere(places: Mapping[str, Erasable], scope: Scope, memory_id: str | None, clock: Clock) -> Erased:
    """The proof that nothing is left: every place is asked again after all of them were emptied."""
    erased = {name: await place.erase(scope, memory_id) for name, place in places.items()}
    remaining = {name: await place.remaining(scope, memory_id) for name, place in places.items()}
    return Erased(erased=erased, remaining=remaining, checked_at=clock())
