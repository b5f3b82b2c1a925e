"""The parts of the service, opened as `api.wiring` opens them, with retrieval told to whom it reports its timings.

Uses are not noted here: a question must not be ranked by what the questions before it have shown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from api.settings import Settings, read_settings
from api.wiring.resources import TOKENIZERS, open_store, open_tokenizers, prepared_embedder
from api.wiring.services import freeze_loaded_objects
from ingest.writing.drafts import Preparer
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.encoders.bm25 import Bm25Encoder
from memtypes.model.times import system_clock
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.ports.memory_store import MemoryStore
from memtypes.ports.tokenizer import Tokenizer
from retrieval.retriever import OnTimings, Retriever, RetrieverParts


@dataclass(frozen=True, slots=True)
class Opened:
    """Everything a benchmark works with. tokenizers: by name."""

    store: MemoryStore
    embedder: Embedder
    sparse: SparseEncoder
    tokenizers: Mapping[str, Tokenizer]
    ingestor: Ingestor
    parts: RetrieverParts

    @property
    def retriever(self) -> Retriever:
        """Asks."""
        return Retriever(self.parts)

    @property
    def tokenizer(self) -> Tokenizer:
        """The one that counts what is written."""
        return self.tokenizers[TOKENIZERS[0]]

    @property
    def preparer(self) -> Preparer:
        """What makes memories of drafts."""
        return Preparer(self.sparse, self.tokenizer)


@asynccontextmanager
async def open_parts(settings: Settings, on_timings: OnTimings | None = None) -> AsyncIterator[Opened]:
    """The parts with these settings, closed in reverse at the end."""
    async with AsyncExitStack() as opened:
        embedder = await prepared_embedder(settings)
        opened.push_async_callback(embedder.aclose)
        sparse = Bm25Encoder()
        tokenizers = await open_tokenizers(settings)
        store = await open_store(settings, embedder, f"{embedder.fingerprint}+{sparse.fingerprint}")
        opened.push_async_callback(store.aclose)
        freeze_loaded_objects()
        parts = RetrieverParts(
            store, embedder, sparse, tokenizers, system_clock, settings.candidate_depth, on_timings=on_timings
        )
        yield Opened(
            store=store,
            embedder=embedder,
            sparse=sparse,
            tokenizers=tokenizers,
            ingestor=Ingestor(IngestorParts(store, embedder, sparse, tokenizers[TOKENIZERS[0]], system_clock)),
            parts=parts,
        )


def settings_in(directory: Path) -> Settings:
    """The settings of the environment with their data in `directory`, and the encoder where it is anyway."""
    usual = read_settings()
    return usual.model_copy(update={"data_dir": directory, "encoder_dir": usual.encoder_path})
