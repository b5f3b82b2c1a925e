"""Embedding every memory again: the next version of the collections, with the present embedder."""

from __future__ import annotations

from collections.abc import Sequence

from api.settings import Settings
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.errors import Conflict
from memtypes.memory import Memory
from memtypes.policy import MemoryType
from memtypes.ports import Embedder
from memtypes.stores.edge import EdgeSettings
from memtypes.stores.edge.rebuild import rebuild
from memtypes.vectors import Vectors


def store_fingerprint(embedder: Embedder, sparse: Bm25Encoder) -> str:
    """What a store of vectors by these two is marked with."""
    return f"{embedder.fingerprint}+{sparse.fingerprint}"


class Reembedding:
    """Rebuilds the embedded store of `settings`."""

    def __init__(self, settings: Settings, embedder: Embedder, sparse: Bm25Encoder) -> None:
        self._settings = settings
        self._embedder = embedder
        self._sparse = sparse

    async def run(self, *, stop_engine: bool) -> dict[MemoryType, int]:
        """How many memories of each type were embedded again; see `memtypes.stores.edge.rebuild`.

        Raises Conflict for a store on a server, besides what a rebuild raises.
        """
        if self._settings.qdrant_url is not None:
            raise Conflict("only the embedded store can be embedded again so far; a server's collections can't")
        fingerprint = store_fingerprint(self._embedder, self._sparse)
        store = EdgeSettings(self._settings.store_path, fingerprint, self._embedder.dimensions)
        return await rebuild(store, self._vectors_of, stop_engine=stop_engine)

    async def _vectors_of(self, memories: Sequence[Memory]) -> list[Vectors]:
        texts = [memory.embedding_text() for memory in memories]
        embedded = await self._embedder.embed_documents(texts)
        return [
            Vectors(one.dense, self._sparse.encode_document(text), one.tokens)
            for one, text in zip(embedded, texts, strict=True)
        ]
