"""Port of stores from which the data of a namespace or of one memory can be erased."""

from __future__ import annotations

from abc import ABC, abstractmethod

from memtypes.model.scope import Scope


class Erasable(ABC):
    """A store, cache or log file with data to erase. memory_id: the memory to erase; None for the whole namespace."""

    @abstractmethod
    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Erase the data of the memory or the namespace; return the number of entries removed."""

    @abstractmethod
    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Number of entries that still contain data of the memory, or of the whole namespace if `memory_id` is None."""
