"""Remembrancer as one of the compared systems, with precomputed embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.systems.ours import PrecomputedEmbedder
from memtypes.search.vectors import Embedding
from tests.fakes import FakeEmbedder

pytestmark = pytest.mark.anyio


async def test_texts_with_a_precomputed_embedding_are_not_embedded_again() -> None:
    """Texts with a precomputed embedding get this embedding.

    Other queries are embedded; other documents raise KeyError.
    """
    inner = FakeEmbedder()
    embedding = Embedding(np.ones(inner.dimensions, dtype=np.float32))
    embedder = PrecomputedEmbedder(inner, {"known": embedding})
    assert await embedder.embed_query("known") is embedding
    assert np.array_equal(
        (await embedder.embed_query("the move")).dense, (await inner.embed_query("the move")).dense
    )
    assert await embedder.embed_documents(["known"]) == [embedding]
    with pytest.raises(KeyError):
        await embedder.embed_documents(["unknown"])
    assert (embedder.fingerprint, embedder.dimensions) == (inner.fingerprint, inner.dimensions)
    await embedder.ping()
    await embedder.aclose()
