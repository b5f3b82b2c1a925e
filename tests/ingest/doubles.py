"""A store in a dictionary, and an encoder and a tokenizer that only count: what ingestion is given in its tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ingest.files.sinks import LocalSink
from ingest.screening.prefilter import Recent
from ingest.screening.review.panel import Panel
from ingest.writing.outcome import WriteOutcome
from ingest.writing.pipeline import Ingestor, IngestorParts
from memtypes.model.errors import RemembrancerError
from memtypes.model.filters import Filter
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT, AnyDraft, from_payload
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.ports.memory_store import CandidateSearch, Listing, MemoryStore, Page, Record, TypeStats
from memtypes.ports.tokenizer import Tokenizer
from memtypes.search.candidates import Candidate
from memtypes.search.vectors import Embedding, InContext, SparseVector, Vectors
from tests.fakes import holds

SCOPE = Scope("acme", "shop")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Clock:
    """Stands at NOW until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """The present instant."""
        return self.now

    def move(self, by: timedelta) -> None:
        """Let `by` pass."""
        self.now += by


Hook = Callable[[str, int], None]


def no_trouble(call: str, nth: int) -> None:
    """Let every call succeed."""


class DictStore(MemoryStore):
    """Payloads and vectors in a dictionary. trouble(call, n) is asked before the n-th call of each name."""

    def __init__(self, trouble: Hook = no_trouble) -> None:
        self.payloads: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.vectors: dict[str, Vectors] = {}
        self.calls: dict[str, int] = {}
        self.trouble = trouble

    def _call(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        self.trouble(name, self.calls[name])

    async def upsert(self, scope: Scope, records: Sequence[Record]) -> None:
        """Keep the payloads."""
        self._call("upsert")
        for record in records:
            self.payloads[scope.tenant, scope.namespace, record.memory.id] = record.memory.to_payload()
            self.vectors[record.memory.id] = record.vectors

    async def get(self, scope: Scope, ids: Sequence[str] | Mapping[str, MemoryType]) -> dict[str, Memory]:
        """The memories that exist."""
        self._call("get")
        found = {one: self.payloads.get((scope.tenant, scope.namespace, one)) for one in ids}
        return {one: from_payload(payload) for one, payload in found.items() if payload is not None}

    async def patch(
        self,
        scope: Scope,
        changes: Mapping[str, Mapping[str, Any]],
        *,
        removed: Sequence[str] = (),
        fence: int | None = None,
    ) -> None:
        """Set and drop fields."""
        assert fence is None
        self._call("patch")
        for one, fields in changes.items():
            payload = self.payloads.get((scope.tenant, scope.namespace, one))
            if payload is not None:
                payload.update(fields)
                for name in removed:
                    payload.pop(name, None)

    async def delete(self, scope: Scope, ids: Sequence[str]) -> int:
        """How many there were."""
        return sum(self.payloads.pop((scope.tenant, scope.namespace, one), None) is not None for one in ids)

    async def delete_where(self, scope: Scope, types: Sequence[MemoryType], where: Filter | None) -> int:
        """How many matched; they are gone."""
        found = [one for one in self.memories(scope).values() if not types or one.type in types]
        return await self.delete(scope, [one.id for one in found if where is None or holds(where, one.to_payload())])

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """The newest that match; there is no second page."""
        self._call("page")
        found = [one for one in self.memories(scope).values() if not listing.types or one.type in listing.types]
        found = [one for one in found if holds(listing.filter, one.to_payload())]
        found.sort(key=lambda one: (one.created_at, one.id), reverse=True)
        return Page(tuple(found[: listing.limit]), None, len(found))

    async def candidates(self, _scope: Scope, searches: Sequence[CandidateSearch]) -> list[list[Candidate]]:
        """Nothing is near anything."""
        self._call("candidates")
        return [[] for _ in searches]

    async def stats(self, scope: Scope) -> dict[MemoryType, TypeStats]:
        """Not needed here."""
        raise NotImplementedError

    async def namespaces(self, tenant: str) -> list[str]:
        """Those of the keys."""
        return sorted({namespace for owner, namespace, _ in self.payloads if owner == tenant})

    async def ping(self) -> None:
        """Always there."""
        self._call("ping")

    async def aclose(self) -> None:
        """Nothing was taken."""

    def memories(self, scope: Scope = SCOPE) -> dict[str, Memory]:
        """Everything in `scope`, by id."""
        bound = (scope.tenant, scope.namespace)
        return {key[2]: from_payload(payload) for key, payload in self.payloads.items() if key[:2] == bound}


class CountingEmbedder(Embedder):
    """Vectors that follow from the text; keeps the texts that it was given. trouble: as in DictStore."""

    def __init__(self, trouble: Hook = no_trouble) -> None:
        self.texts: list[str] = []
        self.before: list[str] = []
        self.calls = 0
        self.trouble = trouble

    @property
    def fingerprint(self) -> str:
        """A name."""
        return "counting"

    @property
    def dimensions(self) -> int:
        """Four."""
        return 4

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
        """The vectors of the texts, whatever was said before."""
        self.before += [one.before for one in texts]
        return await self.embed_documents([one.text for one in texts])

    async def ping(self) -> None:
        """Always there."""

    async def aclose(self) -> None:
        """Nothing was taken."""


def vector_of(text: str) -> Embedding:
    """Four numbers from the text's hash."""
    raw = np.frombuffer(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], dtype=np.uint8)
    return Embedding((raw / np.linalg.norm(raw + 1)).astype(np.float32))


class LengthSparse(SparseEncoder):
    """One term, weighted by the text's length."""

    def encode_query(self, text: str) -> SparseVector:
        """The term of `text`."""
        return self.encode_document(text)

    def encode_document(self, text: str) -> SparseVector:
        """The term of `text`."""
        return SparseVector(np.array([7], dtype=np.uint32), np.array([len(text)], dtype=np.float32))


class CharTokenizer(Tokenizer):
    """A token a character."""

    @property
    def name(self) -> str:
        """The encoding's name."""
        return "chars"

    @property
    def sha256(self) -> str:
        """No real hash."""
        return "0" * 64

    def count(self, text: str) -> int:
        """Characters."""
        return len(text)

    def truncate(self, text: str, limit: int) -> str:
        """The first `limit` characters."""
        return text[:limit]


@dataclass
class Bench:
    """An ingestor with everything that it was given."""

    store: DictStore = field(default_factory=DictStore)
    embedder: CountingEmbedder = field(default_factory=CountingEmbedder)
    clock: Clock = field(default_factory=Clock)
    gates: tuple[Any, ...] = ()
    panel: Panel | None = None
    recent: Recent | None = None

    def __post_init__(self) -> None:
        parts = IngestorParts(self.store, self.embedder, LengthSparse(), CharTokenizer(), self.clock, self.gates)
        self.ingestor = Ingestor(replace(parts, panel=self.panel, recent=self.recent))

    def sink(self, scope: Scope = SCOPE) -> LocalSink:
        """A sink into this bench."""
        return LocalSink(self.ingestor, scope)


def draft(content: str, kind: str = "semantic", **fields: Any) -> AnyDraft:
    """A draft of `kind`."""
    return DRAFT.validate_python({"type": kind, "content": content, **fields})


def failing(error: RemembrancerError, call: str, *numbers: int) -> Hook:
    """Trouble: the calls of `call` with these numbers raise `error`."""

    def trouble(name: str, nth: int) -> None:
        if name == call and nth in numbers:
            raise error

    return trouble


class ScriptedSink:
    """Answers each write with what `answer` makes of it; keeps what it was given."""

    def __init__(self, answer: Callable[[int, list[dict[str, Any]]], Sequence[WriteOutcome]]) -> None:
        self.answer = answer
        self.written: list[list[dict[str, Any]]] = []

    async def write(self, items: list[dict[str, Any]]) -> Sequence[WriteOutcome]:
        """What was scripted."""
        self.written.append(items)
        return self.answer(len(self.written), items)
