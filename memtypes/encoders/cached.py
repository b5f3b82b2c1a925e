"""Query vectors that are remembered: an embedder around another one.

Knows texts and embeddings only. Documents pass through: each is embedded once anyway.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding, InContext


class CachedEmbedder(Embedder):
    """The last `size` distinct queries, least recently used out first; what is asked twice at once is computed once."""

    def __init__(self, inner: Embedder, size: int) -> None:
        self._inner = inner
        self._size = size
        # By digest: a query of 20,000 characters takes no more room than a short one.
        self._known: OrderedDict[bytes, Embedding] = OrderedDict()
        self._underway: dict[bytes, asyncio.Task[Embedding]] = {}

    @property
    def fingerprint(self) -> str:
        """The inner embedder's: a remembered vector is the same vector."""
        return self._inner.fingerprint

    @property
    def dimensions(self) -> int:
        """The inner embedder's."""
        return self._inner.dimensions

    async def embed_query(self, text: str) -> Embedding:
        """The remembered embedding, or the inner embedder's. Errors are not remembered."""
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if key not in self._underway:
            self._underway[key] = self._begin(key, text)
        # Shielded: a caller that gives up must not take the answer from the others who wait for it.
        return await asyncio.shield(self._underway[key])

    def _begin(self, key: bytes, text: str) -> asyncio.Task[Embedding]:
        task = asyncio.ensure_future(self._inner.embed_query(text))

        def end(done: asyncio.Task[Embedding]) -> None:
            del self._underway[key]
            # Asking for the exception marks it as seen, in case every caller has gone.
            if not done.cancelled() and done.exception() is None:
                self._remember(key, done.result())

        task.add_done_callback(end)
        return task

    def _remember(self, key: bytes, embedding: Embedding) -> None:
        self._known[key] = embedding
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The inner embedder's."""
        return await self._inner.embed_documents(texts)

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The inner embedder's."""
        return await self._inner.embed_in_context(texts)

    async def ping(self) -> None:
        """The inner embedder's."""
        await self._inner.ping()

    async def aclose(self) -> None:
        """Close the inner embedder, which ends what is under way."""
        await self._inner.aclose()
