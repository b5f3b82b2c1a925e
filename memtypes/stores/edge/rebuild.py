"""Re-embedding of an embedded store: writes all points with new vectors to new shards, then makes
these current.

The lock of the store is held meanwhile, so no write is missed. The store is unchanged until
store.json, which names the current shards, is replaced. The previous shards are not deleted.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

from memtypes.model.errors import InvalidRequest, StoreInUse, Unavailable
from memtypes.stores.edge.engine.edge_engine import EdgeEngine
from memtypes.stores.edge.layout import Layout, StoreManifest
from memtypes.stores.edge.worker import EdgeSettings
from memtypes.stores.files import locked_by, sync_directory
from memtypes.stores.operations.conditions import EVERYTHING
from memtypes.stores.operations.engine_store import (
    Answer,
    EngineFunction,
    EngineStore,
    Parameters,
)
from memtypes.stores.operations.reembedding import EmbedTexts, embed_again
from memtypes.stores.operations.schema import COLLECTIONS, Collection
from memtypes.stores.operations.vector_engine import PutPoints


async def rebuild(settings: EdgeSettings, embed: EmbedTexts) -> dict[Collection, int]:
    """Re-embed every memory and every keyed item of a store. Returns the number of points of each
    collection.

    settings: the store's settings, with the fingerprint and dimensions of the new embedder. Raises
    StoreInUse if a program has the store open (see `EdgeStore.rebuild`), InvalidRequest if there is
    no store, Unavailable, and the errors of `embed`. After any error the store is unchanged.
    """
    layout = await asyncio.to_thread(Layout.create, settings.directory)
    deadline = time.monotonic() + settings.lock_wait_s
    async with locked_by(layout.lock_path, deadline) as acquired:
        if not acquired:
            raise StoreInUse(
                f"the store in {layout.directory} is in use by process {layout.holder()}; stop the "
                "service first"
            )
        return await _rebuild_shards(layout, settings, embed)


async def _rebuild_shards(
    layout: Layout, settings: EdgeSettings, embed: EmbedTexts
) -> dict[Collection, int]:
    manifest = layout.read_manifest()
    if manifest is None:
        raise InvalidRequest(f"{layout.directory} is not a store; there is nothing to re-embed")
    paths = {kind: await asyncio.to_thread(layout.next_path, kind) for kind in COLLECTIONS}
    columns = settings.column_kinds
    old = EdgeEngine.open(layout.shard_paths(), manifest.dimensions, columns)
    with closing(old), closing(EdgeEngine.open(paths, settings.dimensions, columns)) as new:
        counts = {kind: await _copy(old, new, kind, embed) for kind in COLLECTIONS}
        for directory in new.pop_unsynced():
            await asyncio.to_thread(sync_directory, directory)
    current = {str(kind): path.name for kind, path in paths.items()}
    new_manifest = StoreManifest(settings.fingerprint, settings.dimensions, current)
    await asyncio.to_thread(layout.write_manifest, new_manifest)
    return counts


class _OpenedStore(EngineStore):
    """A store whose engine runs in this process. Re-embedding a turn reads the turns before it from
    this store.
    """

    def __init__(self, engine: EdgeEngine) -> None:
        super().__init__(0)
        self._engine = engine

    async def call(
        self,
        function: EngineFunction[Parameters, Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        return await function(self._engine, *arguments, **named)

    async def ping(self) -> None:
        """Do nothing: the engine is in this process."""

    async def aclose(self) -> None:
        """Do nothing: the caller that opened the engine closes it."""


async def _copy(old: EdgeEngine, new: EdgeEngine, kind: Collection, embed: EmbedTexts) -> int:
    """Write a collection's points with new vectors to `new`. Returns how many. Raises Unavailable
    if any is missing.
    """
    old_store = _OpenedStore(old)
    for payloads in old.payload_batches(kind):
        await new.write(
            {kind: [PutPoints(await embed_again(old_store, kind, payloads, embed), EVERYTHING)]}
        )
    counts = [(await engine.count({kind: EVERYTHING}))[kind] for engine in (old, new)]
    if counts[0] != counts[1]:
        raise Unavailable(
            f"{counts[1]} of {counts[0]} {kind} points were re-embedded; nothing was changed"
        )
    return counts[1]
