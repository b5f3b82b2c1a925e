"""The memory store on a Qdrant server or cluster.

Each memory type has a collection `{prefix}_{type}_v1` behind the alias `{prefix}_{type}`, and so
have keyed items. The collection's metadata contains the embedder's fingerprint. A write is
acknowledged when `write_consistency` replicas have stored it. The url ":memory:" selects the Qdrant
client's local mode, for tests: exact search in Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Literal

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from memtypes.model.errors import EmbedderMismatch, SetupRequired
from memtypes.model.policy import MemoryType
from memtypes.search.columns import ColumnKinds
from memtypes.search.vectors import TOKEN_DIMENSIONS
from memtypes.stores.operations import schema
from memtypes.stores.operations.engine_store import Answer, EngineFunction, EngineStore, Parameters
from memtypes.stores.operations.schema import Collection, Index
from memtypes.stores.qdrant.server_engine import QdrantEngine
from memtypes.stores.qdrant.translate import translate_errors

LOCAL = ":memory:"

OLDEST_SERVER = (1, 19)
"""Older servers ignore the filter of IDF statistics without an error: scores of a tenant's keywords
would then depend on the memories of other tenants.
"""

_INDEX_PARAMS: Mapping[Index, Any] = MappingProxyType(
    {
        Index.TENANT: models.KeywordIndexParams(
            type=models.KeywordIndexType.KEYWORD, is_tenant=True
        ),
        Index.KEYWORD: models.PayloadSchemaType.KEYWORD,
        Index.TIME: models.PayloadSchemaType.DATETIME,
        Index.INTEGER: models.IntegerIndexParams(
            type=models.IntegerIndexType.INTEGER, lookup=True, range=True
        ),
    }
)


@dataclass(frozen=True, slots=True)
class QdrantSettings:
    """Settings of a store on a Qdrant server. The last four apply to new collections only.

    column_kinds: the payload fields that searches read of each candidate.
    """

    url: str
    fingerprint: str
    dimensions: int
    column_kinds: ColumnKinds
    api_key: str | None = None
    timeout_s: int = 30
    prefix: str = "remembrancer"
    shards: int = 1
    replicas: int = 1
    write_consistency: int = 1
    quantization: Literal["none", "int8"] = "none"


class QdrantStore(EngineStore):
    """The memory store on one Qdrant server or cluster. aliases: the name of each collection on the
    server.
    """

    def __init__(self, settings: QdrantSettings, client: AsyncQdrantClient) -> None:
        super().__init__(settings.dimensions)
        self._settings = settings
        self._client = client
        self._local = settings.url == LOCAL
        self.aliases: Mapping[Collection, str] = {
            kind: f"{settings.prefix}_{kind}" for kind in schema.COLLECTIONS
        }
        self._engine = QdrantEngine(client, self.aliases, settings.column_kinds, local=self._local)

    @classmethod
    async def open(cls, settings: QdrantSettings) -> QdrantStore:
        """Open the store and create its missing collections. Raises EmbedderMismatch, SetupRequired
        for a server that is too old, or Unavailable.
        """
        store = cls(settings, client_of(settings))
        try:
            await store.prepare()
        except BaseException:
            await store.aclose()
            raise
        return store

    async def prepare(self) -> None:
        """Check the server's version, create missing collections, and check that existing ones have
        this embedder. Nothing is deleted.
        """
        with translate_errors(self._settings.url):
            await self._check_version()
            aliases = (await self._client.get_aliases()).aliases
            collections = {alias.alias_name: alias.collection_name for alias in aliases}
            for kind in schema.COLLECTIONS:
                await self._prepare_collection(kind, collections.get(self.aliases[kind]))

    async def ping(self) -> None:
        """Return when the server answers. Raises Unavailable if it does not."""
        with translate_errors(self._settings.url):
            await self._client.get_collection(self.aliases[MemoryType.EPISODIC])

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._client.close()

    async def call(
        self,
        function: EngineFunction[Parameters, Answer],
        *arguments: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Answer:
        """Run `function` with operations on the server. Raises Unavailable if it can't be
        reached.
        """
        with translate_errors(self._settings.url):
            return await function(self._engine, *arguments, **named)

    async def _check_version(self) -> None:
        """Raise SetupRequired if the server is older than OLDEST_SERVER."""
        if self._local:
            return
        version = (await self._client.info()).version
        numbers = re.match(r"v?(\d+)\.(\d+)", version)  # suffixes follow, as in 1.19.0-dev
        if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_SERVER:
            needed = ".".join(map(str, OLDEST_SERVER))
            raise SetupRequired(
                f"the Qdrant server at {self._settings.url} has version {version}: take {needed} "
                "or newer, as keyword scores of an older one count the memories of other tenants"
            )

    async def _prepare_collection(self, kind: Collection, collection: str | None) -> None:
        """Check the embedder of a collection. If `collection` is None, create it and its alias, the
        alias last.
        """
        name = collection or f"{self.aliases[kind]}_{schema.VERSION}"
        if not await self._client.collection_exists(name):
            try:
                await self.create(kind, name)
            except UnexpectedResponse as error:
                if error.status_code != HTTPStatus.CONFLICT:  # another process may be starting too
                    raise
        metadata = (await self._client.get_collection(name)).config.metadata or {}
        stored = (str(metadata.get("fingerprint", "unknown")), int(metadata.get("dimensions", 0)))
        configured = (self._settings.fingerprint, self._settings.dimensions)
        if stored != configured:
            where = f"the collection {name} at {self._settings.url}"
            raise EmbedderMismatch(schema.mismatch(where, stored, configured))
        await self.index(kind, name)
        if collection is None:
            alias = models.CreateAlias(collection_name=name, alias_name=self.aliases[kind])
            await self._client.update_collection_aliases(
                [models.CreateAliasOperation(create_alias=alias)]
            )

    async def create(self, kind: Collection, collection: str) -> None:
        """Create an empty collection named `collection` with the store's settings, without payload
        indexes.
        """
        settings = self._settings
        await self._client.create_collection(
            collection,
            vectors_config=vectors_config(settings, kind),
            sparse_vectors_config={
                schema.SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)
            },
            shard_number=settings.shards,
            replication_factor=settings.replicas,
            write_consistency_factor=settings.write_consistency,
            # Graphs for each tenant and namespace instead of one over all, as a search stays in one
            # namespace.
            hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
            metadata={"fingerprint": settings.fingerprint, "dimensions": settings.dimensions},
        )

    async def index(self, kind: Collection, collection: str) -> None:
        """Create the payload indexes that a collection lacks; none in the Qdrant client's local
        mode (for tests).
        """
        if self._local:
            return
        present = (await self._client.get_collection(collection)).payload_schema
        for field, index in schema.indexes_of(kind).items():
            if field not in present:
                await self._client.create_payload_index(
                    collection, field, field_schema=_INDEX_PARAMS[index]
                )


def client_of(settings: QdrantSettings) -> AsyncQdrantClient:
    """A client for the Qdrant server of `settings`. It connects on its first call."""
    # The version check would run in a thread and warn; the first call reports what is wrong.
    return AsyncQdrantClient(
        location=settings.url,
        api_key=settings.api_key,
        timeout=settings.timeout_s,
        check_compatibility=False,
    )


def vectors_config(settings: QdrantSettings, kind: Collection) -> dict[str, models.VectorParams]:
    """Parameters of a collection's dense vectors, and of its token vectors, which only rerank and
    need no graph.
    """
    int8 = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    quantization = (
        models.ScalarQuantization(scalar=int8) if settings.quantization == "int8" else None
    )
    nearest = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    return {
        schema.DENSE: models.VectorParams(
            size=settings.dimensions,
            distance=models.Distance.COSINE,
            quantization_config=quantization,
            multivector_config=nearest if kind is schema.ITEMS else None,
        ),
        schema.TOKENS: models.VectorParams(
            size=TOKEN_DIMENSIONS,
            distance=models.Distance.DOT,
            datatype=models.Datatype.FLOAT16,
            multivector_config=nearest,
            hnsw_config=models.HnswConfigDiff(m=0, payload_m=0),
            on_disk=True,
        ),
    }
