"""Test doubles for ingestion: a clock, a memory store, encoders, a tokenizer and a sink (which
writes import items).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ingest.files.run import WriteItems
from ingest.screening.review.panel import Panel
from ingest.screening.submission import ReviewMode, Submission, draft_of
from ingest.writing.outcome import WriteOutcome
from memtypes.model.errors import RemembrancerError
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT, AnyDraft
from memtypes.ports.encoders import Embedder, SparseEncoder, Tokenizer
from memtypes.ports.memory_store import (
    CandidateSearch,
    Listing,
    Page,
    Record,
    Related,
    RelatedSearch,
)
from memtypes.search.candidates import Candidates
from memtypes.search.vectors import Embedding, InContext, SparseVector, Vectors
from memtypes.stores.operations.vector_engine import memory_of
from retrieval.context.entries import Entries, EntryCounter
from tests.fakes_ingestor import plain_ingestor
from tests.fakes_memories import InMemoryStore

SCOPE = Scope("acme", "shop")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that shows NOW until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The time that the clock shows."""
        return self.now

    def move(self, by: timedelta) -> None:
        """Advance the clock by `by`."""
        self.now += by


Hook = Callable[[str, int], None]


def no_trouble(call: str, nth: int) -> None:
    """The default `trouble` hook of the test doubles: raise no error in any call."""


class ObservedStore(InMemoryStore):
    """A store in memory that counts its calls and whose candidate searches find nothing.

    trouble(call, n): runs before the n-th call of the method `call`, and may raise an error.
    """

    def __init__(self, trouble: Hook = no_trouble) -> None:
        super().__init__(4)
        self.calls: dict[str, int] = {}
        self.trouble = trouble

    @property
    def vectors(self) -> dict[str, Vectors]:
        """The stored vectors of each memory, by its id."""
        return {point.id: point.vectors for point in self.engine.points}

    def memories(self, scope: Scope = SCOPE) -> dict[str, Memory]:
        """The stored memories in `scope`, by id."""
        stored = (memory_of(point.payload) for point in self.engine.points)
        return {
            memory.id: memory
            for memory in stored
            if (memory.tenant, memory.namespace) == (scope.tenant, scope.namespace)
        }

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Store the records."""
        self._call("upsert")
        await super().upsert(scope, records)

    async def write(
        self,
        scope: Scope,
        records: Sequence[Record],
        changes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """Store the records and change fields of other memories."""
        self._call("write")
        await super().write(scope, records, changes)

    async def related(self, scope: Scope, search: RelatedSearch) -> Related:
        """The memories with the ids of the search; nothing is similar to a text."""
        self._call("related")
        related = await super().related(scope, replace(search, similar=[]))
        return replace(related, similar=[{} for _ in search.similar])

    async def get(
        self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]
    ) -> dict[str, Memory]:
        """The memories with these ids that exist."""
        self._call("get")
        return await super().get(scope, ids)

    async def patch(self, *arguments: Any, **options: Any) -> None:
        """Set and drop fields of stored memories."""
        self._call("patch")
        await super().patch(*arguments, **options)

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page of memories, newest first."""
        self._call("page")
        return await super().page(scope, listing)

    async def candidates(
        self, _scope: Scope, searches: Sequence[CandidateSearch]
    ) -> list[Candidates]:
        """No candidates."""
        self._call("candidates")
        return [Candidates.from_memories([], {}) for _ in searches]

    async def ping(self) -> None:
        """Count the call as one of `ping`."""
        self._call("ping")

    def _call(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        self.trouble(name, self.calls[name])


class CountingEmbedder(Embedder):
    """An embedder with vectors derived from each text's hash, which records the texts and their
    contexts.

    trouble("embed", n): runs before the n-th call that embeds documents, and may raise an error.
    """

    fingerprint = "counting"
    dimensions = 4

    def __init__(self, trouble: Hook = no_trouble) -> None:
        self.texts: list[str] = []
        self.before: list[str] = []
        self.calls = 0
        self.trouble = trouble

    async def embed_query(self, text: str) -> Embedding:
        """The vector of `text`."""
        return vector_of(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The vectors of `texts`."""
        self.calls += 1
        self.trouble("embed", self.calls)
        self.texts += texts
        return [vector_of(text) for text in texts]

    async def embed_in_context(self, texts: Sequence[InContext]) -> list[Embedding]:
        """The vectors of the texts without their contexts."""
        self.before += [text.before for text in texts]
        return await self.embed_documents([text.text for text in texts])

    async def ping(self) -> None:
        """Return at once: the embedder is always available."""

    async def aclose(self) -> None:
        """Do nothing: there are no resources to release."""


def vector_of(text: str) -> Embedding:
    """Four numbers derived from the text's hash."""
    raw = np.frombuffer(
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], dtype=np.uint8
    )
    return Embedding((raw / np.linalg.norm(raw + 1)).astype(np.float32))


class LengthSparse(SparseEncoder):
    """A sparse encoder with one term, weighted by the text's length."""

    def encode_query(self, text: str) -> SparseVector:
        """A sparse vector with one term, weighted by the length of `text`."""
        return self.encode_document(text)

    def encode_document(self, text: str) -> SparseVector:
        """A sparse vector with one term, weighted by the length of `text`."""
        return SparseVector(np.array([7], dtype=np.uint32), np.array([len(text)], dtype=np.float32))


class CharTokenizer(Tokenizer):
    """A tokenizer that counts one token per character."""

    name = "chars"
    sha256 = "0" * 64

    def count(self, text: str) -> int:
        """Number of characters."""
        return len(text)

    def truncate(self, text: str, limit: int) -> str:
        """The first `limit` characters."""
        return text[:limit]


@dataclass
class Bench:
    """An ingestor with its store, embedder and clock, which a test can replace and inspect."""

    store: ObservedStore = field(default_factory=ObservedStore)
    embedder: CountingEmbedder = field(default_factory=CountingEmbedder)
    clock: Clock = field(default_factory=Clock)
    gates: tuple[Any, ...] = ()
    panel: Panel | None = None

    def __post_init__(self) -> None:
        plain = plain_ingestor(self.store, self.clock, self.embedder, gates=self.gates)
        self.ingestor = replace(
            plain,
            sparse=LengthSparse(),
            count_tokens=EntryCounter(CharTokenizer(), Entries()),
            panel=self.panel or plain.panel,
        )

    def sink(self, scope: Scope = SCOPE) -> WriteItems:
        """A function that writes import items to `scope` through this bench's ingestor."""
        return lambda items: self.ingestor.write(scope, [_submission(item) for item in items])


def _submission(item: Mapping[str, Any]) -> Submission:
    fields = {name: value for name, value in item.items() if name != "review"}
    return Submission(draft_of(fields), ReviewMode(item.get("review", ReviewMode.GIVEN)))


def draft(content: str, kind: str = "semantic", **fields: Any) -> AnyDraft:
    """A draft of type `kind`."""
    return DRAFT.validate_python({"type": kind, "content": content, **fields})


async def write_turns(bench: Bench, *contents: str) -> list[Memory]:
    """Write conversation turns of one session, each in a separate call, and return their
    memories.
    """
    outcomes = [
        await bench.ingestor.write_one(SCOPE, draft(content, "episodic", session_id="s1"))
        for content in contents
    ]
    return [outcome.memory for outcome in outcomes if outcome.memory is not None]


def context_of(*memories: Memory) -> str:
    """The context that is embedded with a turn after these turns: their texts, joined by blanks."""
    return " ".join(memory.embedding_text() for memory in memories)


def failing(error: RemembrancerError, call: str, *numbers: int) -> Hook:
    """A `trouble` hook that raises `error` in these calls of the method `call`."""

    def trouble(name: str, nth: int) -> None:
        if name == call and nth in numbers:
            raise error

    return trouble


class ScriptedSink:
    """A sink of an import that returns `answer(n, items)` for its n-th write, and records the
    items.
    """

    def __init__(
        self, answer: Callable[[int, list[dict[str, Any]]], Sequence[WriteOutcome]]
    ) -> None:
        self.answer = answer
        self.written: list[list[dict[str, Any]]] = []

    async def __call__(self, items: list[dict[str, Any]]) -> Sequence[WriteOutcome]:
        """Record the items, and return the outcomes that `answer` gives for this write."""
        self.written.append(items)
        return self.answer(len(self.written), items)
