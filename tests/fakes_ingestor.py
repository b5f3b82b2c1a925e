"""An ingestor that stores texts without judging them, for tests of later steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ingest.screening.redaction.redactor import Redactor
from ingest.screening.review.panel import Panel
from ingest.writing.pipeline import Ingestor
from memtypes.model.times import Clock
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore
from retrieval.context.entries import Entries, EntryCounter
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer


def plain_ingestor(
    store: MemoryStore, clock: Clock, embedder: Embedder | None = None, **changes: Any
) -> Ingestor:
    """An ingestor that only redacts secrets: it has no gates and no reviewers.

    changes: fields of the ingestor to replace.
    """
    encoder = embedder or FakeEmbedder()
    count_tokens = EntryCounter(FakeTokenizer(), Entries())
    plain = Ingestor(
        store, encoder, FakeSparse(), count_tokens, clock, (), Redactor(), Panel(()), None
    )
    return replace(plain, **changes)
