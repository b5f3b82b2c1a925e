"""What is particular to each engine, and that both give the same vectors."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from memtypes.encoders.setup.prepare import weights_directory
from memtypes.encoders.texts import head_of
from memtypes.model.errors import SetupRequired
from memtypes.search.vectors import InContext
from tests.memtypes.encoders.texts import VARIED

pytestmark = pytest.mark.anyio


async def test_both_engines_give_the_same_vectors(onnx_directory: Path, torch_vectors: list[np.ndarray]) -> None:
    """For the same model the int8 vectors have cosine .99 to sentence-transformers' on the average, .98 at least."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    small = [embedding.dense for embedding in await embedder.embed_documents(VARIED)]
    await embedder.aclose()
    cosines = [float(left @ right) for left, right in zip(small, torch_vectors, strict=True)]
    assert np.mean(cosines) > 0.99
    assert min(cosines) > 0.98


async def test_a_text_has_one_vector_whatever_comes_with_it(onnx_directory: Path) -> None:
    """The default engine's vectors are bit for bit the same alone, in a batch, and as a query."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    together = await embedder.embed_documents(VARIED)
    queries = await asyncio.gather(*[embedder.embed_query(text) for text in VARIED])
    for left, right in zip(together, queries, strict=True):
        assert left.dense.tobytes() == right.dense.tobytes()
    await embedder.aclose()


async def test_a_query_does_not_wait_for_documents(onnx_directory: Path) -> None:
    """Queries come through while a long batch of documents is under way."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    documents = asyncio.create_task(embedder.embed_documents(["many words in a row " * 60] * 150))
    await asyncio.sleep(0.1)
    begun = time.perf_counter()
    for at in range(5):
        await embedder.embed_query(f"question {at}")
    waited = time.perf_counter() - begun
    assert not documents.done()
    assert waited < 5  # the documents take longer by far
    await documents
    await embedder.aclose()


async def test_token_vectors_when_there_is_a_projection(onnx_directory: Path) -> None:
    """With a projection each token but the first and last has 128 int8 values of length 127, and the name changes."""
    projection = np.linalg.qr(np.random.default_rng(0).normal(size=(384, 128)))[0].astype(np.float32)
    plain = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    late = await OnnxEmbedder.open(OnnxSettings(onnx_directory, projection=projection))
    found = await late.embed_query("three small words")
    assert found.tokens is not None
    assert found.tokens.dtype == np.int8
    assert found.tokens.shape == (3, 128)
    assert np.linalg.norm(found.tokens.astype(float), axis=1) == pytest.approx(127, abs=4)
    assert found.dense.tobytes() == (await plain.embed_query("three small words")).dense.tobytes()
    assert late.fingerprint.startswith(plain.fingerprint + ":tokens-")
    await plain.aclose()
    await late.aclose()


async def test_a_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown model is a matter of set-up, and the text names it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SetupRequired, match="nothing-here"):
        await SentenceTransformersEmbedder.open(SentenceTransformersSettings(str(tmp_path / "nothing-here")))


async def test_the_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sentence-transformers the extra is named that brings it."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SetupRequired, match=r"pip install -e '.\[torch\]'"):
        await SentenceTransformersEmbedder.open(SentenceTransformersSettings(str(weights_directory())))


def test_the_head_of_a_text() -> None:
    """A short text stays as it is; of a long one blanks are joined and the beginning is kept."""
    assert head_of("a  b", 1) == "a  b"
    assert head_of("a" + " " * 100 + "b", 1) == "a b"
    assert head_of("x" * 100, 1) == "x" * 64
    assert head_of("\ud800", 1) == "?"


async def test_a_short_text_is_read_with_what_was_said_before(onnx_directory: Path) -> None:
    """It has its own tokens, all of them changed by what was before; a long one, and one after nothing, are not."""
    projection = np.linalg.qr(np.random.default_rng(0).normal(size=(384, 128)))[0].astype(np.float32)
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory, projection=projection))
    long = "many words in a row " * 40
    given = [
        InContext("She loved it!", "We took grandma to the opera."),
        InContext("She loved it!"),
        InContext(long, "Hm."),
    ]
    heard, alone, whole = await embedder.embed_in_context(given)
    (same, as_long) = await embedder.embed_documents(["She loved it!", long])
    opera = (await embedder.embed_query("opera")).dense
    await embedder.aclose()
    assert (alone.dense.tobytes(), whole.dense.tobytes()) == (same.dense.tobytes(), as_long.dense.tobytes())
    assert heard.tokens is not None
    assert alone.tokens is not None
    assert heard.tokens.shape == alone.tokens.shape
    assert not (heard.tokens == alone.tokens).all(axis=1).any()
    assert np.linalg.norm(heard.dense) == pytest.approx(1, abs=1e-5)
    assert heard.dense @ opera > alone.dense @ opera + 0.1


async def test_of_what_was_said_before_the_end_counts(onnx_directory: Path) -> None:
    """However long it is, a text is read with the tokens next to it, up to 128 together."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    tail = "which I like " * 60
    given = [
        InContext("Yes!", "elephants " + tail),
        InContext("Yes!", "taxes " * 5_000 + tail),
        InContext("Yes!", "Oh."),
    ]
    one, other, third = await embedder.embed_in_context(given)
    await embedder.aclose()
    assert one.dense.tobytes() == other.dense.tobytes() != third.dense.tobytes()
