"""Ports of encoders, which turn text into dense, token and sparse vectors; and of tokenizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from memtypes.search.passage import CUT_MARK, bullet
from memtypes.search.vectors import Embedding, InContext, SparseVector


class Embedder(ABC):
    """Turns text into dense vectors, and into token vectors if the model has them."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies the model, its weights, precision and pooling. Vectors with equal fingerprints can be compared."""

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Length of a dense vector."""

    @abstractmethod
    async def embed_query(self, text: str) -> Embedding:
        """Return the embedding of a query, ahead of waiting documents. Raises Overloaded if the queue is full."""

    @abstractmethod
    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Return one embedding for each text, in order. Raises Overloaded if the queue is full."""

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """Return one embedding for each text, taking its context into account if the model can.

        A text without context gets the same embedding as from `embed_documents`.
        """
        return await self.embed_documents([text.text for text in texts])

    @abstractmethod
    async def ping(self) -> None:
        """Return if the embedder works; raise Unavailable if it does not."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish the current batches and stop."""


class SparseEncoder(ABC):
    """Turns text into weights of terms, without IDF, which the store adds."""

    @abstractmethod
    def encode_query(self, text: str) -> SparseVector:
        """Return a weight for each distinct term of the query."""

    @abstractmethod
    def encode_document(self, text: str) -> SparseVector:
        """Return the BM25 term frequency weight of each distinct term."""


class Tokenizer(ABC):
    """Counts tokens and cuts texts by the tokens of one encoding."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the encoding, such as cl100k_base."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """SHA-256 of the encoding's rank file in hexadecimal."""

    @abstractmethod
    def count(self, text: str) -> int:
        """Count the tokens of `text`. Text that looks like a special token is plain text."""

    @abstractmethod
    def truncate(self, text: str, limit: int) -> str:
        """Return the longest prefix of `text` with at most `limit` tokens, cut between characters."""

    def cut_bullet(self, text: str, room: int) -> tuple[str, int]:
        """The beginning of `text` as a list entry of at most `room` tokens, marked as cut, and its tokens."""
        limit = room
        while limit > 0:
            entry = bullet(self.truncate(text, limit) + CUT_MARK)
            tokens = self.count(entry)
            if tokens <= room:
                return entry, tokens
            limit -= tokens - room
        return "", 0
