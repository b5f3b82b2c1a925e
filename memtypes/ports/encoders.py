"""Ports of encoders, which turn text into dense, token and sparse vectors, and of tokenizers, which
count tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from memtypes.search.vectors import Embedding, InContext, SparseVector


class Embedder(Protocol):
    """Turns a text into a dense vector and, if the model supports it, into one vector for each
    token.
    """

    fingerprint: str
    """Text that identifies the model and its settings, `NAME:WEIGHTS:SETTINGS...`; only vectors
    with equal fingerprints can be compared. WEIGHTS is a hash, the same on every machine.
    """

    dimensions: int
    """Length of a dense vector."""

    async def embed_query(self, text: str) -> Embedding:
        """Return the embedding of a query. Queries precede queued documents. Raises Overloaded if
        the queue is full.
        """

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Return one embedding for each text, in order. Raises Overloaded if the queue is full."""

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """Return one embedding for each text, in order; the turns before it influence it if the
        model supports that.
        """
        return await self.embed_documents([text.text for text in texts])

    async def ping(self) -> None:
        """Check that the embedder works. Raises Unavailable if it does not."""

    async def aclose(self) -> None:
        """Finish the batches that are being embedded, then stop the embedder."""


def weights_of(fingerprint: str) -> str:
    """The part of an embedder's fingerprint that identifies the weights of its model."""
    _, _, settings = fingerprint.partition(":")
    return settings.partition(":")[0]


class SparseEncoder(Protocol):
    """Turns a text into a sparse vector: a weight for each term. The store multiplies the weights
    by the terms' IDF.
    """

    def encode_query(self, text: str) -> SparseVector:
        """Return a weight for each distinct term of the query."""

    def encode_document(self, text: str) -> SparseVector:
        """Return the BM25 term frequency weight of each distinct term of the document."""


class Tokenizer(Protocol):
    """Counts the tokens of a text, and cuts a text to a number of tokens, in one encoding such as
    cl100k_base.
    """

    name: str
    """Name of the encoding, such as cl100k_base."""

    sha256: str
    """SHA-256, in hexadecimal, of the encoding's rank file, which lists its tokens."""

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`. A special token such as `<|endoftext|>` in it
        counts as plain text.
        """

    def truncate(self, text: str, limit: int) -> str:
        """Return the longest beginning of `text` that has at most `limit` tokens; no character is
        split.
        """
