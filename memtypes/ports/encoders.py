"""Ports of the encoders: text to dense, token and sparse vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from memtypes.search.vectors import Embedding, InContext, SparseVector


class Embedder(ABC):
    """Text to vectors."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Names the vectors: model, weights' hash, runtime precision, pooling; equal only when vectors may be mixed."""

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Length of a dense vector."""

    @abstractmethod
    async def embed_query(self, text: str) -> Embedding:
        """The embedding of one query, ahead of any documents that wait. Raises Overloaded when the queue is full."""

    @abstractmethod
    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """One embedding a text, in order. Raises Overloaded when the queue is full."""

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """One embedding a text, made with what was said before it in view; an encoder that can't do so reads it alone.

        A text with nothing before it gets the embedding that `embed_documents` gives it.
        """
        return await self.embed_documents([one.text for one in texts])

    @abstractmethod
    async def ping(self) -> None:
        """Return when the engine can embed; raise Unavailable when it can't."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop the workers after what is under way."""


class SparseEncoder(ABC):
    """Text to term weights; the engine adds IDF."""

    @abstractmethod
    def encode_query(self, text: str) -> SparseVector:
        """One weight a distinct term of the query; empty when it has no terms."""

    @abstractmethod
    def encode_document(self, text: str) -> SparseVector:
        """BM25's saturated term frequency of each distinct term."""
