"""Embeds the texts that the training scripts learn from, by the configured encoder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

from api.settings import read_settings
from api.wiring.resources import open_embedder
from memtypes.search.vectors import Embedding

_BATCH = 64


def embeddings_of(texts: Iterable[str], *, queries: bool = False) -> dict[str, Embedding]:
    """The embeddings of `texts`, by text. queries: whether to embed them as queries instead of
    documents.
    """
    return asyncio.run(_embedded(list(dict.fromkeys(texts)), queries=queries))


async def _embedded(texts: list[str], *, queries: bool) -> dict[str, Embedding]:
    async with aclosing(await open_embedder(read_settings())) as embedder:
        if queries:
            return {text: await embedder.embed_query(text) for text in texts}
        batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        embedded = [
            embedding for batch in batches for embedding in await embedder.embed_documents(batch)
        ]
        return dict(zip(texts, embedded, strict=True))
