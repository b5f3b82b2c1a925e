"""Fixtures for the tests of encoders."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from memtypes.encoders.setup.prepare import weights_directory
from tests.memtypes.encoders.texts import VARIED


@pytest.fixture(scope="session")
def torch_vectors() -> list[np.ndarray]:
    """Vectors of VARIED by sentence-transformers with the same weights, without network access.

    The event loop is closed before tests start, because some tests run their own.
    """
    return anyio.run(_embed)


async def _embed() -> list[np.ndarray]:
    settings = SentenceTransformersSettings(str(weights_directory()), device="cpu")
    embedder = await SentenceTransformersEmbedder.open(settings)
    try:
        return [embedding.dense for embedding in await embedder.embed_documents(VARIED)]
    finally:
        await embedder.aclose()
