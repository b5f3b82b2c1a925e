"""The cache of document embeddings."""

from __future__ import annotations

import pytest

from ingest.screening.document_cache import DocumentCache
from tests.ingest.doubles import CountingEmbedder

pytestmark = pytest.mark.anyio


async def test_repeated_documents_are_embedded_once_until_evicted() -> None:
    """A text is embedded again when 256 others have come after it."""
    inner = CountingEmbedder()
    shared = DocumentCache(inner)
    await shared.embed_documents(["a", "b", "a"])
    await shared.embed_documents([f"t{index}" for index in range(300)])
    await shared.embed_documents(["a", "t299"])
    assert (inner.texts.count("a"), inner.texts.count("t299")) == (2, 1)
    assert (shared.fingerprint, shared.dimensions) == ("counting", 4)
    assert (await shared.embed_query("q")).dense.shape == (4,)
    await shared.ping()
    await shared.aclose()


async def test_forgetting_empties_the_cache() -> None:
    """After that a text is embedded again."""
    inner = CountingEmbedder()
    cache = DocumentCache(inner)
    await cache.embed_documents(["a"])
    cache.forget()
    await cache.embed_documents(["a"])
    assert inner.texts.count("a") == 2
