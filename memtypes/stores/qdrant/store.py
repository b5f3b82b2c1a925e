"""The store on a Qdrant server or cluster, through the vendor's own asynchronous client.

A type's memories are the collection `{prefix}_{type}_v1` behind the alias `{prefix}_{type}`; the embedder's fingerprint
is in the collection's metadata. The url ":memory:" is the client's local mode, which is for tests: it is exact, keeps
nothing, knows no indexes, and computes everything in Python. A write is acknowledged when the server has applied it
(`wait`), on as many replicas as `write_consistency` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from qdrant_client import AsyncQdrantClient, models

from memtypes.model.errors import EmbedderMismatch
from memtypes.model.policy import MemoryType
from memtypes.search.vectors import TOKEN_DIMENSIONS
from memtypes.stores.operations.message_store import Answer, MessageStore
from memtypes.stores.operations.messages import EngineRequest
from memtypes.stores.operations.schema import (
    DENSE,
    SPARSE,
    TOKENS,
    VERSION,
    Index,
    collection_name,
    indexes_of,
    mismatch,
)
from memtypes.stores.qdrant.engine import QdrantEngine
from memtypes.stores.qdrant.translate import tolerated_conflict, translated

LOCAL = ":memory:"

_INDEX_PARAMS: Mapping[Index, Any] = MappingProxyType(
    {
        Index.TENANT: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
        Index.KEYWORD: models.PayloadSchemaType.KEYWORD,
        Index.TIME: models.PayloadSchemaType.DATETIME,
        Index.INTEGER: models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=True),
    }
)


@dataclass(frozen=True, slots=True)
class QdrantSettings:
    """Which server, and how its collections are made.

    fingerprint, dimensions: of the embedder. timeout_s: of one call. shards, replicas, write_consistency,
    quantization: of collections that are made new; those that exist stay as they are.
    """

    url: str
    fingerprint: str
    dimensions: int
    api_key: str | None = None
    timeout_s: int = 30
    prefix: str = "remembrancer"
    shards: int = 1
    replicas: int = 1
    write_consistency: int = 1
    quantization: Literal["none", "int8"] = "none"


class QdrantStore(MessageStore):
    """The store on one server."""

    def __init__(self, settings: QdrantSettings, client: AsyncQdrantClient) -> None:
        super().__init__(settings.dimensions)
        self._settings = settings
        self._client = client
        self._local = settings.url == LOCAL
        self._engine = QdrantEngine(client, settings.prefix, local=self._local)

    @classmethod
    async def open(cls, settings: QdrantSettings) -> QdrantStore:
        """The store of `settings`; collections that are missing are made. Raises EmbedderMismatch or Unavailable."""
        store = cls(settings, client_of(settings))
        try:
            await store.prepare()
        except BaseException:
            await store.aclose()
            raise
        return store

    async def prepare(self) -> None:
        """Make the collections that are missing and check those that exist. Nothing is dropped or made again."""
        with translated(self._settings.url):
            known = {alias.alias_name: alias.collection_name for alias in (await self._client.get_aliases()).aliases}
            for kind in MemoryType:
                await self._prepare_type(kind, known.get(self._name(kind)))

    async def ping(self) -> None:
        """Return when the server knows the collections; raise Unavailable when it can't be asked."""
        with translated(self._settings.url):
            await self._client.get_collection(self._name(MemoryType.EPISODIC))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, request: EngineRequest[Answer]) -> Answer:
        """The answer of the server."""
        with translated(self._settings.url):
            return await request.run(self._engine)

    def _name(self, kind: MemoryType) -> str:
        return collection_name(self._settings.prefix, kind)

    async def _prepare_type(self, kind: MemoryType, collection: str | None) -> None:
        """Check the collection behind the alias, or make it, and the alias last: an alias names a finished one."""
        wanted = collection or f"{self._name(kind)}_{VERSION}"
        if not await self._client.collection_exists(wanted):
            with tolerated_conflict():  # another process of the same service may be starting too
                await self.create(wanted)
        await self._check(wanted)
        await self.index(kind, wanted)
        if collection is None:
            alias = models.CreateAlias(collection_name=wanted, alias_name=self._name(kind))
            await self._client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])

    async def _check(self, collection: str) -> None:
        """Raise EmbedderMismatch unless the collection was made with the embedder of the settings."""
        metadata = (await self._client.get_collection(collection)).config.metadata or {}
        kept = (str(metadata.get("fingerprint", "unknown")), int(metadata.get("dimensions", 0)))
        given = (self._settings.fingerprint, self._settings.dimensions)
        if kept != given:
            raise EmbedderMismatch(mismatch(f"the collection {collection} at {self._settings.url}", kept, given))

    async def create(self, collection: str) -> None:
        """Make a collection as the settings have it."""
        settings = self._settings
        await self._client.create_collection(
            collection,
            vectors_config=vectors_config(settings),
            sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            shard_number=settings.shards,
            replication_factor=settings.replicas,
            write_consistency_factor=settings.write_consistency,
            # No graph over everybody: each tenant and namespace gets its own, as every search stays in one.
            hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
            metadata={"fingerprint": settings.fingerprint, "dimensions": settings.dimensions},
        )

    async def index(self, kind: MemoryType, collection: str) -> None:
        """Make the indexes that a collection of this type lacks; the local mode knows none."""
        if self._local:
            return
        present = (await self._client.get_collection(collection)).payload_schema
        for field, index in indexes_of(kind).items():
            if field not in present:
                await self._client.create_payload_index(collection, field, field_schema=_INDEX_PARAMS[index])


def client_of(settings: QdrantSettings) -> AsyncQdrantClient:
    """A client of the server."""
    # The check of versions would run in a thread and warn; the first call says what is wrong.
    return AsyncQdrantClient(
        location=settings.url, api_key=settings.api_key, timeout=settings.timeout_s, check_compatibility=False
    )


def vectors_config(settings: QdrantSettings) -> dict[str, models.VectorParams]:
    """The dense vector, and the place for token vectors, which only rerank and so need no graph."""
    int8 = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    quantization = models.ScalarQuantization(scalar=int8) if settings.quantization == "int8" else None
    return {
        DENSE: models.VectorParams(
            size=settings.dimensions, distance=models.Distance.COSINE, quantization_config=quantization
        ),
        TOKENS: models.VectorParams(
            size=TOKEN_DIMENSIONS,
            distance=models.Distance.DOT,
            datatype=models.Datatype.FLOAT16,
            multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            hnsw_config=models.HnswConfigDiff(m=0, payload_m=0),
            on_disk=True,
        ),
    }
