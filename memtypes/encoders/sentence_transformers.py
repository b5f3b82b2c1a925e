"""The alternative embedder, for any model of sentence-transformers. Opening it imports the library
and torch.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from anyio import to_thread
from numpy.typing import NDArray

from memtypes.encoders.batching import BatchedEmbedder, BatchSettings, truncated
from memtypes.model.errors import SetupRequired, Unavailable
from memtypes.search.vectors import Embedding, InContext

DEFAULT_MAX_TOKENS = 512
"""Maximum tokens of a text for models that do not state a limit."""


@dataclass(frozen=True, slots=True)
class SentenceTransformersSettings(BatchSettings):
    """Settings of the embedder. model: a directory or a Hugging Face name. device: None for a GPU
    if there is one.
    """

    model: str
    device: str | None = None
    _: KW_ONLY
    batch_size: int = 32
    query_batch_size: int = 32


@dataclass(frozen=True, slots=True, eq=False)
class _TorchModel:
    """A loaded model. Its tokenizer is not thread-safe, so a lock is held for each batch, and
    queries wait for it.
    """

    model: Any
    batch_size: int
    dimensions: int
    max_tokens: int
    fingerprint: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def load(cls, settings: SentenceTransformersSettings) -> _TorchModel:
        """Load the model. Raises SetupRequired if the package is not installed or the model can't
        be loaded.
        """
        try:
            vendor = import_module("sentence_transformers")
        except ImportError as error:
            raise SetupRequired(
                f"{error.name} is not installed; install torch, then run in the checkout: "
                "pip install -e '.[torch]'"
            ) from error
        try:
            model = vendor.SentenceTransformer(settings.model, device=settings.device)
        except (OSError, ValueError, RuntimeError) as error:
            raise SetupRequired(f"the model {settings.model!r} can't be loaded: {error}") from error
        max_tokens = int(model.max_seq_length or DEFAULT_MAX_TOKENS)
        weights = hashlib.sha256()
        for name, tensor in sorted(model.state_dict().items()):
            weights.update(name.encode())
            weights.update(tensor.detach().float().cpu().numpy().tobytes())
        # The hash identifies the weights; the name is for people, and differs for a directory and a
        # hub name.
        precision = str(model.dtype).removeprefix("torch.")
        fingerprint = (
            f"{Path(settings.model).name}:{weights.hexdigest()[:16]}:{precision}:{max_tokens}"
        )
        dimensions = len(_encode(model, [""], settings.batch_size)[0])
        return cls(model, settings.batch_size, dimensions, max_tokens, fingerprint)

    def embed_all(self, texts: Sequence[InContext]) -> list[Embedding]:
        """Return one read-only embedding for each text. These models ignore the turns before a
        text.
        """
        beginnings = [truncated(text.text, self.max_tokens) for text in texts]
        try:
            with self.lock:
                matrix = _encode(self.model, beginnings, self.batch_size)
        except RuntimeError as error:  # any error of torch, out of memory included
            raise Unavailable(f"the encoder failed: {error}") from error
        matrix.setflags(write=False)
        return [Embedding(row) for row in matrix]


def _encode(model: Any, texts: list[str], batch_size: int) -> NDArray[np.float32]:
    """Return the dense vectors of `texts`, of unit length, shape (texts, dimensions)."""
    matrix = model.encode(
        texts,
        batch_size=batch_size,
        normalize_embeddings=True,
        convert_to_numpy=True,
        show_progress_bar=False,
    )
    return np.asarray(matrix, dtype=np.float32)


class SentenceTransformersEmbedder(BatchedEmbedder):
    """An embedder that runs any sentence-transformers model."""

    ping_s = 30.0  # the first text takes a large model seconds on a CPU

    @classmethod
    async def open(cls, settings: SentenceTransformersSettings) -> SentenceTransformersEmbedder:
        """Load the model. Raises SetupRequired if the package is not installed or the model can't
        be loaded.
        """
        model = await to_thread.run_sync(_TorchModel.load, settings)
        return cls(model.fingerprint, model.dimensions, model.embed_all, settings)

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """Return one embedding for each text, in order; the turns before a text are ignored."""
        # Sorted by length, so that texts of one batch need little padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index].text))
        embeddings = await super().embed_in_context([texts[index] for index in order])
        by_index = dict(zip(order, embeddings, strict=True))
        return [by_index[index] for index in range(len(texts))]
