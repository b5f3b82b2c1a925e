"""The one place where things are opened. What is opened here is closed here, in reverse."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from anyio import to_thread

from api.erasure import Answers, Memories
from api.jobs import Job, Jobs
from api.keybook import KeyBook
from api.keys import KeyRing
from api.once import RecentAnswers
from api.rate import RateLimit
from api.reembedding import Reembedding, store_fingerprint
from api.screening import screening
from api.services import Services
from api.settings import Settings, secret
from ingest.copies import Copies
from ingest.due.gate import DueTimes
from ingest.intentions import IntentionParts, Intentions
from ingest.pipeline import Ingestor, IngestorParts
from ingest.threads import DepartureKeeper
from ingest.upkeep.executor import Upkeep
from ingest.workflows import WorkflowRecorder
from ingest.working import WorkingMemory
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.encoders.cached import CachedEmbedder
from memtypes.encoders.endpoints import EndpointCounter
from memtypes.encoders.onnx import OnnxEmbedder, OnnxSettings
from memtypes.encoders.prepare import DIMENSIONS, prepare
from memtypes.encoders.projection import token_projection
from memtypes.encoders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from memtypes.encoders.tiktoken import TiktokenTokenizer
from memtypes.errors import SetupRequired
from memtypes.models.counting import LocalCounter
from memtypes.models.files import RegistrySource
from memtypes.ports import Embedder, MemoryStore, Tokenizer
from memtypes.receipts import ErasableReceipts
from memtypes.stores.edge import EdgeSettings, EdgeStore
from memtypes.stores.qdrant import QdrantSettings, QdrantStore
from memtypes.stores.redis.client import LiveClient, LiveSettings
from memtypes.stores.redis.erasure import LiveState
from memtypes.stores.redis.locks import RedisLocks
from memtypes.stores.redis.receipts import RedisReceipts
from memtypes.stores.redis.threads import RedisThreads
from memtypes.stores.redis.workflows import RedisWorkflows
from memtypes.stores.redis.working import RedisWorking
from memtypes.threads.engine import ThreadParts, Threads
from memtypes.threads.files import read_policies
from memtypes.threads.summary import RuleSummariser
from memtypes.times import system_clock
from memtypes.workflows.engine import Workflows
from retrieval.freshness import Freshness
from retrieval.receipts.recorder import Past, ReceiptRecorder
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever, RetrieverParts

TOKENIZERS = ("cl100k_base", "o200k_base")
"""The first counts what is written."""

QUERY_CACHE = 4_096
"""Query vectors that are remembered: 6 MB."""

RECORDING_S = 120.0
"""Seconds between two looks for ended workflows whose record was missed."""

SWEEP_S = 1.0
"""Seconds between two sweeps of working memory; one that finds nothing due costs three round trips."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_services(settings: Settings, keys: KeyRing) -> AsyncIterator[Services]:
    """Everything that calls need, closed in reverse at the end.

    Raises BadKeys, BadRegistry, BadRedactionRules, SetupRequired, EmbedderMismatch, StoreInUse or Unavailable,
    each with the way out.
    """
    models = RegistrySource(settings.models)
    policies = read_policies(settings.policies)
    book = KeyBook(keys, settings.data_dir / "keys.json")
    async with AsyncExitStack() as opened:
        embedder = await prepared_embedder(settings)
        opened.push_async_callback(embedder.aclose)
        sparse = Bm25Encoder()
        tokenizers = await open_tokenizers(settings)
        store = await open_store(settings, embedder, store_fingerprint(embedder, sparse))
        opened.push_async_callback(store.aclose)
        live = await LiveClient.open(LiveSettings(settings.live_path, settings.redis_url))
        opened.push_async_callback(live.aclose)
        freshness = await opened.enter_async_context(Freshness(store).running())
        keep_for_good()
        http = await opened.enter_async_context(httpx.AsyncClient())
        screened = screening(settings, store, embedder, http)
        parts = IngestorParts(
            store,
            screened.embedder,
            sparse,
            tokenizers[TOKENIZERS[0]],
            system_clock,
            gates=(*screened.gates, DueTimes(system_clock)),
            redactor=screened.redactor,
            panel=screened.panel,
            recent=screened.recent,
        )
        ingestor = Ingestor(parts)
        workflows = Workflows(RedisWorkflows(live), parts.tokenizer, system_clock, WorkflowRecorder(ingestor))
        items = RedisWorking(live)
        copies = Copies(items, store, system_clock)
        records = Job("workflow records", RECORDING_S, lambda _: workflows.record_ended())
        locks = RedisLocks(live)
        threads = Threads(
            ThreadParts(
                RedisThreads(live),
                DepartureKeeper(ingestor),
                parts.tokenizer,
                RuleSummariser(parts.tokenizer),
                locks,
                system_clock,
                models,
                policies,
            )
        )
        departures = Job("thread departures", RECORDING_S, lambda _: threads.drain_all())
        jobs = Jobs(locks, [Job("working", SWEEP_S, copies.sweep), records, departures])
        await opened.enter_async_context(jobs.running())
        answered = RecentAnswers()
        kept = RedisReceipts(live, settings.receipt_days, system_clock)
        retrieving = RetrieverParts(
            store,
            embedder,
            sparse,
            tokenizers,
            system_clock,
            depth=settings.candidate_depth,
            on_shown=freshness.note,
            models=models,
            live=items,
            receipts=ReceiptRecorder(kept, Past(store, embedder), system_clock),
        )
        yield Services(
            store=store,
            ingestor=ingestor,
            upkeep=Upkeep(store, embedder, ingestor, parts.locks, system_clock),
            intentions=Intentions(IntentionParts(store, embedder, ingestor, parts.locks, system_clock)),
            retriever=Retriever(retrieving),
            pings={"store": store.ping, "embedder": embedder.ping, "live": live.ping},
            keys=book,
            rate=RateLimit(settings.calls_per_minute),
            models=models,
            counter=EndpointCounter(http, models, secret, LocalCounter(tokenizers, models)),
            workflows=workflows,
            working=WorkingMemory(items, copies, ingestor, store, system_clock),
            threads=threads,
            tokenizers=tokenizers,
            jobs=jobs,
            reembedding=Reembedding(settings, embedder, sparse),
            answered=answered,
            places={
                "memories": Memories(store),
                "answers": Answers(answered),
                "live": LiveState(live),
                "receipts": ErasableReceipts(kept),
            },
            receipts=Receipts(kept, retrieving),
            examiner=screened.examiner,
        )


def keep_for_good() -> None:
    """Tell the garbage collector that what is loaded by now stays: looking through it again costs 100 ms a time."""
    gc.collect()
    gc.freeze()


async def open_embedder(settings: Settings) -> Embedder:
    """The configured engine. Raises SetupRequired when it is not prepared or not installed."""
    if settings.embedder == "onnx":
        return await OnnxEmbedder.open(OnnxSettings(settings.encoder_path, projection=token_projection(DIMENSIONS)))
    return await SentenceTransformersEmbedder.open(SentenceTransformersSettings(settings.model))


async def prepared_embedder(settings: Settings) -> Embedder:
    """The configured engine with a memory for queries; the default one is prepared when it is not yet."""
    try:
        inner = await open_embedder(settings)
    except SetupRequired as error:
        if settings.embedder != "onnx":
            raise
        _log.info("%s; preparing the encoder, once", error)
        await to_thread.run_sync(prepare, settings.encoder_path)
        inner = await open_embedder(settings)
    return CachedEmbedder(inner, QUERY_CACHE)


async def open_tokenizers(settings: Settings) -> Mapping[str, Tokenizer]:
    """Each tokenizer by name. Raises SetupRequired."""
    directory: Path = settings.data_dir / "tokenizers"
    return {name: await TiktokenTokenizer.open(name, directory) for name in TOKENIZERS}


async def open_store(settings: Settings, embedder: Embedder, fingerprint: str) -> MemoryStore:
    """The embedded store, or the configured server. Raises EmbedderMismatch, StoreInUse or Unavailable."""
    if settings.qdrant_url is None:
        return await EdgeStore.open(EdgeSettings(settings.store_path, fingerprint, embedder.dimensions))
    key = settings.qdrant_api_key
    return await QdrantStore.open(
        QdrantSettings(
            url=settings.qdrant_url,
            fingerprint=fingerprint,
            dimensions=embedder.dimensions,
            api_key=key.get_secret_value() if key else None,
            shards=settings.qdrant_shards,
            replicas=settings.qdrant_replicas,
            write_consistency=settings.qdrant_write_consistency,
            quantization=settings.qdrant_quantization,
        )
    )
