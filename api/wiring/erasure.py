"""Erases a namespace, or one memory, from every store, then counts what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingest.working.working_memory import WorkingMemory
from ingest.writing.pipeline import Ingestor
from memtypes.model.scope import Scope
from memtypes.model.times import Instant
from memtypes.ports.erasure import Erasable
from memtypes.ports.items import ItemStore
from retrieval.answer import Answer


@dataclass(frozen=True, slots=True)
class ErasableMemories(Erasable):
    """Erases memories and their vectors from the memory store."""

    ingestor: Ingestor

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Erase the memory, or all memories of the namespace if `memory_id` is None; return how
        many were removed.
        """
        if memory_id is None:
            return await self.ingestor.editor.remove_where(scope, (), None)
        return await self.ingestor.editor.remove(scope, [memory_id])

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Number of memories still stored: in the namespace or, if `memory_id` is not None, of this
        one (1 or 0).
        """
        if memory_id is not None:
            return len(await self.ingestor.store.get(scope, [memory_id]))
        return sum(size.count for size in (await self.ingestor.store.stats(scope)).values())


@dataclass(frozen=True, slots=True)
class ErasableWorking(Erasable):
    """Erases items of working memory from the live store.

    Must come before the memory store, to which items are moved when they have ended.
    """

    working: WorkingMemory

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Erase the item, or all items of the namespace if `memory_id` is None; return how many."""
        return await self.working.forget(scope, memory_id)

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Number of items in the live store: of the namespace, or of this one (1 or 0)."""
        return await self.working.count(scope, memory_id)


@dataclass(frozen=True, slots=True)
class ErasableItems(Erasable):
    """Erases a namespace's keyed items (JSON values stored under a key). Erasing a single memory
    changes nothing.
    """

    items: ItemStore

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """Erase the keyed items of the namespace; return how many. Does nothing if `memory_id` is
        not None.
        """
        return await self.items.delete_all(scope) if memory_id is None else 0

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """Number of keyed items in the namespace, expired ones included; 0 if `memory_id` is not
        None.
        """
        return await self.items.count(scope, at=None) if memory_id is None else 0


class Erased(Answer):
    """How many entries were erased from each store and how many are left; "rejected" are rejected
    texts.
    """

    erased: dict[str, int]
    remaining: dict[str, int]
    checked_at: Instant


async def erase(
    stores: Mapping[str, Erasable], ingestor: Ingestor, scope: Scope, memory_id: str | None
) -> Erased:
    """Erase one memory, or the whole namespace if `memory_id` is None, from every store; count what
    is left in each.
    """
    memories = (await ingestor.store.get(scope, [memory_id] if memory_id else [])).values()
    rejected = len(await ingestor.editor.repetitions(scope, memories))
    erased = {name: await store.erase(scope, memory_id) for name, store in stores.items()}
    remaining = {name: await store.remaining(scope, memory_id) for name, store in stores.items()}
    if memory_id is not None:  # the rejected texts of a namespace are in the live store
        remaining_rejected = remaining["rejected"] = len(
            await ingestor.editor.repetitions(scope, memories)
        )
        erased["rejected"] = rejected - remaining_rejected
    return Erased(erased=erased, remaining=remaining, checked_at=ingestor.clock())
