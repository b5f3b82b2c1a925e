"""The sentence-transformers embedder, its errors, and the default encoder's vectors compared with its vectors."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from memtypes.encoders.setup.prepare import encode_model, weights_directory
from memtypes.model.errors import SetupRequired
from tests.memtypes.encoders.texts import VARIED

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
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


@pytest.mark.slow
async def test_the_float32_graph_agrees_with_sentence_transformers(torch_vectors: list[np.ndarray]) -> None:
    """Our graph gives the library's vectors, for texts one by one and for a batch padded to one length."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = encode_model(weights_directory() / "model.safetensors", int8=False)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(weights_directory() / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    encoded = tokenizer.encode_batch(VARIED)
    inputs = {
        "input_ids": np.array([one.ids for one in encoded]),
        "attention_mask": np.array([one.attention_mask for one in encoded]),
    }
    sentences, tokens = session.run(["sentence", "tokens"], inputs)
    assert min(np.sum(sentences * np.stack(torch_vectors), axis=1)) > 0.9999
    assert np.allclose(np.linalg.norm(tokens, axis=2), 1, atol=1e-5)


async def test_vectors_agree_with_sentence_transformers(onnx_directory: Path, torch_vectors: list[np.ndarray]) -> None:
    """The int8 vectors have a cosine of .99 on average and .98 at least to those of the float32 model."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    vectors = [embedding.dense for embedding in await embedder.embed_documents(VARIED)]
    await embedder.aclose()
    cosines = [float(left @ right) for left, right in zip(vectors, torch_vectors, strict=True)]
    assert np.mean(cosines) > 0.99
    assert min(cosines) > 0.98


async def test_a_missing_model_requires_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening without the model raises an error that names the model."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SetupRequired, match="nothing-here"):
        await SentenceTransformersEmbedder.open(SentenceTransformersSettings(str(tmp_path / "nothing-here")))


async def test_a_missing_package_requires_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening without the package raises an error that names the extra to install."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SetupRequired, match=r"pip install -e '.\[torch\]'"):
        await SentenceTransformersEmbedder.open(SentenceTransformersSettings(str(weights_directory())))
