"""Re-embedding of a server's collections: writes every point to new collections, then changes all
aliases at once.

Stop every service that uses the server first. Memories that a service writes meanwhile are copied
too, but the service would keep using the old embedder. Until the aliases change, services see the
old collections. These are not deleted.
"""

from __future__ import annotations

import re

from qdrant_client import AsyncQdrantClient, models

from memtypes.model.errors import InvalidRequest, Unavailable
from memtypes.model.policy import MemoryType
from memtypes.stores.operations.reembedding import EmbedTexts, embed_again
from memtypes.stores.operations.schema import Collection
from memtypes.stores.qdrant.store import QdrantSettings, QdrantStore, client_of
from memtypes.stores.qdrant.translate import to_point, translate_errors

BATCH = 64
PASSES = 3
"""How often points that changed during the copy are copied again, before the rebuild gives up."""


async def rebuild(
    settings: QdrantSettings, embed: EmbedTexts, client: AsyncQdrantClient | None = None
) -> dict[Collection, int]:
    """Re-embed every memory and every keyed item on a Qdrant server. Returns the number of points
    of each collection.

    settings: the store's settings, with the fingerprint and dimensions of the new embedder. Raises
    InvalidRequest if there is nothing to re-embed, Unavailable, and the errors of `embed`. After
    any error the aliases are unchanged.
    """
    connection = client or client_of(settings)
    try:
        with translate_errors(settings.url):
            return await _Rebuild(settings, connection, embed).run()
    finally:
        if client is None:
            await connection.close()


class _Rebuild:
    def __init__(
        self, settings: QdrantSettings, client: AsyncQdrantClient, embed: EmbedTexts
    ) -> None:
        self._settings = settings
        self._client = client
        self._embed = embed
        self._store = QdrantStore(settings, client)

    async def run(self) -> dict[Collection, int]:
        collections = {
            alias.alias_name: alias.collection_name
            for alias in (await self._client.get_aliases()).aliases
        }
        missing = sorted({self._store.aliases[kind] for kind in MemoryType} - set(collections))
        if missing:
            raise InvalidRequest(
                f"{self._settings.url} has no {', '.join(missing)}; there is nothing to re-embed"
            )
        counts = dict[Collection, int]()
        swaps = list[models.AliasOperations]()
        for kind, alias in self._store.aliases.items():
            if alias not in collections:  # a server that no version with items has opened
                continue
            old = collections[alias]
            new = _next_version(collections[alias])
            # Left by an interrupted rebuild; no alias names it
            await self._client.delete_collection(new)
            await self._store.create(kind, new)
            await self._store.index(kind, new)
            counts[kind] = await self._copy(kind, old, new)
            swaps += [
                models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)),
                models.CreateAliasOperation(
                    create_alias=models.CreateAlias(collection_name=new, alias_name=alias)
                ),
            ]
        await self._client.update_collection_aliases(swaps)
        return counts

    async def _copy(self, kind: Collection, old: str, new: str) -> int:
        """Re-embed the points of `old` into `new`, and repeat it for points that changed. Returns
        their number.
        """
        for _ in range(PASSES):
            old_states = await self._states(old)
            new_states = await self._states(new)
            if old_states == new_states:
                return len(new_states)
            if removed := sorted(set(new_states) - set(old_states)):
                await self._client.delete(new, list(removed), wait=True)
            changed = [
                memory_id
                for memory_id, state in old_states.items()
                if new_states.get(memory_id) != state
            ]
            for start in range(0, len(changed), BATCH):
                records = await self._client.retrieve(
                    old, changed[start : start + BATCH], with_payload=True
                )
                points = await embed_again(
                    self._store, kind, [record.payload or {} for record in records], self._embed
                )
                await self._client.upsert(new, [to_point(point) for point in points], wait=True)
        if await self._states(old) == (new_states := await self._states(new)):
            return len(new_states)
        raise Unavailable(
            f"{old} is still being written to; stop every service that uses it and try again"
        )

    async def _states(self, collection: str) -> dict[str, tuple[object, ...]]:
        """The times and use counts of each point, by id. Every write changes one of them."""
        fields = ["updated_at", "accessed_at", "access_count", "created_at", "expires_at"]
        states: dict[str, tuple[object, ...]] = {}
        offset: models.ExtendedPointId | None = None
        while True:
            records, offset = await self._client.scroll(
                collection, limit=1_000, offset=offset, with_payload=fields
            )
            for record in records:
                payload = record.payload or {}
                states[str(record.id)] = tuple(payload.get(field) for field in fields)
            if offset is None:
                return states


def _next_version(collection: str) -> str:
    match = re.fullmatch(r"(.*_v)(\d+)", collection)
    if match is None:
        raise InvalidRequest(
            f"the name of the collection {collection} does not end with a version, such as _v1"
        )
    return f"{match[1]}{int(match[2]) + 1}"
