"""Embeds memories: the only place where texts of memories are sent to the encoder.

A conversation turn is embedded with the turns before it as context. So when the text of a turn
changes or goes away, the turns after it are embedded again, and nothing of the old text remains in
their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from ingest.writing.drafts import PendingWrite, Preparer
from memtypes.conversation_context import ConversationContext, by_position
from memtypes.model.memory import Memory
from memtypes.model.scope import Scope
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore, Record


@dataclass(frozen=True, slots=True)
class MemoryEmbedder:
    """Embeds new memories, and stored ones whose text or context changes. store: where the turns
    before and after them are looked up.
    """

    store: MemoryStore
    embedder: Embedder
    preparer: Preparer

    async def embedded(self, entries: Sequence[PendingWrite]) -> list[PendingWrite]:
        """The entries, all with an embedding; those that had none are embedded together."""
        texts = [entry.in_context for entry in entries if entry.embedding is None]
        embeddings = iter(await self.embedder.embed_in_context(texts) if texts else ())
        return [
            replace(entry, embedding=next(embeddings)) if entry.embedding is None else entry
            for entry in entries
        ]

    async def records(self, entries: Sequence[PendingWrite]) -> list[Record]:
        """The records to store for `entries`; those without an embedding are embedded."""
        return [
            entry.record(entry.embedding)
            for entry in await self.embedded(entries)
            if entry.embedding is not None
        ]

    async def in_context(
        self,
        scope: Scope,
        memories: Sequence[Memory],
        added: Sequence[Memory] = (),
        removed: Sequence[Memory] = (),
    ) -> list[PendingWrite]:
        """`memories`, prepared again with the turns before them as context; not embedded yet.

        added: turns that are about to be stored. removed: turns that are no context any more.
        """
        prepared = await anyio.to_thread.run_sync(
            lambda: [self.preparer.prepare_memory(memory) for memory in memories]
        )
        befores = await ConversationContext(self.store).turns_before(
            scope, memories, dict(by_position(added)), {memory.id for memory in removed}
        )
        return [
            replace(entry, before=before) for entry, before in zip(prepared, befores, strict=True)
        ]

    async def following(
        self, scope: Scope, removed: Sequence[Memory], added: Sequence[Memory] = ()
    ) -> list[PendingWrite]:
        """The stored turns that have the turns `removed` as context, with `added` in their place;
        not embedded yet.
        """
        turns = await ConversationContext(self.store).following(scope, removed)
        return await self.in_context(scope, turns, added, removed) if turns else []
