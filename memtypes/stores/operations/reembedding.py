"""Computes new vectors for stored memories and items, to re-embed a store of any kind."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import numpy as np

from memtypes.conversation_context import in_context_everywhere
from memtypes.items.index_paths import texts_at
from memtypes.ports.memory_store import MemoryStore, Record
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.operations.items import NO_TERMS
from memtypes.stores.operations.schema import ITEMS, Collection
from memtypes.stores.operations.vector_engine import ItemPoint, Payload, Point, memory_of

EmbedTexts: TypeAlias = Callable[[Sequence[InContext]], Awaitable[list[Vectors]]]
"""Computes the vectors of texts, each with its conversation context (see
`memtypes.conversation_context`).
"""


async def embed_again(
    store: MemoryStore, kind: Collection, payloads: Sequence[Payload], embed: EmbedTexts
) -> Sequence[Point]:
    """Return points with new vectors for `payloads`. A turn is embedded with the turns before it,
    read from `store`.
    """
    if kind is ITEMS:
        return [await _item_point(payload, embed) for payload in payloads]
    memories = [memory_of(payload) for payload in payloads]
    embedded = await embed(await in_context_everywhere(store, memories))
    return [
        Record.from_memory(memory, vectors)
        for memory, vectors in zip(memories, embedded, strict=True)
    ]


async def _item_point(payload: Payload, embed: EmbedTexts) -> ItemPoint:
    texts = texts_at(json.loads(payload["value"]), payload.get("index"))
    vectors = await embed([InContext(text) for text in texts]) if texts else []
    dense = (
        np.vstack([text_vectors.dense for text_vectors in vectors])
        if vectors
        else np.empty((0, 0), np.float32)
    )
    return ItemPoint(payload["id"], payload, Vectors(dense, NO_TERMS))
