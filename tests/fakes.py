"""Simple encoders and a tokenizer, for tests that are about something else."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from memtypes.model.errors import Unavailable
from memtypes.ports.encoders import Embedder, SparseEncoder, Tokenizer
from memtypes.search.vectors import Embedding, SparseVector

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]|\n")


class FakeEmbedder(Embedder):
    """A text as the sum of its words' random but fixed directions."""

    @property
    def fingerprint(self) -> str:
        """A name."""
        return "fake"

    @property
    def dimensions(self) -> int:
        """Sixteen."""
        return 16

    async def embed_query(self, text: str) -> Embedding:
        """The vector of `text`."""
        total = np.full(self.dimensions, 1e-3)
        for word in _WORD.findall(text.lower()):
            total += np.random.default_rng(zlib.crc32(word.encode("utf-8", "surrogatepass"))).standard_normal(16)
        return Embedding((total / np.linalg.norm(total)).astype(np.float32))

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The vectors of `texts`."""
        return [await self.embed_query(text) for text in texts]

    async def ping(self) -> None:
        """Always there."""

    async def aclose(self) -> None:
        """Nothing was taken."""


class WordEmbedder(FakeEmbedder):
    """Has a token vector for each word as well."""

    async def embed_query(self, text: str) -> Embedding:
        """The vectors of `text`."""
        seeds = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _WORD.findall(text.lower())]
        drawn = np.array([np.random.default_rng(seed).standard_normal(128) for seed in seeds]).reshape(-1, 128)
        lengths = np.linalg.norm(drawn, axis=1, keepdims=True)
        tokens = np.rint(drawn / lengths * 127).astype(np.int8)
        return replace(await super().embed_query(text), tokens=tokens)


class AwayEmbedder(FakeEmbedder):
    """An encoder that does not answer."""

    async def embed_query(self, text: str) -> Embedding:
        """Nothing."""
        raise Unavailable(f"no encoder for {len(text)} characters")


class FakeSparse(SparseEncoder):
    """Words as terms, each with weight 1."""

    def encode_query(self, text: str) -> SparseVector:
        """The terms of `text`."""
        terms = sorted({zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _WORD.findall(text.lower())})
        return SparseVector(np.array(terms, dtype=np.uint32), np.ones(len(terms), dtype=np.float32))

    def encode_document(self, text: str) -> SparseVector:
        """The terms of `text`."""
        return self.encode_query(text)


class FakeTokenizer(Tokenizer):
    """A token a word, a sign or a newline."""

    @property
    def name(self) -> str:
        """The default encoding's, so that stored counts are used."""
        return "cl100k_base"

    @property
    def sha256(self) -> str:
        """No real hash."""
        return "0" * 64

    def count(self, text: str) -> int:
        """Words, signs and newlines."""
        return len(_TOKEN.findall(text))

    def truncate(self, text: str, limit: int) -> str:
        """The text up to the end of its token number `limit`."""
        ends = [found.end() for found in _TOKEN.finditer(text)]
        return text if len(ends) <= limit else text[: ends[limit - 1]] if limit else ""
