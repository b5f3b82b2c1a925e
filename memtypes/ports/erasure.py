"""Stores whose data of a namespace or of one memory can be erased."""

from __future__ import annotations

from abc import ABC, abstractmethod

from memtypes.model.scope import Scope


class Erasable(ABC):
    """A store, a cache or a log file. memory_id: erase one memory; None for the whole namespace."""

    @abstractmethod
    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Erase it and return the number of entries removed."""

    @abstractmethod
    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Count the entries that are there now."""
