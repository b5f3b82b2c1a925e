"""Embeds every memory again with the current embedder, and writes new versions of the store's collections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.settings import Settings
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.errors import Conflict
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.edge import EdgeSettings
from memtypes.stores.edge.rebuild import rebuild
from memtypes.stores.operations.schema import Collection

if TYPE_CHECKING:
    from memtypes.stores.qdrant.store import QdrantSettings


def store_fingerprint(embedder: Embedder, sparse: Bm25Encoder) -> str:
    """Text that identifies the two encoders, dense and sparse, that make a store's vectors."""
    return f"{embedder.fingerprint}+{sparse.fingerprint}"


def server_settings(settings: Settings, url: str, fingerprint: str, dimensions: int) -> QdrantSettings:
    """Settings of the store on the Qdrant server at `url`. fingerprint, dimensions: of the encoders' vectors."""
    # Importing its client takes a third of the CPU time of a start, which the embedded store need not spend.
    from memtypes.stores.qdrant.store import QdrantSettings  # noqa: PLC0415

    key = settings.qdrant_api_key
    return QdrantSettings(
        url=url,
        fingerprint=fingerprint,
        dimensions=dimensions,
        api_key=key.get_secret_value() if key else None,
        shards=settings.qdrant_shards,
        replicas=settings.qdrant_replicas,
        write_consistency=settings.qdrant_write_consistency,
        quantization=settings.qdrant_quantization,
    )


@dataclass(frozen=True, slots=True)
class Reembedding:
    """Rebuilds the configured memory store with vectors from `embedder` and `sparse`."""

    settings: Settings
    embedder: Embedder
    sparse: Bm25Encoder

    async def run(self, *, stop_engine: bool) -> dict[Collection, int]:
        """Embed every memory and keyed item (a JSON value under a key) again; return their number by collection.

        stop_engine: whether to stop an embedded store's engine first. Raises StoreInUse if this is False and the
        process runs, Conflict if it is True and the store is on a Qdrant server, InvalidRequest without a store, and
        Unavailable.
        """
        fingerprint = store_fingerprint(self.embedder, self.sparse)
        if self.settings.qdrant_url is not None:
            if stop_engine:
                raise Conflict(
                    "collections on a server are embedded again by `remembrancer reembed`, while no service runs"
                )
            from memtypes.stores.qdrant.rebuild import rebuild as rebuild_server  # noqa: PLC0415 - see `server_settings`

            server = server_settings(self.settings, self.settings.qdrant_url, fingerprint, self.embedder.dimensions)
            return await rebuild_server(server, self._embed)
        store = EdgeSettings(self.settings.store_path, fingerprint, self.embedder.dimensions)
        return await rebuild(store, self._embed, stop_engine=stop_engine)

    async def _embed(self, texts: Sequence[InContext]) -> list[Vectors]:
        embeddings = await self.embedder.embed_in_context(texts)
        return [
            Vectors(embedding.dense, self.sparse.encode_document(text.text), embedding.tokens)
            for embedding, text in zip(embeddings, texts, strict=True)
        ]
