"""Turns that were embedded after one that is gone or says something else now: they are embedded anew.

Their vectors were made with its words in view, so nothing of those stays behind. Knows the ports only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ingest.keeping import record_of
from ingest.locks import ScopeLocks
from ingest.preceding import Preceding
from ingest.prepare import Prepared, Preparer
from memtypes.memory import Memory
from memtypes.ports import Embedder, MemoryStore
from memtypes.scope import Scope


@dataclass(frozen=True, slots=True)
class Echoes:
    """Makes vectors anew; its caller holds the namespace's lock."""

    store: MemoryStore
    embedder: Embedder
    preparer: Preparer

    async def renew(self, scope: Scope, gone: Sequence[Memory]) -> int:
        """How many turns were embedded anew, because they follow one of `gone`."""
        preceding = Preceding(self.store)
        following = await preceding.following(scope, gone)
        if not following:
            return 0
        prepared = await anyio.to_thread.run_sync(lambda: [self.preparer.finish(one) for one in following])
        heard = await preceding.heard(scope, prepared)
        made = await self.embedder.embed_in_context([one.in_context for one in heard])
        await self.store.upsert(scope, [record_of(one, vectors) for one, vectors in zip(heard, made, strict=True)])
        return len(heard)


@dataclass(frozen=True, slots=True)
class Remover:
    """Removes single memories, and what others keep of them."""

    echoes: Echoes
    locks: ScopeLocks

    async def remove(self, scope: Scope, ids: Sequence[str]) -> int:
        """How many of `ids` there were."""
        store = self.echoes.store
        async with self.locks.of(scope):
            found = await store.get(scope, ids)
            removed = await store.delete(scope, list(found))
            await self.echoes.renew(scope, list(found.values()))
        return removed
