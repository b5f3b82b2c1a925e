"""Fake encoders and a fake tokenizer, for tests in which real vectors and tokens do not matter."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memtypes.model.errors import Unavailable
from memtypes.ports.encoders import Embedder, SparseEncoder, Tokenizer
from memtypes.search.vectors import Embedding, SparseVector

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]|\n")


@lru_cache(10_000)
def _vector(word: str) -> NDArray[np.float64]:
    return np.random.default_rng(zlib.crc32(word.encode("utf-8", "surrogatepass"))).standard_normal(
        16
    )


class FakeEmbedder(Embedder):
    """An embedder whose vector of a text is the sum of fixed pseudo-random vectors of its words."""

    fingerprint = "fake"
    dimensions = 16

    async def embed_query(self, text: str) -> Embedding:
        """Return the vector of `text`, which is the sum of its words' vectors scaled to length
        1.
        """
        total = np.full(self.dimensions, 1e-3)
        for word in _WORD.findall(text.lower()):
            total += _vector(word)
        return Embedding((total / np.linalg.norm(total)).astype(np.float32))

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """Return the vector of each text, as `embed_query` computes it."""
        return [await self.embed_query(text) for text in texts]

    async def ping(self) -> None:
        """Return at once: the fake is always available."""

    async def aclose(self) -> None:
        """Do nothing: the fake holds no resources."""


class WordEmbedder(FakeEmbedder):
    """A FakeEmbedder that also returns a token vector for each word."""

    async def embed_query(self, text: str) -> Embedding:
        """Return the dense vector of `text` and one token vector for each of its words."""
        seeds = [
            zlib.crc32(word.encode("utf-8", "surrogatepass"))
            for word in _WORD.findall(text.lower())
        ]
        drawn = np.array(
            [np.random.default_rng(seed).standard_normal(128) for seed in seeds]
        ).reshape(-1, 128)
        lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
        tokens = np.rint(drawn / lengths * 127).astype(np.int8)
        return replace(await super().embed_query(text), tokens=tokens)


class AwayEmbedder(FakeEmbedder):
    """An embedder whose service is unavailable."""

    async def embed_query(self, text: str) -> Embedding:
        """Raise Unavailable."""
        raise Unavailable(f"no encoder for {len(text)} characters")


class FakeSparse(SparseEncoder):
    """A sparse encoder in which each word is a term of weight 1."""

    def encode_query(self, text: str) -> SparseVector:
        """Return a sparse vector with a term of weight 1 for each word of `text`."""
        terms = sorted(
            {
                zlib.crc32(word.encode("utf-8", "surrogatepass"))
                for word in _WORD.findall(text.lower())
            }
        )
        return SparseVector(np.array(terms, dtype=np.uint32), np.ones(len(terms), dtype=np.float32))

    def encode_document(self, text: str) -> SparseVector:
        """Return the words of `text` as terms of weight 1."""
        return self.encode_query(text)


class FakeTokenizer(Tokenizer):
    """A tokenizer in which each word, punctuation mark and newline is one token."""

    name = "cl100k_base"
    """The name of the default encoding, so that token counts stored with a memory are used."""

    sha256 = "0" * 64

    def count(self, text: str) -> int:
        """Return the number of tokens in `text`: its words, punctuation marks and newlines."""
        return len(_TOKEN.findall(text))

    def truncate(self, text: str, limit: int) -> str:
        """Return the first `limit` tokens of the text."""
        ends = [found.end() for found in _TOKEN.finditer(text)]
        return text if len(ends) <= limit else text[: ends[limit - 1]] if limit else ""
