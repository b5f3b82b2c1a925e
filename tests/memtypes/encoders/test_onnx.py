"""The default embedder: equal vectors for equal texts, texts with a context, and token vectors."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import numpy as np
import pytest

from memtypes.encoders.onnx import ENCODER, OnnxEmbedder, OnnxSettings, token_projection
from memtypes.search.vectors import InContext
from tests.memtypes.encoders.texts import VARIED

pytestmark = pytest.mark.anyio


async def test_a_text_always_has_the_same_vector(onnx_directory: Path) -> None:
    """A text's vector is equal bit for bit whether it is embedded alone, in a batch or as a
    query.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    documents = await embedder.embed_documents(VARIED)
    queries = await asyncio.gather(*[embedder.embed_query(text) for text in VARIED])
    for document, query in zip(documents, queries, strict=True):
        assert document.dense.tobytes() == query.dense.tobytes()
    await embedder.aclose()


@pytest.mark.slow
async def test_queries_do_not_wait_for_documents(onnx_directory: Path) -> None:
    """A query is answered while a long batch of documents is being embedded."""
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    documents = asyncio.create_task(embedder.embed_documents(["many words in a row " * 60] * 40))
    await asyncio.sleep(0.1)
    for number in range(5):
        await embedder.embed_query(f"question {number}")
    assert not documents.done()
    await documents
    await embedder.aclose()


async def test_token_vectors_have_128_int8_values_for_each_token(onnx_directory: Path) -> None:
    """Each token of a text, except special tokens, has a vector of 128 int8 values with a norm of
    about 127.

    The embedder's fingerprint names the projection of the vectors.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    embedding = await embedder.embed_query("three small words")
    assert embedding.tokens is not None
    assert embedding.tokens.dtype == np.int8
    assert embedding.tokens.shape == (3, 128)
    assert np.linalg.norm(embedding.tokens.astype(float), axis=1) == pytest.approx(127, abs=4)
    assert embedder.fingerprint.startswith(ENCODER.read(onnx_directory).fingerprint + ":tokens-")
    await embedder.aclose()


async def test_a_short_text_is_embedded_with_its_context(onnx_directory: Path) -> None:
    """The earlier turns of a short text (its context) change its vectors, not their number.

    A long text ignores them.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    long = "many words in a row " * 40
    texts = [
        InContext("She loved it!", "We took grandma to the opera."),
        InContext("She loved it!"),
        InContext(long, "Hm."),
    ]
    with_context, alone, long_with_context = await embedder.embed_in_context(texts)
    (alone_again, long_alone) = await embedder.embed_documents(["She loved it!", long])
    opera = (await embedder.embed_query("opera")).dense
    await embedder.aclose()
    assert alone.dense.tobytes() == alone_again.dense.tobytes()
    assert long_with_context.dense.tobytes() == long_alone.dense.tobytes()
    assert with_context.tokens is not None
    assert alone.tokens is not None
    assert with_context.tokens.shape == alone.tokens.shape
    assert not (with_context.tokens == alone.tokens).all(axis=1).any()
    assert np.linalg.norm(with_context.dense) == pytest.approx(1, abs=1e-5)
    assert with_context.dense @ opera > alone.dense @ opera + 0.1


async def test_only_the_end_of_a_long_context_is_embedded(onnx_directory: Path) -> None:
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    tail = "which I like " * 60
    texts = [
        InContext("Yes!", "elephants " + tail),
        InContext("Yes!", "taxes " * 5_000 + tail),
        InContext("Yes!", "Oh."),
    ]
    short, long, other = await embedder.embed_in_context(texts)
    await embedder.aclose()
    assert short.dense.tobytes() == long.dense.tobytes() != other.dense.tobytes()


def test_the_columns_of_the_projection_are_orthonormal() -> None:
    matrix = token_projection(384)
    assert matrix.shape == (384, 128)
    assert np.allclose(matrix.T @ matrix, np.eye(128), atol=1e-5)


def test_the_projection_never_changes() -> None:
    """The projection's values are fixed, because stored token vectors are compared with new
    ones.
    """
    signs = np.signbit(token_projection(384)).tobytes()
    assert hashlib.sha256(signs).hexdigest()[:16] == "8cdc6997694977a2"


@pytest.mark.parametrize("dimensions", [0, 100, 200])
def test_dimensions_must_be_a_multiple_of_128(dimensions: int) -> None:
    """The projection of token vectors refuses other dimensions, because it mixes blocks of 128
    dimensions.
    """
    with pytest.raises(ValueError, match="multiple of 128"):
        token_projection(dimensions)


@pytest.mark.anyio
async def test_middle_layer_states_of_the_first_64_tokens_are_returned(
    onnx_directory: Path,
) -> None:
    """An embedding has a middle-layer state for each of the text's first 64 tokens, none for tokens
    of its context.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(directory=onnx_directory))
    try:
        short, long = await embedder.embed_documents(["a small text", "word " * 200])
        (in_context,) = await embedder.embed_in_context([InContext("a small text", "said before")])
    finally:
        await embedder.aclose()
    assert short.states is not None
    assert long.states is not None
    assert in_context.states is not None
    assert (short.states.shape, long.states.shape, in_context.states.shape) == (
        (3, 384),
        (64, 384),
        (3, 384),
    )
