"""Fixtures of the encoders' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from memtypes.encoders.prepare import weights_directory
from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from tests.encoders.texts import VARIED


@pytest.fixture(scope="session")
async def torch_embedder() -> AsyncIterator[SentenceTransformersEmbedder]:
    """The second engine over the same weights, from their folder: nothing is looked for on a network."""
    settings = SentenceTransformersSettings(str(weights_directory()), device="cpu")
    embedder = await SentenceTransformersEmbedder.open(settings)
    yield embedder
    await embedder.aclose()


@pytest.fixture(scope="session")
async def torch_vectors(torch_embedder: SentenceTransformersEmbedder) -> list[np.ndarray]:
    """The second engine's vectors of VARIED."""
    return [embedding.dense for embedding in await torch_embedder.embed_documents(VARIED)]
