"""An embedder that remembers its last documents: classification and the pipeline often embed the same text."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding, InContext

KEPT = 256


class RecentDocuments(Embedder):
    """Another embedder with a memory for its last documents; its owner closes that one."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        # By digest: no text stays behind in memory when it is erased from the stores.
        self._made: OrderedDict[bytes, Embedding] = OrderedDict()

    @property
    def fingerprint(self) -> str:
        """The inner one's."""
        return self._inner.fingerprint

    @property
    def dimensions(self) -> int:
        """The inner one's."""
        return self._inner.dimensions

    async def embed_query(self, text: str) -> Embedding:
        """The inner one's."""
        return await self._inner.embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """One embedding a text, in order; only what is not remembered is made."""
        return await self.embed_in_context([InContext(text) for text in texts])

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The same for texts that are read after others."""
        digests = {text: _digest(text) for text in texts}
        known = {text: self._made[digest] for text, digest in digests.items() if digest in self._made}
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        if missing:
            known.update(zip(missing, await self._inner.embed_in_context(missing), strict=True))
        for text in missing:
            self._made[digests[text]] = known[text]
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return [known[text] for text in texts]

    def forget(self) -> None:
        """Remember nothing from before."""
        self._made.clear()

    async def ping(self) -> None:
        """Return when the inner one can embed."""
        await self._inner.ping()

    async def aclose(self) -> None:
        """Forget; the inner one is its owner's to close."""
        self._made.clear()


def _digest(one: InContext) -> bytes:
    both = f"{len(one.before)} {one.before}{one.text}"
    return hashlib.blake2b(both.encode("utf-8", "surrogatepass"), digest_size=16).digest()
