"""Port of stores from which all data of a namespace, or of one memory, can be erased."""

from __future__ import annotations

from typing import Protocol

from memtypes.model.scope import Scope


class Erasable(Protocol):
    """A store, cache or log file from which the data of one memory, or of a whole namespace, can be
    erased.
    """

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Erase the data of the memory, or of the namespace if `memory_id` is None; return the
        number of entries.
        """

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Return how many entries still contain data of the memory, or of the namespace if
        `memory_id` is None.
        """
