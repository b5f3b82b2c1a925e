"""Remembered queries, around an embedder that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from memtypes.encoders.cached import CachedEmbedder
from memtypes.model.errors import Overloaded
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding

pytestmark = pytest.mark.anyio


class Counting(Embedder):
    """Notes what it is asked; answers once `open` is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False
        self.error: Exception | None = None

    @property
    def fingerprint(self) -> str:
        """A name."""
        return "counting"

    @property
    def dimensions(self) -> int:
        """One."""
        return 1

    async def embed_query(self, text: str) -> Embedding:
        """A vector of its own for each call."""
        self.asked.append(text)
        await self.open.wait()
        if self.error:
            raise self.error
        return Embedding(np.ones(1, np.float32))

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """A vector for each text."""
        self.asked.extend(texts)
        return [Embedding(np.ones(1, np.float32)) for _ in texts]

    async def ping(self) -> None:
        """Noted."""
        self.asked.append("ping")

    async def aclose(self) -> None:
        """Noted."""
        self.closed = True


async def test_a_query_is_embedded_once() -> None:
    """The second time, a query's vector is remembered; another query is not mistaken for it."""
    inner = Counting()
    cached = CachedEmbedder(inner, 8)
    first = await cached.embed_query("a")
    assert await cached.embed_query("a") is first
    assert await cached.embed_query("b") is not first
    assert inner.asked == ["a", "b"]


async def test_the_least_recently_used_goes_first() -> None:
    """Beyond its size the memory forgets what was not used for longest."""
    inner = Counting()
    cached = CachedEmbedder(inner, 2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await cached.embed_query(text)
    assert inner.asked == ["a", "b", "c", "b"]


async def test_asked_at_once_computed_once() -> None:
    """Callers with the same text share one computation, and one that gives up does not take it from the others."""
    inner = Counting()
    inner.open.clear()
    cached = CachedEmbedder(inner, 8)
    calls = [asyncio.create_task(cached.embed_query("a")) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    inner.open.set()
    second, third = await asyncio.gather(*calls[1:])
    assert second is third
    assert calls[0].cancelled()
    assert inner.asked == ["a"]


async def test_errors_are_not_remembered() -> None:
    """After an error the next call tries again; every waiting caller is told."""
    inner = Counting()
    inner.error = Overloaded("full")
    cached = CachedEmbedder(inner, 8)
    answers = await asyncio.gather(cached.embed_query("a"), cached.embed_query("a"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Overloaded, Overloaded]
    inner.error = None
    await cached.embed_query("a")
    assert inner.asked == ["a", "a"]


async def test_everything_else_passes_through() -> None:
    """Documents, names, pings and closing are the inner embedder's."""
    inner = Counting()
    cached = CachedEmbedder(inner, 8)
    assert (cached.fingerprint, cached.dimensions) == ("counting", 1)
    assert len(await cached.embed_documents(["x", "x"])) == 2
    await cached.ping()
    await cached.aclose()
    assert inner.asked == ["x", "x", "ping"]
    assert inner.closed
