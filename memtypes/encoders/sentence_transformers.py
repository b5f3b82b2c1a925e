"""The second embedder: any sentence-transformers model by name or path, on the CPU or a GPU.

The only file that knows sentence-transformers, which it imports when an embedder is opened: importing this file costs
nothing and draws no torch.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from anyio import to_thread
from numpy.typing import NDArray

from memtypes.encoders.batched_embedder import TwoLanesEmbedder
from memtypes.encoders.batching import Lane, LaneSettings
from memtypes.encoders.texts import head_of
from memtypes.model.errors import SetupRequired, Unavailable
from memtypes.search.vectors import Embedding, InContext

DEFAULT_TOKENS = 512  # of a model that does not say how many it takes


@dataclass(frozen=True, slots=True)
class SentenceTransformersSettings:
    """model: a folder, or a name that the model hub knows. device: cpu, cuda, ...; None takes a GPU where there is one.

    waiting_*: texts that may queue before Overloaded. batch: texts a run. Vectors have unit length whatever the model.
    """

    model: str
    device: str | None = None
    waiting_queries: int = 256
    waiting_documents: int = 8_192
    batch: int = 32


@contextmanager
def _translated() -> Iterator[None]:
    """Turns torch's errors, which are RuntimeErrors (out of memory is one), into Unavailable."""
    try:
        yield
    except RuntimeError as error:
        raise Unavailable(f"the encoder failed: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class _Engine:
    """A loaded model.

    One thread at a time: its tokenizer refuses to be used by two. So here a query may wait for one batch of documents.
    """

    model: Any
    batch: int
    dimensions: int
    max_tokens: int
    fingerprint: str
    turn: threading.Lock

    @classmethod
    def load(cls, settings: SentenceTransformersSettings) -> _Engine:
        """The model. Raises SetupRequired when the package or the model is not there."""
        try:
            vendor = import_module("sentence_transformers")
        except ImportError as error:
            raise SetupRequired(
                f"{error.name} is not installed; install torch, then run in the checkout: pip install -e '.[torch]'"
            ) from error
        try:
            model = vendor.SentenceTransformer(settings.model, device=settings.device)
        except (OSError, ValueError, RuntimeError) as error:
            raise SetupRequired(f"the model {settings.model!r} can't be loaded: {error}") from error
        max_tokens = int(model.max_seq_length or DEFAULT_TOKENS)
        # The hash tells models apart; the name is for people. So a folder and a hub name of one model differ.
        name = Path(settings.model).name
        fingerprint = f"{name}:{_weights_hash(model)[:16]}:{str(model.dtype).removeprefix('torch.')}:{max_tokens}"
        return cls(
            model,
            settings.batch,
            len(_encode(model, [""], settings.batch)[0]),
            max_tokens,
            fingerprint,
            threading.Lock(),
        )

    def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """One embedding a text; their arrays are read-only, because callers share them."""
        heads = [head_of(text, self.max_tokens) for text in texts]
        with self.turn, _translated():
            matrix = _encode(self.model, heads, self.batch)
        matrix.setflags(write=False)
        return [Embedding(row) for row in matrix]

    def embed_alone(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The same for documents: these models give no states of single words, so nothing can be read in context."""
        return self.embed([one.text for one in texts])


def _encode(model: Any, texts: list[str], batch: int) -> NDArray[np.float32]:
    """Shape (texts, dimensions), unit length; the model sorts the texts by length for its batches."""
    matrix = model.encode(
        texts, batch_size=batch, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
    )
    return np.asarray(matrix, dtype=np.float32)


def _weights_hash(model: Any) -> str:
    """SHA-256 over every parameter and buffer, by name: what decides the vectors, wherever the files lie."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


class SentenceTransformersEmbedder(TwoLanesEmbedder):
    """Any sentence-transformers model: one lane for queries, one for documents."""

    ping_s = 30.0  # a large model on a CPU takes seconds for its first text

    def __init__(self, engine: _Engine, queries: Lane[str, Embedding], documents: Lane[InContext, Embedding]) -> None:
        super().__init__(queries, documents)
        self._engine = engine

    @classmethod
    async def open(cls, settings: SentenceTransformersSettings) -> SentenceTransformersEmbedder:
        """An embedder over the model. Raises SetupRequired when the package or the model is not there."""
        engine = await to_thread.run_sync(_Engine.load, settings)
        queries = LaneSettings("query embedding", turn=settings.batch, waiting=settings.waiting_queries)
        documents = LaneSettings("document embedding", turn=settings.batch, waiting=settings.waiting_documents)
        return cls(engine, Lane.start(queries, engine.embed), Lane.start(documents, engine.embed_alone))

    @property
    def fingerprint(self) -> str:
        """Model, weights' hash, precision and tokens."""
        return self._engine.fingerprint

    @property
    def dimensions(self) -> int:
        """Length of a dense vector."""
        return self._engine.dimensions

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """One embedding a text, in order, each read alone. Raises Overloaded when the queue is full."""
        # By length, so that texts which share a run are padded little.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at].text))
        embedded = await super().embed_in_context([texts[at] for at in order])
        by_place = dict(zip(order, embedded, strict=True))
        return [by_place[at] for at in range(len(texts))]
