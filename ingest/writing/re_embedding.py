"""Turns that were embedded after one that goes, or says something else from now on: they are embedded anew.

Their vectors were made with its words in view, so nothing of those stays behind. Knows the ports only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ingest.writing.prepare import Preparer
from ingest.writing.writer import record_of
from memtypes.conversation_context import Preceding, by_place
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore


@dataclass(frozen=True, slots=True)
class Echoes:
    """Makes vectors anew; its caller holds the namespace's lock, and makes the change itself after that.

    So when an encoder or a store fails here, nothing was changed yet and the call can be made again.
    """

    store: MemoryStore
    embedder: Embedder
    preparer: Preparer

    async def renew(self, scope: Scope, gone: Sequence[Memory], instead: Sequence[Memory] = ()) -> int:
        """How many turns were embedded anew, as if `gone` had never been said, and `instead` in their places."""
        preceding = Preceding(self.store)
        following = await preceding.following(scope, gone)
        if not following:
            return 0
        prepared = await anyio.to_thread.run_sync(lambda: [self.preparer.finish(one) for one in following])
        unheard = {one.id for one in gone}
        given = await preceding.in_context(scope, following, dict(by_place(instead)), unheard)
        made = await self.embedder.embed_in_context(given)
        await self.store.upsert(scope, [record_of(one, vectors) for one, vectors in zip(prepared, made, strict=True)])
        return len(prepared)
