"""Embeds the texts that the training scripts learn from, by the configured encoder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

from api.settings import read_settings
from api.wiring.resources import open_embedder
from memtypes.ports.encoders import weights_of
from memtypes.search.vectors import Embedding

_BATCH = 64


_SAME_WEIGHTS = {"53aa51172d142c89": ("2c705a5e3279febc",)}
"""Hashes of the same weights as another embedder computes them: all-MiniLM-L6-v2 in
sentence-transformers.
"""


def trained_on() -> tuple[str, ...]:
    """Hashes of the weights of the configured encoder, which a model's file names as the encoders
    that it was trained on.
    """
    return asyncio.run(_weights())


async def _weights() -> tuple[str, ...]:
    async with aclosing(await open_embedder(read_settings())) as embedder:
        weights = weights_of(embedder.fingerprint)
    return (weights, *_SAME_WEIGHTS.get(weights, ()))


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
