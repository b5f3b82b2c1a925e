"""Opens the encoders, tokenizers, stores and configuration files that the settings name; embeds a
store again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
from anyio import to_thread
from threadpoolctl import threadpool_limits

from api.settings import Settings
from ingest.conversations.policies import PolicyLookup
from ingest.screening.judge import Judge
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.reader import OnnxReader, ReaderSettings
from memtypes.encoders.sentence_transformers import (
    SentenceTransformersEmbedder,
    SentenceTransformersSettings,
)
from memtypes.encoders.setup.prepare import prepare
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.live.thread_policy import Policies, read_policies
from memtypes.llms.registry import EXACT_TOKENIZERS, RegistrySource
from memtypes.model.errors import Conflict, SetupRequired
from memtypes.model.times import system_clock
from memtypes.ports.encoders import Embedder, Tokenizer
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.reader import Reader
from memtypes.search.vectors import InContext, Vectors
from memtypes.stores.edge import EdgeSettings, EdgeStore
from memtypes.stores.edge.rebuild import rebuild
from memtypes.stores.operations.engine_store import EngineStore
from memtypes.stores.operations.schema import Collection
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.receipts import RedisReceipts
from retrieval.columns import COLUMNS
from retrieval.query.intent import recognises_wishes
from retrieval.ranking.helpfulness import judges_evidence
from retrieval.receipts.recorder import ReceiptQueue

if TYPE_CHECKING:
    from memtypes.stores.qdrant.store import QdrantSettings

QUERY_CACHE = 4_096
"""Number of query embeddings that the embedder caches, in 6 MB."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resources:
    """The opened encoders, stores and clients. reader: None if it is off or not prepared. models,
    policies: contents of the models file and the policy file.
    """

    settings: Settings
    embedder: Embedder
    reader: Reader | None
    sparse: Bm25Encoder
    tokenizers: Mapping[str, Tokenizer]
    store: EngineStore
    live: LiveClient
    receipts: ReceiptQueue
    http: httpx.AsyncClient
    models: RegistrySource
    policies: Policies

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that counts the tokens of stored content."""
        return self.tokenizers[EXACT_TOKENIZERS[0]]


async def open_resources(settings: Settings, stack: AsyncExitStack) -> Resources:
    """Open all resources, which `stack` closes. Errors such as SetupRequired or StoreInUse say what
    to do.
    """
    models = RegistrySource(settings.models)
    policies = read_policies(settings.policies)
    for warning in PolicyLookup(models, policies).warnings():
        _log.warning("policy file %s: %s", settings.policies, warning)
    embedder = await prepared_embedder(settings)
    stack.push_async_callback(embedder.aclose)
    reader = await optional_reader(settings)
    if reader is not None:
        stack.push_async_callback(reader.aclose)
    sparse = Bm25Encoder()
    loading = asyncio.create_task(open_tokenizers())  # while the processes of the stores start
    stack.callback(loading.cancel)
    store = await open_store(settings, embedder, sparse)
    stack.push_async_callback(store.aclose)
    live = await LiveClient.open(settings.live_path, settings.redis_url)
    stack.push_async_callback(live.aclose)
    tokenizers = await loading
    http = await stack.enter_async_context(httpx.AsyncClient())
    receipts = ReceiptQueue(
        RedisReceipts(live, settings.receipt_days, system_clock), lambda: live.in_touch
    )
    stack.push_async_callback(receipts.aclose)
    return Resources(
        settings,
        embedder,
        reader,
        sparse,
        tokenizers,
        store,
        live,
        receipts,
        http,
        models,
        policies,
    )


async def open_embedder(settings: Settings, cached_queries: int = 0) -> Embedder:
    """Open the configured embedder with a cache of `cached_queries` vectors. Raises SetupRequired
    if it is missing.
    """
    # OpenBLAS threads busy-wait for their next product, which took as much processor time as the
    # encoder.
    threadpool_limits(1, user_api="blas")
    if settings.embedder == "onnx":
        return await OnnxEmbedder.open(
            OnnxSettings(settings.encoder_path, cached_queries=cached_queries)
        )
    return await SentenceTransformersEmbedder.open(
        SentenceTransformersSettings(settings.model, cached_queries=cached_queries)
    )


async def prepared_embedder(settings: Settings) -> Embedder:
    """Open the configured embedder with a query cache. Missing files of the default embedder are
    built first.
    """
    try:
        return await open_embedder(settings, QUERY_CACHE)
    except SetupRequired as error:
        if settings.embedder != "onnx":
            raise
        _log.info("%s; preparing the encoder, once", error)
        await to_thread.run_sync(prepare, settings.encoder_path)
        return await open_embedder(settings, QUERY_CACHE)


async def open_reader(settings: Settings) -> Reader:
    """Open the reader. Raises SetupRequired, with what to do, if it is off, missing or damaged."""
    if settings.reader == "off":
        raise SetupRequired("the reader is off; set REMEMBRANCER_READER=auto to use it")
    return await OnnxReader.open(ReaderSettings(directory=settings.reader_path))


async def optional_reader(settings: Settings) -> Reader | None:
    """The reader, if it can be opened; else None, and the log says why."""
    try:
        return await open_reader(settings)
    except SetupRequired as error:
        _log.info("without the reader: %s", error)
        return None


def left_out(encoder: str) -> str | None:
    """What the service does without, because its trained models do not know the vectors of the
    embedder with the fingerprint `encoder`; None if they know them.
    """
    known = {
        "texts are judged by their words alone": Judge.shipped(encoder).knows_encoder,
        "queries for overviews are not recognised": recognises_wishes(encoder),
        "the relevance floor is off": judges_evidence(encoder),
    }
    missing = [lack for lack, is_known in known.items() if not is_known]
    if not missing:
        return None
    return f"the trained models do not know the encoder {encoder}: {', '.join(missing)}"


async def open_tokenizers() -> Mapping[str, Tokenizer]:
    """Open the tokenizers in EXACT_TOKENIZERS, by name. Raises SetupRequired if a vocabulary is not
    installed.
    """
    opened = {name: await TiktokenTokenizer.open(name) for name in EXACT_TOKENIZERS}
    stored = opened[EXACT_TOKENIZERS[0]]  # counts stored content, so its encoding is built now
    await to_thread.run_sync(stored.count, "")
    return opened


def store_settings(
    settings: Settings, embedder: Embedder, sparse: Bm25Encoder
) -> EdgeSettings | QdrantSettings:
    """Settings of the configured memory store: embedded, or a Qdrant server. The two encoders make
    its vectors.
    """
    fingerprint = f"{embedder.fingerprint}+{sparse.fingerprint}"
    if settings.qdrant_url is None:
        return EdgeSettings(settings.store_path, fingerprint, embedder.dimensions, COLUMNS)
    # Importing its client takes a third of the CPU time of a start, which the embedded store need
    # not spend.
    from memtypes.stores.qdrant.store import QdrantSettings  # noqa: PLC0415

    key = settings.qdrant_api_key
    return QdrantSettings(
        url=settings.qdrant_url,
        fingerprint=fingerprint,
        dimensions=embedder.dimensions,
        column_kinds=COLUMNS,
        api_key=key.get_secret_value() if key else None,
        shards=settings.qdrant_shards,
        replicas=settings.qdrant_replicas,
        write_consistency=settings.qdrant_write_consistency,
        quantization=settings.qdrant_quantization,
    )


async def open_store(settings: Settings, embedder: Embedder, sparse: Bm25Encoder) -> EngineStore:
    """Open the memory store: embedded, or the Qdrant server. Raises EmbedderMismatch, StoreInUse or
    Unavailable.
    """
    configured = store_settings(settings, embedder, sparse)
    if isinstance(configured, EdgeSettings):
        return await EdgeStore.open(configured)
    from memtypes.stores.qdrant.store import QdrantStore  # noqa: PLC0415 - see `store_settings`

    return await QdrantStore.open(configured)


@dataclass(frozen=True, slots=True)
class Reembedding:
    """Rebuilds the configured memory store with vectors from `embedder` and `sparse`."""

    settings: Settings
    embedder: Embedder
    sparse: Bm25Encoder

    async def run(self) -> dict[Collection, int]:
        """Embed every memory and keyed item (a JSON value under a key) again; return their number
        by collection.

        Raises StoreInUse if a program has an embedded store open, InvalidRequest without a store,
        and Unavailable.
        """
        store = store_settings(self.settings, self.embedder, self.sparse)
        if isinstance(store, EdgeSettings):
            return await rebuild(store, self._embed)
        # See `store_settings`
        from memtypes.stores.qdrant.rebuild import rebuild as rebuild_server  # noqa: PLC0415

        return await rebuild_server(store, self._embed)

    async def run_on(self, store: MemoryStore) -> dict[Collection, int]:
        """Like `run`, on the store that this program has open. It is closed meanwhile.

        Raises Conflict if the store is on a Qdrant server.
        """
        if isinstance(store, EdgeStore):
            return await store.rebuild(self.run)
        raise Conflict(
            "collections on a server are embedded again by `remembrancer reembed`, while no "
            "service runs"
        )

    async def _embed(self, texts: Sequence[InContext]) -> list[Vectors]:
        embeddings = await self.embedder.embed_in_context(texts)
        return [
            Vectors(embedding.dense, self.sparse.encode_document(text.text), embedding.tokens)
            for embedding, text in zip(embeddings, texts, strict=True)
        ]
