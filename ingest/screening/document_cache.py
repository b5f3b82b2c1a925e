"""An embedder that caches its last documents: classification and the pipeline often embed the same text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cachetools import LRUCache

from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding, InContext

SIZE = 256


class DocumentCache(Embedder):
    """Wraps an embedder; does not close it."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        # Keyed by digest, so that no text stays in memory after it is erased from the stores.
        self._embeddings: LRUCache[bytes, Embedding] = LRUCache(SIZE)

    @property
    def fingerprint(self) -> str:
        """That of the wrapped embedder."""
        return self._inner.fingerprint

    @property
    def dimensions(self) -> int:
        """Those of the wrapped embedder."""
        return self._inner.dimensions

    async def embed_query(self, text: str) -> Embedding:
        """The embedding of a query, not cached."""
        return await self._inner.embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """An embedding for each text, in order."""
        return await self.embed_in_context([InContext(text) for text in texts])

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """An embedding for each text, in order; only those not cached are computed."""
        digests = {text: _digest(text) for text in texts}
        known = {text: self._embeddings[digest] for text, digest in digests.items() if digest in self._embeddings}
        missing = [text for text in digests if text not in known]
        if missing:
            known.update(zip(missing, await self._inner.embed_in_context(missing), strict=True))
        for text in missing:
            self._embeddings[digests[text]] = known[text]
        return [known[text] for text in texts]

    def forget(self) -> None:
        """Empty the cache."""
        self._embeddings.clear()

    async def ping(self) -> None:
        """Return when the wrapped embedder can embed."""
        await self._inner.ping()

    async def aclose(self) -> None:
        """Empty the cache."""
        self.forget()


def _digest(text: InContext) -> bytes:
    content = f"{len(text.before)} {text.before}{text.text}"
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()
