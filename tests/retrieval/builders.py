"""Retrieval over stand-ins, and the memories that it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.ports.encoders import Embedder
from memtypes.ports.receipts import ReceiptStore
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.passage import Passage
from memtypes.stores.memory import InMemoryStore
from retrieval.answer import RetrieveAnswer, SearchAnswer
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.receipts.queue import ReceiptQueue
from retrieval.receipts.recorder import Past, ReceiptRecorder
from retrieval.receipts.service import Receipts
from retrieval.retriever import Retriever, RetrieverParts
from tests.fakes import FakeEmbedder, FakeSparse, FakeTokenizer
from tests.fakes_receipts import FakeReceipts

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCOPE = Scope("acme", "shop", session_id="s1")


def clock() -> datetime:
    """Always NOW."""
    return NOW


@dataclass
class World:
    """A store with an ingestor and a retriever over it. shown: what contexts have shown so far. kept: receipts.

    embedder: of questions. writer: of what is written.
    """

    embedder: Embedder = field(default_factory=FakeEmbedder)
    tokenizer: Tokenizer = field(default_factory=FakeTokenizer)
    store: InMemoryStore = field(default_factory=InMemoryStore)
    shown: list[Passage] = field(default_factory=list)
    timings: list[dict[str, float]] = field(default_factory=list)
    kept: ReceiptStore | None = None
    writer: Embedder = field(default_factory=FakeEmbedder)

    def __post_init__(self) -> None:
        self.ingestor = Ingestor(IngestorParts(self.store, self.writer, FakeSparse(), self.tokenizer, clock))
        parts = RetrieverParts(
            self.store,
            self.embedder,
            FakeSparse(),
            {self.tokenizer.name: self.tokenizer},
            clock,
            on_shown=lambda _scope, passages, _at: self.shown.extend(passages),
            on_timings=lambda timings: self.timings.append(dict(timings)),
        )
        queue = ReceiptQueue(self.kept or FakeReceipts())
        if self.kept is not None:
            recorder = ReceiptRecorder(queue, Past(self.store, self.embedder), clock)
            parts = replace(parts, receipts=recorder)
        self.retriever = Retriever(parts)
        self.receipts = Receipts(queue, parts)

    async def add(self, kind: str, content: str, **fields: Any) -> str:
        """The id of a new memory in session s1, made at NOW unless `fields` say otherwise."""
        draft = DRAFT.validate_python({"type": kind, "content": content, "session_id": "s1"} | fields)
        outcome = await self.ingestor.write_one(SCOPE, draft)
        assert outcome.status == "stored", outcome
        assert outcome.id is not None
        return outcome.id

    async def add_all(self, kind: str, contents: Sequence[str], **fields: Any) -> list[str]:
        """The ids of new memories."""
        return [await self.add(kind, content, **fields) for content in contents]

    async def search(self, query: str, scope: Scope = SCOPE, **fields: Any) -> SearchAnswer:
        """The answer of a search."""
        return await self.retriever.search(
            scope, SearchRequest.model_validate({"query": query, "namespace": "shop"} | fields)
        )

    async def retrieve(self, query: str, scope: Scope = SCOPE, **fields: Any) -> RetrieveAnswer:
        """The answer of a retrieval."""
        return await self.retriever.retrieve(
            scope, RetrieveRequest.model_validate({"query": query, "namespace": "shop"} | fields)
        )
