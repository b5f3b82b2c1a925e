"""How the memories are erased, and how everything is, with the proof."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.screening.document_cache import DocumentCache
from ingest.screening.prefilter import RecentTexts
from ingest.writing.pipeline import Ingestor
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, Instant
from memtypes.ports.erasure import Erasable
from memtypes.ports.memory_store import MemoryStore
from retrieval.answer import Answer


class Memories(Erasable):
    """The five collections, with their vectors."""

    def __init__(self, store: MemoryStore, ingestor: Ingestor) -> None:
        self._store = store
        self._ingestor = ingestor

    async def erase(self, scope: Scope, memory_id: str | None) -> int:
        """How many memories were removed."""
        if memory_id is None:
            return await self._ingestor.remove_where(scope, (), None)
        return await self._ingestor.remove(scope, [memory_id])

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:
        """How many are there."""
        if memory_id is not None:
            return len(await self._store.get(scope, [memory_id]))
        return sum(one.count for one in (await self._store.stats(scope)).values())


class Remembered(Erasable):
    """What ingestion remembers of the last texts. It knows texts without ids: with one memory all of a namespace go."""

    def __init__(self, recent: RecentTexts, documents: DocumentCache) -> None:
        self._recent = recent
        self._documents = documents

    async def erase(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - see the class
        """How many texts were forgotten; vectors of the last texts of whatever scope go with them."""
        there = self._recent.count(scope)
        self._recent.forget(scope)
        self._documents.forget()
        return there

    async def remaining(self, scope: Scope, memory_id: str | None) -> int:  # noqa: ARG002 - see the class
        """How many are remembered."""
        return self._recent.count(scope)


class Erased(Answer):
    """What was removed from each place, and what is there now."""

    erased: dict[str, int]
    remaining: dict[str, int]
    checked_at: Instant


async def erase_everywhere(places: Mapping[str, Erasable], scope: Scope, memory_id: str | None, clock: Clock) -> Erased:
    """The proof that nothing is left: every place is asked again after all of them were emptied."""
    erased = {name: await place.erase(scope, memory_id) for name, place in places.items()}
    remaining = {name: await place.remaining(scope, memory_id) for name, place in places.items()}
    return Erased(erased=erased, remaining=remaining, checked_at=clock())
