"""Re-embedding of an embedded store: writes all points with new vectors to new shards, then makes these current.

The engine is stopped first and can't be started meanwhile, so no write is missed. The store is unchanged until
store.json, which names the current shards, is replaced. The previous shards are not deleted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import closing

from memtypes.model.errors import InvalidRequest, StoreInUse, Unavailable
from memtypes.stores.edge.engine.engine import EdgeEngine
from memtypes.stores.edge.layout import Alias, Layout
from memtypes.stores.edge.process.starting import EdgeSettings
from memtypes.stores.files import holder_of, locked, locked_by, sync_directory
from memtypes.stores.operations.conditions import EVERYTHING
from memtypes.stores.operations.engine import PutPoints
from memtypes.stores.operations.message_store import Answer, MessageStore
from memtypes.stores.operations.messages import EngineRequest
from memtypes.stores.operations.reembedding import EmbedTexts, embed_again
from memtypes.stores.operations.schema import COLLECTIONS, Collection

STOP_S = 60.0
"""Seconds that an engine process has to flush its shards and end after SIGTERM."""

ENDING_S = 3.0
"""Seconds, beyond those that it lingers, in which an engine ends whose last client has just left."""


async def rebuild(settings: EdgeSettings, embed: EmbedTexts, *, stop_engine: bool) -> dict[Collection, int]:
    """Re-embed every memory and every keyed item of a store. Returns the number of points of each collection.

    settings: the store's settings, with the fingerprint and dimensions of the new embedder. stop_engine: if True, a
    running engine is stopped first, and its clients wait; if False, StoreInUse is raised if one runs. Also raises
    StoreInUse if another process is opening the store, InvalidRequest if there is no store, Unavailable, and the errors
    of `embed`. After any error the store is unchanged.
    """
    layout = await asyncio.to_thread(Layout.create, settings.directory)
    with locked(layout.opening_lock) as opening:
        if not opening:
            raise StoreInUse(f"process {holder_of(layout.opening_lock)} is opening the store; try again")
        if stop_engine:
            with locked(layout.engine_lock) as gone:
                engine = None if gone else layout.read_holder()
            if engine is not None:  # else no engine runs, or one is ending
                os.kill(engine.pid, signal.SIGTERM)
        wait_s = STOP_S if stop_engine else settings.linger_s + ENDING_S
        async with locked_by(layout.engine_lock, time.monotonic() + wait_s) as alone:
            if not alone:
                holder = holder_of(layout.engine_lock)
                raise StoreInUse(f"process {holder} serves the store in {layout.directory}; stop the service first")
            return await _rebuilt(layout, settings, embed)


async def _rebuilt(layout: Layout, settings: EdgeSettings, embed: EmbedTexts) -> dict[Collection, int]:
    alias = layout.read_alias()
    if alias is None:
        raise InvalidRequest(f"{layout.directory} is not a store; there is nothing to re-embed")
    paths = {kind: await asyncio.to_thread(layout.next_path, kind) for kind in COLLECTIONS}
    before = EdgeEngine.open(layout.shard_paths(), alias.dimensions)
    with closing(before) as old, closing(EdgeEngine.open(paths, settings.dimensions)) as new:
        counts = {kind: await _copy(old, new, kind, embed) for kind in COLLECTIONS}
        for written in new.take_unsynced():
            await asyncio.to_thread(sync_directory, written)
    current = {str(kind): path.name for kind, path in paths.items()}
    after = Alias(settings.fingerprint, settings.dimensions, current)
    await asyncio.to_thread(layout.write_alias, after)
    return counts


class _OpenedStore(MessageStore):
    """A store whose engine runs in this process. For re-embedding a turn, the turns before it are read from it."""

    def __init__(self, engine: EdgeEngine) -> None:
        super().__init__(0)
        self._engine = engine

    async def ask(self, request: EngineRequest[Answer]) -> Answer:
        return await request.run(self._engine)

    async def ping(self) -> None:
        """Do nothing: the engine is in this process."""

    async def aclose(self) -> None:
        """Do nothing: the caller that opened the engine closes it."""


async def _copy(old: EdgeEngine, new: EdgeEngine, kind: Collection, embed: EmbedTexts) -> int:
    """Embed a collection's points again into `new`; return how many. Raises Unavailable if `new` then lacks points."""
    before = _OpenedStore(old)
    for payloads in old.every(kind):
        await new.write({kind: [PutPoints(await embed_again(before, kind, payloads, embed), EVERYTHING)]})
    counts = [(await engine.count({kind: EVERYTHING}))[kind] for engine in (old, new)]
    if counts[0] != counts[1]:
        raise Unavailable(f"{counts[1]} of {counts[0]} {kind} points were re-embedded; nothing was changed")
    return counts[1]
