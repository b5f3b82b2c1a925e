"""What can forget: every place that holds something of a namespace's memories, behind one port."""

from __future__ import annotations

from abc import ABC, abstractmethod

from memtypes.model.scope import Scope


class Erasable(ABC):
    """One place: a store, a cache, what is live. memory_id: one memory; None for all of the namespace."""

    @abstractmethod
    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """How many things were removed."""

    @abstractmethod
    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many there are now, counted anew."""
