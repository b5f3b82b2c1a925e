"""Opens the service's store, encoders and retrieval in this process, and fills stores with
synthetic memories.

Retrievals here do not count as uses of memories, because a use changes later rankings. Synthetic
memories have texts, token counts and keyword weights like real ones, but random unit vectors:
embedding 100,000 texts takes 20 minutes.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from api.http.serve import freeze_loaded_objects
from api.settings import Settings, read_settings
from api.wiring.resources import (
    open_store,
    open_tokenizers,
    optional_reader,
    prepared_embedder,
)
from api.wiring.services import local_panel
from benchmarks.harness.service import wait_until_closed
from benchmarks.harness.synthetic import Turn, turns
from benchmarks.sets.data import CorpusEntry, to_draft
from ingest.screening.judge import Judge
from ingest.screening.redaction.redactor import Redactor
from ingest.writing.drafts import PendingWrite, Preparer
from ingest.writing.pipeline import Ingestor
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.llms.registry import EXACT_TOKENIZERS
from memtypes.model.ids import memory_id
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.times import system_clock
from memtypes.model.types import AnyDraft
from memtypes.ports.encoders import Embedder, SparseEncoder, Tokenizer
from memtypes.ports.memory_store import Record
from memtypes.search.vectors import Embedding, TokenVectors, Vectors
from memtypes.stores.operations.engine_store import EngineStore
from retrieval.context.entries import Entries, EntryCounter
from retrieval.dependencies import RetrieverParts
from retrieval.retriever import Retriever

TENANT = "default"
DIMENSIONS = 384
TOKEN_DIMENSIONS = 128
_BATCH = 320
_ENDLESS = 1 << 40
_POOL = 8_192
_SEED = 3


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store with its encoders and pipelines. stages: milliseconds of each stage of the last
    retrieval.
    """

    store: EngineStore
    embedder: Embedder
    sparse: SparseEncoder
    tokenizers: Mapping[str, Tokenizer]
    ingestor: Ingestor
    parts: RetrieverParts
    stages: dict[str, float]

    @property
    def retriever(self) -> Retriever:
        """A retriever that uses the opened store and encoders."""
        return Retriever(self.parts)

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that counts the tokens of memories when they are stored."""
        return self.tokenizers[EXACT_TOKENIZERS[0]]

    @property
    def preparer(self) -> Preparer:
        """A preparer, which turns drafts into memories that can be written to the store."""
        return Preparer(self.sparse, EntryCounter(self.tokenizer, Entries()))


class WrappedEmbedder(Embedder):
    """Passes every call on to the embedder `inner`; subclasses override single methods. Does not
    close `inner`.
    """

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self.fingerprint = inner.fingerprint
        self.dimensions = inner.dimensions

    async def embed_query(self, text: str) -> Embedding:
        """The embedding of the query `text` by the wrapped embedder."""
        return await self.inner.embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The embeddings of `texts` by the wrapped embedder."""
        return await self.inner.embed_documents(texts)

    async def ping(self) -> None:
        """Check that the wrapped embedder responds."""
        await self.inner.ping()

    async def aclose(self) -> None:
        """Leave the wrapped embedder open: whoever opened it closes it."""


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Opened]:
    """Open the store and encoders of `settings` in this process, until the context ends."""
    async with AsyncExitStack() as stack:
        embedder = await prepared_embedder(settings)
        stack.push_async_callback(embedder.aclose)
        reader = await optional_reader(settings)
        if reader is not None:
            stack.push_async_callback(reader.aclose)
        sparse = Bm25Encoder()
        stages: dict[str, float] = {}

        def record(timings: Mapping[str, float]) -> None:
            stages.clear()
            stages.update(timings)

        tokenizers = await open_tokenizers()
        counter = tokenizers[EXACT_TOKENIZERS[0]]
        store = await open_store(settings, embedder, sparse)
        stack.push_async_callback(store.aclose)
        freeze_loaded_objects()
        yield Opened(
            store=store,
            embedder=embedder,
            sparse=sparse,
            tokenizers=tokenizers,
            ingestor=Ingestor(
                store,
                embedder,
                sparse,
                EntryCounter(counter, Entries()),
                system_clock,
                (),
                Redactor(),
                local_panel(store, Judge.shipped(embedder.fingerprint)),
                None,
            ),
            parts=RetrieverParts(
                store,
                embedder,
                sparse,
                tokenizers,
                system_clock,
                settings.candidate_depth,
                reader=reader,
                read_hits=settings.reader_hits,
                on_timings=record,
            ),
            stages=stages,
        )


def settings_in(directory: Path) -> Settings:
    """The configured settings with `directory` as data folder. The encoder and the reader are still
    read from their configured folders.
    """
    configured = read_settings()
    return configured.model_copy(
        update={
            "data_dir": directory,
            "encoder_dir": configured.encoder_path,
            "reader_dir": configured.reader_path,
        }
    )


@contextmanager
def data_directory(path: Path | None = None) -> Iterator[Path]:
    """The folder `path`, created if missing; if None, a temporary folder that is removed when the
    context ends.
    """
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="remembrancer-benchmark-") as directory:
        yield Path(directory)
        wait_until_closed(Path(directory))  # a live server may still be ending


def namespace_of(index: int) -> str:
    """The name of the synthetic namespace number `index`."""
    return f"namespace-{index}"


async def filled(settings: Settings, count: int, namespaces: int) -> float:
    """Fill the store with `count` synthetic memories. Returns the seconds that it took; 0 if the
    store was filled.
    """
    marker = settings.data_dir / "filled.json"
    state = {"memories": count, "namespaces": namespaces}
    if marker.exists() and json.loads(marker.read_text(encoding="utf-8")) == state:
        return 0.0
    began = time.perf_counter()
    async with open_parts(settings) as opened:
        await _write_memories(opened, count, namespaces)
    marker.write_text(json.dumps(state), encoding="utf-8")
    return time.perf_counter() - began


async def _write_memories(opened: Opened, count: int, namespaces: int) -> None:
    rng = np.random.default_rng([_SEED, 2])
    pool = _token_pool(rng)
    pending: dict[Scope, list[Record]] = defaultdict(list)
    for scope, prepared in itertools.islice(_memories(opened.preparer, namespaces), count):
        pending[scope].append(_record(prepared, rng, pool))
        if len(pending[scope]) == _BATCH:
            await opened.store.upsert(scope, pending.pop(scope))
    for scope, records in pending.items():
        await opened.store.upsert(scope, records)


def _memories(preparer: Preparer, namespaces: int) -> Iterator[tuple[Scope, PendingWrite]]:
    """Yield synthetic memories endlessly: in each round one of every type, copied to every
    namespace.
    """
    scopes = [Scope(TENANT, namespace_of(index)) for index in range(namespaces)]
    texts = enumerate(turns(_ENDLESS, seed=_SEED))
    while True:
        batch = zip(MemoryType, itertools.islice(texts, len(MemoryType)), strict=True)
        prepared = [
            preparer.prepare(draft_of(turn, kind), scopes[0], turn.at, index)
            for kind, (index, turn) in batch
        ]
        for scope in scopes:
            yield from ((scope, _copied_to(memory, scope)) for memory in prepared)


def draft_of(turn: Turn, kind: MemoryType) -> AnyDraft:
    """A draft of type `kind` with the text, speaker and time of a synthetic turn."""
    return to_draft(
        CorpusEntry("", "", turn.text, kind, speaker=turn.speaker, timestamp=turn.at.isoformat())
    )


def _copied_to(prepared: PendingWrite, scope: Scope) -> PendingWrite:
    memory = prepared.memory
    new_id = memory_id(scope, memory.type, memory.identity())
    return replace(
        prepared, memory=memory.model_copy(update={"id": new_id, "namespace": scope.namespace})
    )


def _record(prepared: PendingWrite, rng: np.random.Generator, pool: TokenVectors) -> Record:
    vector = rng.standard_normal(DIMENSIONS).astype(np.float32)
    start = int(rng.integers(len(pool)))
    # About as many as the encoder's word pieces
    tokens = pool[start : start + prepared.memory.tokens.count]
    return Record.from_memory(
        prepared.memory,
        Vectors(vector / np.float32(np.linalg.norm(vector)), prepared.sparse, tokens),
    )


def _token_pool(rng: np.random.Generator) -> TokenVectors:
    scaled = rng.standard_normal((_POOL, TOKEN_DIMENSIONS)) * (127.0 / np.sqrt(TOKEN_DIMENSIONS))
    pool: TokenVectors = np.clip(scaled, -127, 127).astype(np.int8)
    return pool
