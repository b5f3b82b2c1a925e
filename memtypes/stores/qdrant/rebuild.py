"""Re-embedding of a server's collections: writes every memory to new collections, and then changes all aliases at once.

Stop every service that uses the server first: memories that are written meanwhile are copied too, but a running service
keeps using its embedder. Until the aliases change nothing has changed. The previous collections stay, for the operator
to delete.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

from qdrant_client import AsyncQdrantClient, models

from memtypes.conversation_context import in_context_everywhere
from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.operations.schema import collection_name
from memtypes.stores.operations.writes import memory_of, point_of
from memtypes.stores.qdrant.store import QdrantSettings, QdrantStore, client_of
from memtypes.stores.qdrant.translate import to_point, translated

PIECE = 64
PASSES = 3
"""Passes over the memories that have changed meanwhile, before the rebuild gives up."""

VectorsOf: TypeAlias = Callable[[Sequence[Memory], Sequence[InContext]], Awaitable[list[Vectors]]]
"""Computes the vectors of memories, each from its text in context (see `memtypes.conversation_context`)."""


async def rebuild(
    settings: QdrantSettings, vectors_of: VectorsOf, client: AsyncQdrantClient | None = None
) -> dict[MemoryType, int]:
    """The number of memories of each type in the next version, which is the current one then.

    settings: with the fingerprint and dimensions of the new vectors. Raises InvalidRequest where there is nothing to
    re-embed, Unavailable, and what `vectors_of` raises; nothing has changed then.
    """
    own = client or client_of(settings)
    try:
        with translated(settings.url):
            return await _Rebuild(settings, own, vectors_of).run()
    finally:
        if client is None:
            await own.close()


class _Rebuild:
    def __init__(self, settings: QdrantSettings, client: AsyncQdrantClient, vectors_of: VectorsOf) -> None:
        self._settings = settings
        self._client = client
        self._vectors_of = vectors_of
        self._store = QdrantStore(settings, client)

    async def run(self) -> dict[MemoryType, int]:
        known = {alias.alias_name: alias.collection_name for alias in (await self._client.get_aliases()).aliases}
        names = {kind: collection_name(self._settings.prefix, kind) for kind in MemoryType}
        missing = sorted(set(names.values()) - set(known))
        if missing:
            raise InvalidRequest(f"{self._settings.url} has no {', '.join(missing)}; there is nothing to re-embed")
        counts, swaps = {}, list[models.AliasOperations]()
        for kind, alias in names.items():
            old, new = known[alias], _next(known[alias])
            await self._client.delete_collection(new)  # left by an interrupted rebuild; no alias names it
            await self._store.create(new)
            await self._store.index(kind, new)
            counts[kind] = await self._copied(old, new)
            swaps += [
                models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)),
                models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=new, alias_name=alias)),
            ]
        await self._client.update_collection_aliases(swaps)
        return counts

    async def _copied(self, old: str, new: str) -> int:
        """The number of points in the new collection, once it has every point of the old one in its current state."""
        for _ in range(PASSES):
            before, after = await self._states(old), await self._states(new)
            if before == after:
                return len(after)
            if gone := sorted(set(after) - set(before)):
                await self._client.delete(new, list(gone), wait=True)
            changed = [one for one, state in before.items() if after.get(one) != state]
            for start in range(0, len(changed), PIECE):
                await self._copy(old, new, changed[start : start + PIECE])
        if await self._states(old) == (after := await self._states(new)):
            return len(after)
        raise Unavailable(f"{old} is still being written to; stop every service that uses it and try again")

    async def _copy(self, old: str, new: str, ids: list[str]) -> None:
        found = await self._client.retrieve(old, list(ids), with_payload=True)
        memories = [memory_of(one.payload or {}) for one in found]
        vectors = await self._vectors_of(memories, await in_context_everywhere(self._store, memories))
        records = [Record(one, made) for one, made in zip(memories, vectors, strict=True)]
        await self._client.upsert(new, [to_point(point_of(record)) for record in records], wait=True)

    async def _states(self, collection: str) -> dict[str, tuple[object, ...]]:
        """A value for each point that changes with every write to it."""
        return {one: state async for one, state in self._scrolled(collection)}

    async def _scrolled(self, collection: str) -> AsyncIterator[tuple[str, tuple[object, ...]]]:
        fields = ["updated_at", "accessed_at", "access_count"]
        offset: models.ExtendedPointId | None = None
        while True:
            records, offset = await self._client.scroll(collection, limit=1_000, offset=offset, with_payload=fields)
            for record in records:
                payload = record.payload or {}
                yield str(record.id), tuple(payload.get(field) for field in fields)
            if offset is None:
                return


def _next(collection: str) -> str:
    found = re.fullmatch(r"(.*_v)(\d+)", collection)
    if found is None:
        raise InvalidRequest(f"the collection {collection} has no version in its name")
    return f"{found[1]}{int(found[2]) + 1}"
