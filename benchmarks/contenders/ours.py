"""The product itself over one set, given vectors like everyone else; and the job that is made of the set for all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from benchmarks.apparatus.metrics import recall_at
from benchmarks.apparatus.opened import Opened
from benchmarks.contenders.driver import TIMED_DEPTH, Item
from benchmarks.contenders.runs import Job
from benchmarks.quality.contexts import Expected, score_context
from benchmarks.quality.evaluation import evidence_of
from benchmarks.sets.data import Conversation, EvaluationSet, Question, to_draft
from benchmarks.sets.loading import Loaded, load, scope_of
from ingest.writing.pipeline import PIECE, Ingestor, IngestorParts
from memtypes.model.times import system_clock
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.retriever import Retriever

BUDGET = 1_000


@dataclass(frozen=True, slots=True)
class Scored:
    """One system over one set. recalls: at 10, and of contexts, a question each, in the order of the set."""

    version: str
    recalls: Sequence[float]
    shown: Sequence[float]
    ms: Sequence[float]
    seconds: float
    notes: Sequence[str] = ()


class KnownEmbedder(Embedder):
    """Embeddings that were made before; `inner` is named only."""

    def __init__(self, inner: Embedder, known: Mapping[str, Embedding]) -> None:
        self._inner = inner
        self._known = known

    @property
    def fingerprint(self) -> str:
        """Whose embeddings they are."""
        return self._inner.fingerprint

    @property
    def dimensions(self) -> int:
        """As the embedder that made them."""
        return self._inner.dimensions

    async def embed_query(self, text: str) -> Embedding:
        """The one of `text`. Raises KeyError for a text that was not embedded."""
        return self._known[text]

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """One each."""
        return [self._known[text] for text in texts]

    async def ping(self) -> None:
        """Nothing can be away."""

    async def aclose(self) -> None:
        """Nothing is open."""


def items_of(opened: Opened, wanted: EvaluationSet) -> list[Item]:
    """The memories with the texts that would be embedded for them."""
    items: list[Item] = []
    for conversation in wanted.conversations:
        scope = scope_of(wanted.name, conversation.name)
        for entry in conversation.corpus:
            memory = opened.preparer.prepare(to_draft(entry), scope, datetime.now(UTC), 0).memory
            items.append(Item(entry.id, conversation.name, entry.session or conversation.name, memory.embedding_text()))
    return items


async def embed(embedder: Embedder, items: Sequence[Item], wanted: EvaluationSet) -> dict[str, Embedding]:
    """The embedding of each text that occurs."""
    texts = list(dict.fromkeys(item.text for item in items))
    known: dict[str, Embedding] = {}
    for start in range(0, len(texts), PIECE):
        piece = texts[start : start + PIECE]
        known |= dict(zip(piece, await embedder.embed_documents(piece), strict=True))
    for _, question in asked(wanted):
        known[question.text] = await embedder.embed_query(question.text)
    return known


def job_of(items: Sequence[Item], wanted: EvaluationSet, known: Mapping[str, Embedding]) -> Job:
    """What the others are given."""
    queries = tuple(
        {"id": question.id, "namespace": conversation.name, "text": question.text}
        for conversation, question in asked(wanted)
    )
    vectors = np.vstack([embedding.dense for embedding in known.values()])
    return Job(tuple(items), queries, tuple(known), vectors)


async def measure_ours(opened: Opened, wanted: EvaluationSet, known: Mapping[str, Embedding]) -> Scored:
    """Loaded through ingestion, each question searched for, and asked for a context. Raises NotLoaded."""
    embedder = KnownEmbedder(opened.embedder, known)
    ingestor = Ingestor(IngestorParts(opened.store, embedder, opened.sparse, opened.tokenizer, system_clock))
    loaded = await load(ingestor, opened.store, wanted)
    retriever = Retriever(replace(opened.parts, embedder=embedder))
    recalls, shown, ms = [], [], []
    for conversation, question in asked(wanted):
        one = _Asked(opened, wanted, conversation, question)
        found, taken = await one.search(retriever, loaded)
        ms.append(taken)
        recalls.append(found)
        shown.append(await one.context(retriever, loaded))
    return Scored(version("remembrancer"), recalls, shown, ms, loaded.seconds)


def asked(wanted: EvaluationSet) -> list[tuple[Conversation, Question]]:
    """Every question with its conversation."""
    return [(conversation, question) for conversation in wanted.conversations for question in conversation.questions]


@dataclass(frozen=True, slots=True)
class _Asked:
    opened: Opened
    wanted: EvaluationSet
    conversation: Conversation
    question: Question

    async def search(self, retriever: Retriever, loaded: Loaded) -> tuple[float, float]:
        """Recall at 10, and milliseconds."""
        request = SearchRequest.model_validate({**self._common(), "top_k": TIMED_DEPTH})
        scope = scope_of(self.wanted.name, self.conversation.name)
        began = time.perf_counter()
        answer = await retriever.search(scope, request)
        taken = (time.perf_counter() - began) * 1e3
        evidence = evidence_of(self.question, self.conversation, loaded)
        return recall_at([hit.id for hit in answer.hits], list(evidence), 10), taken

    async def context(self, retriever: Retriever, loaded: Loaded) -> float:
        """Evidence recall within the budget."""
        request = RetrieveRequest.model_validate({**self._common(), "budget": BUDGET})
        answer = await retriever.retrieve(scope_of(self.wanted.name, self.conversation.name), request)
        evidence = evidence_of(self.question, self.conversation, loaded)
        expected = Expected(BUDGET, evidence, self.question.answer)
        return score_context(answer, expected, self.opened.tokenizer.count).recall

    def _common(self) -> dict[str, object]:
        return {
            "query": self.question.text,
            "namespace": scope_of(self.wanted.name, self.conversation.name).namespace,
            "types": list(self.wanted.types),
            "as_of": self.question.asked_at,
        }
