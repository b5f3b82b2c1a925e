"""The contract of Embedder, on every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from memtypes.encoders.cached import CachedEmbedder
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from memtypes.encoders.setup.prepare import weights_directory
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.ports.encoders import Embedder

pytestmark = pytest.mark.anyio

Opener = Callable[[Path, int], Awaitable[Embedder]]


async def open_onnx(directory: Path, waiting: int) -> Embedder:
    """The default engine."""
    return await OnnxEmbedder.open(OnnxSettings(directory, waiting_queries=waiting, waiting_documents=waiting))


async def open_cached(directory: Path, waiting: int) -> Embedder:
    """The default engine with a memory for queries."""
    return CachedEmbedder(await open_onnx(directory, waiting), 8)


async def open_torch(_: Path, waiting: int) -> Embedder:
    """The second engine."""
    model = str(weights_directory())
    return await SentenceTransformersEmbedder.open(
        SentenceTransformersSettings(model, device="cpu", waiting_queries=waiting, waiting_documents=waiting, batch=4)
    )


OPENERS = [open_onnx, open_cached, open_torch]


@pytest.fixture(scope="module", params=OPENERS, ids=["onnx", "cached", "sentence-transformers"])
async def opener(request: pytest.FixtureRequest) -> Opener:
    """How an implementation is opened."""
    opener: Opener = request.param
    return opener


@pytest.fixture(scope="module")
async def embedder(opener: Opener, onnx_directory: Path) -> AsyncIterator[Embedder]:
    """One open embedder of each implementation."""
    embedder = await opener(onnx_directory, 64)
    yield embedder
    await embedder.aclose()


async def test_vectors_have_unit_length(embedder: Embedder) -> None:
    """Queries and documents get float32 vectors of unit length and of the stated dimensions."""
    found = [await embedder.embed_query("where is the key?"), *await embedder.embed_documents(["in the drawer"])]
    for embedding in found:
        assert embedding.dense.shape == (embedder.dimensions,) == (384,)
        assert embedding.dense.dtype == np.float32
        assert np.linalg.norm(embedding.dense) == pytest.approx(1, abs=1e-5)
        assert embedding.tokens is None


async def test_documents_come_in_order(embedder: Embedder) -> None:
    """Each document gets its own vector, whatever the lengths and however many come at once."""
    texts = [f"{'word ' * (at * 7 % 11)} number {at}" for at in range(20)]
    together = await embedder.embed_documents(texts)
    for text, embedding in zip(texts, together, strict=True):
        [alone] = await embedder.embed_documents([text])
        assert embedding.dense @ alone.dense > 0.99999


async def test_a_text_is_the_same_as_query_and_as_document(embedder: Embedder) -> None:
    """The engine is symmetric: a text finds itself."""
    [document] = await embedder.embed_documents(["the staging database"])
    query = await embedder.embed_query("the staging database")
    assert query.dense @ document.dense > 0.99999


async def test_meaning_is_nearer_than_words(embedder: Embedder) -> None:
    """A paraphrase is nearer than an unrelated text."""
    query = await embedder.embed_query("How do I undo my last commit?")
    near, far = await embedder.embed_documents(["Revert the latest change in git.", "The soup needs more salt."])
    assert query.dense @ near.dense > query.dense @ far.dense + 0.2


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\t", "\U0001f600" * 9, "\ud800 lone", "\x00\x01", "a" * 500_000, "one two " * 60_000, " " * 500_000],
    ids=["empty", "blank", "blanks", "emoji", "surrogate", "controls", "one long word", "long", "long blank"],
)
async def test_any_text_has_a_vector(embedder: Embedder, text: str) -> None:
    """No text is refused; one that is too long is read from its beginning."""
    query = await embedder.embed_query(text)
    [document] = await embedder.embed_documents([text])
    assert np.isfinite(query.dense).all()
    assert query.dense @ document.dense > 0.99999


async def test_only_the_beginning_of_a_long_text_counts(embedder: Embedder) -> None:
    """What stands behind the first 256 tokens changes nothing, nor do thousands of blanks in front."""
    start = "the train to Lisbon leaves at nine " * 60
    short, longer, blank = await embedder.embed_documents([start, start + "soup " * 9_000, " " * 90_000 + start])
    assert short.dense @ longer.dense > 0.99999
    assert short.dense @ blank.dense > 0.99999


async def test_no_documents(embedder: Embedder) -> None:
    """No text, no vectors."""
    assert await embedder.embed_documents([]) == []


async def test_many_callers_at_once(embedder: Embedder) -> None:
    """Queries and documents that come together all get what they get alone."""
    texts = [f"note {at} about {'water' if at % 2 else 'fire'}" for at in range(12)]
    batches = asyncio.gather(*[embedder.embed_documents(texts[at : at + 4]) for at in range(0, 12, 4)])
    queries = await asyncio.gather(*[embedder.embed_query(text) for text in texts])
    documents = [embedding for batch in await batches for embedding in batch]
    for query, document in zip(queries, documents, strict=True):
        assert query.dense @ document.dense > 0.99999


async def test_vectors_can_not_be_changed(embedder: Embedder) -> None:
    """A caller can't spoil a vector that others share."""
    query = await embedder.embed_query("shared")
    with pytest.raises(ValueError, match="read-only"):
        query.dense[0] = 0


async def test_ping(embedder: Embedder) -> None:
    """An open embedder answers."""
    await embedder.ping()


async def test_fingerprint_names_the_vectors(embedder: Embedder, opener: Opener, onnx_directory: Path) -> None:
    """Opening the same again gives the same fingerprint."""
    again = await opener(onnx_directory, 8)
    assert again.fingerprint == embedder.fingerprint
    assert again.fingerprint.count(":") == (4 if "int8" in again.fingerprint else 3)
    await again.aclose()


async def test_full_queue_refuses(opener: Opener, onnx_directory: Path) -> None:
    """More texts than may wait are refused, and what was taken is still answered."""
    embedder = await opener(onnx_directory, 4)
    calls = [embedder.embed_documents([f"{'word ' * 200} {at}" for at in range(4)]) for _ in range(6)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[-1], Overloaded)
    assert [len(answer) for answer in answers if not isinstance(answer, BaseException)] in ([4], [4, 4])
    await embedder.aclose()


async def test_a_closed_embedder_says_so(opener: Opener, onnx_directory: Path) -> None:
    """After closing, every call raises Unavailable; closing again is harmless."""
    embedder = await opener(onnx_directory, 4)
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(Unavailable):
        await embedder.embed_query("late")
    with pytest.raises(Unavailable):
        await embedder.embed_documents(["late"])
    with pytest.raises(Unavailable):
        await embedder.ping()
