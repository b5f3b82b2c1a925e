"""The contract of Embedder, tested on each implementation, and tests of the sentence-transformers
embedder.

All are in one file because importing sentence-transformers takes many seconds.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.sentence_transformers import (
    SentenceTransformersEmbedder,
    SentenceTransformersSettings,
)
from memtypes.encoders.setup.prepare import encode_model, weights_directory
from memtypes.model.errors import Overloaded, SetupRequired, Unavailable
from memtypes.ports.encoders import Embedder
from tests.conftest import unmeasured
from tests.memtypes.encoders.texts import VARIED

pytestmark = pytest.mark.anyio

Opener = Callable[[Path, int], Awaitable[Embedder]]


async def open_onnx(directory: Path, waiting: int) -> Embedder:
    """Open the default embedder, which runs on onnxruntime. waiting: how many texts of each sort
    may wait.
    """
    return await OnnxEmbedder.open(
        OnnxSettings(directory, waiting_queries=waiting, waiting_documents=waiting)
    )


async def open_cached(directory: Path, waiting: int) -> Embedder:
    """Open the default embedder with a cache of query embeddings. waiting: how many texts of each
    sort may wait.
    """
    settings = OnnxSettings(
        directory, waiting_queries=waiting, waiting_documents=waiting, cached_queries=8
    )
    return await OnnxEmbedder.open(settings)


async def open_torch(_: Path, waiting: int) -> Embedder:
    """Open the sentence-transformers embedder with the default embedder's weights. waiting: how
    many texts may wait.
    """
    with unmeasured():
        importlib.import_module("sentence_transformers")
    settings = SentenceTransformersSettings(
        str(weights_directory()),
        "cpu",
        waiting_queries=waiting,
        waiting_documents=waiting,
        batch_size=4,
    )
    return await SentenceTransformersEmbedder.open(settings)


OPENERS = [open_onnx, open_cached, open_torch]


@pytest.fixture(scope="module", params=OPENERS, ids=["onnx", "cached", "sentence-transformers"])
async def opener(request: pytest.FixtureRequest) -> Opener:
    """For each implementation in turn, the function that opens an embedder."""
    opener: Opener = request.param
    return opener


@pytest.fixture(scope="module")
async def embedder(opener: Opener, onnx_directory: Path) -> AsyncIterator[Embedder]:
    """The embedder under test: a test runs once with each implementation."""
    embedder = await opener(onnx_directory, 64)
    yield embedder
    await embedder.aclose()


async def test_vectors_have_unit_length(embedder: Embedder) -> None:
    """Vectors of queries and documents are float32, have length 1, and have `embedder.dimensions`
    dimensions.
    """
    embeddings = [
        await embedder.embed_query("where is the key?"),
        *await embedder.embed_documents(["in the drawer"]),
    ]
    for embedding in embeddings:
        assert embedding.dense.shape == (embedder.dimensions,) == (384,)
        assert embedding.dense.dtype == np.float32
        assert np.linalg.norm(embedding.dense) == pytest.approx(1, abs=1e-5)
        assert embedding.tokens is None or embedding.tokens.shape[1] == 128


async def test_embeddings_are_in_the_order_of_the_documents(embedder: Embedder) -> None:
    """The n-th embedding is that of the n-th document, whatever the lengths of the texts."""
    texts = [f"{'word ' * (at * 7 % 11)} number {at}" for at in range(20)]
    together = await embedder.embed_documents(texts)
    for text, embedding in zip(texts, together, strict=True):
        [alone] = await embedder.embed_documents([text])
        assert embedding.dense @ alone.dense > 0.99999


async def test_queries_and_documents_are_embedded_alike(embedder: Embedder) -> None:
    """A text has the same vector as a query and as a document."""
    [document] = await embedder.embed_documents(["the staging database"])
    query = await embedder.embed_query("the staging database")
    assert query.dense @ document.dense > 0.99999


async def test_a_paraphrase_is_more_similar_than_an_unrelated_text(embedder: Embedder) -> None:
    query = await embedder.embed_query("How do I undo my last commit?")
    paraphrase, unrelated = await embedder.embed_documents(
        ["Revert the latest change in git.", "The soup needs more salt."]
    )
    assert query.dense @ paraphrase.dense > query.dense @ unrelated.dense + 0.2


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t",
        "\U0001f600" * 9,
        "\ud800 lone",
        "\x00\x01",
        "a" * 500_000,
        "one two " * 60_000,
        " " * 500_000,
    ],
    ids=[
        "empty",
        "blank",
        "blanks",
        "emoji",
        "surrogate",
        "controls",
        "one long word",
        "long",
        "long blank",
    ],
)
async def test_any_text_can_be_embedded(embedder: Embedder, text: str) -> None:
    """Empty, unusual and overlong texts get a vector. Overlong texts are truncated."""
    query = await embedder.embed_query(text)
    [document] = await embedder.embed_documents([text])
    assert np.isfinite(query.dense).all()
    assert query.dense @ document.dense > 0.99999


async def test_text_after_the_token_limit_is_ignored(embedder: Embedder) -> None:
    """Two texts that differ only after the token limit have equal vectors. Spaces at the start use
    up no tokens.
    """
    start = "the train to Lisbon leaves at nine " * 60
    short, longer, blank = await embedder.embed_documents(
        [start, start + "soup " * 9_000, " " * 90_000 + start]
    )
    assert short.dense @ longer.dense > 0.99999
    assert short.dense @ blank.dense > 0.99999


async def test_no_documents_give_no_embeddings(embedder: Embedder) -> None:
    """`embed_documents` returns an empty list for an empty list."""
    assert await embedder.embed_documents([]) == []


async def test_concurrent_calls_get_their_own_embeddings(embedder: Embedder) -> None:
    """Of concurrent calls that embed queries and documents, each returns the vectors of its own
    texts.
    """
    texts = [f"note {at} about {'water' if at % 2 else 'fire'}" for at in range(12)]
    batches = asyncio.gather(
        *[embedder.embed_documents(texts[at : at + 4]) for at in range(0, 12, 4)]
    )
    queries = await asyncio.gather(*[embedder.embed_query(text) for text in texts])
    documents = [embedding for batch in await batches for embedding in batch]
    for query, document in zip(queries, documents, strict=True):
        assert query.dense @ document.dense > 0.99999


async def test_vectors_are_read_only(embedder: Embedder) -> None:
    """Returned arrays cannot be written to, because callers share them."""
    query = await embedder.embed_query("shared")
    with pytest.raises(ValueError, match="read-only"):
        query.dense[0] = 0


async def test_an_open_embedder_answers_pings(embedder: Embedder) -> None:
    await embedder.ping()


async def test_the_fingerprint_is_stable(
    embedder: Embedder, opener: Opener, onnx_directory: Path
) -> None:
    """Opening the same model again gives the same fingerprint."""
    reopened = await opener(onnx_directory, 8)
    assert reopened.fingerprint == embedder.fingerprint
    assert reopened.fingerprint.count(":") == (5 if "int8" in reopened.fingerprint else 3)
    await reopened.aclose()


async def test_documents_beyond_the_queue_are_refused(opener: Opener, onnx_directory: Path) -> None:
    """A call to embed documents raises Overloaded if the queue is full.

    Calls that were accepted before get their embeddings.
    """
    embedder = await opener(onnx_directory, 4)
    calls = [
        embedder.embed_documents([f"{'word ' * 200} {at}" for at in range(4)]) for _ in range(6)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[-1], Overloaded)
    assert [len(answer) for answer in answers if not isinstance(answer, BaseException)] in (
        [4],
        [4, 4],
    )
    await embedder.aclose()


async def test_a_closed_embedder_is_unavailable(opener: Opener, onnx_directory: Path) -> None:
    """After aclose(), every call raises Unavailable, and a second aclose() does nothing."""
    embedder = await opener(onnx_directory, 4)
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(Unavailable):
        await embedder.embed_query("late")
    with pytest.raises(Unavailable):
        await embedder.embed_documents(["late"])
    with pytest.raises(Unavailable):
        await embedder.ping()


@pytest.fixture(scope="module")
async def torch_vectors() -> list[np.ndarray]:
    """Vectors of the texts in VARIED, computed by sentence-transformers with the default embedder's
    weights.
    """
    settings = SentenceTransformersSettings(str(weights_directory()), device="cpu")
    embedder = await SentenceTransformersEmbedder.open(settings)
    try:
        return [embedding.dense for embedding in await embedder.embed_documents(VARIED)]
    finally:
        await embedder.aclose()


@pytest.mark.slow
async def test_the_float32_graph_agrees_with_sentence_transformers(
    torch_vectors: list[np.ndarray],
) -> None:
    """The float32 ONNX graph gives the vectors of sentence-transformers, for a batch of texts of
    different lengths.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = encode_model(weights_directory() / "model.safetensors", int8=False)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(weights_directory() / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    encoded = tokenizer.encode_batch(VARIED)
    inputs = {
        "input_ids": np.array([encoding.ids for encoding in encoded]),
        "attention_mask": np.array([encoding.attention_mask for encoding in encoded]),
    }
    sentences, tokens = session.run(["sentence", "tokens"], inputs)
    assert min(np.sum(sentences * np.stack(torch_vectors), axis=1)) > 0.9999
    assert np.allclose(np.linalg.norm(tokens, axis=2), 1, atol=1e-5)


async def test_vectors_agree_with_sentence_transformers(
    onnx_directory: Path, torch_vectors: list[np.ndarray]
) -> None:
    """The cosines of int8 vectors with the float32 model's vectors are .99 on average and at least
    .98.
    """
    embedder = await OnnxEmbedder.open(OnnxSettings(onnx_directory))
    vectors = [embedding.dense for embedding in await embedder.embed_documents(VARIED)]
    await embedder.aclose()
    cosines = [float(left @ right) for left, right in zip(vectors, torch_vectors, strict=True)]
    assert np.mean(cosines) > 0.99
    assert min(cosines) > 0.98


async def test_a_missing_model_requires_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening an embedder whose model is missing raises an error that names the model."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SetupRequired, match="nothing-here"):
        await SentenceTransformersEmbedder.open(
            SentenceTransformersSettings(str(tmp_path / "nothing-here"))
        )


async def test_a_missing_package_requires_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening an embedder whose Python package is missing raises SetupRequired with the pip command
    to run.
    """
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SetupRequired, match=r"pip install -e '.\[torch\]'"):
        await SentenceTransformersEmbedder.open(
            SentenceTransformersSettings(str(weights_directory()))
        )
