"""Fixtures of the encoders' tests."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from memtypes.encoders.setup.prepare import weights_directory
from tests.memtypes.encoders.texts import VARIED


@pytest.fixture(scope="session")
def torch_vectors() -> list[np.ndarray]:
    """The second engine's vectors of VARIED, over the same weights, from their folder: nothing is fetched.

    Its event loop is gone when a test begins: one that stayed would be in the way of tests that run one of their own.
    """
    return anyio.run(_embedded)


async def _embedded() -> list[np.ndarray]:
    settings = SentenceTransformersSettings(str(weights_directory()), device="cpu")
    embedder = await SentenceTransformersEmbedder.open(settings)
    try:
        return [embedding.dense for embedding in await embedder.embed_documents(VARIED)]
    finally:
        await embedder.aclose()
