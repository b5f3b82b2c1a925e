"""Runs this product on a set with precomputed vectors, and makes the job that the other systems get."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from benchmarks.harness.metrics import recall_at
from benchmarks.harness.stores import Opened
from benchmarks.quality.evaluation import Expected, evidence_of, score_context
from benchmarks.sets.data import Conversation, EvaluationSet, Question, to_draft
from benchmarks.sets.loading import Loaded, load, scope_of
from benchmarks.systems.driver import TIMED_DEPTH, Item
from benchmarks.systems.results import SystemScore
from benchmarks.systems.running import Job
from ingest.writing.pipeline import PIECE, Ingestor, IngestorParts
from memtypes.model.times import system_clock
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding
from retrieval.query.request import RetrieveRequest, SearchRequest
from retrieval.retriever import Retriever

BUDGET = 1_000


class PrecomputedEmbedder(Embedder):
    """Returns the embeddings in `known`. Other texts, such as an event that a question names, go to `inner`."""

    def __init__(self, inner: Embedder, known: Mapping[str, Embedding]) -> None:
        self._inner = inner
        self._known = known

    @property
    def fingerprint(self) -> str:
        """The fingerprint of `inner`, which made the embeddings."""
        return self._inner.fingerprint

    @property
    def dimensions(self) -> int:
        """The dimensions of `inner`."""
        return self._inner.dimensions

    async def embed_query(self, text: str) -> Embedding:
        """The embedding of `text`."""
        return self._known[text] if text in self._known else await self._inner.embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The embeddings of `texts`. Raises KeyError for an unknown text."""
        return [self._known[text] for text in texts]

    async def ping(self) -> None:
        """Ping `inner`."""
        await self._inner.ping()

    async def aclose(self) -> None:
        """Do nothing: whoever opened `inner` closes it."""


def items_of(opened: Opened, whole: EvaluationSet) -> list[Item]:
    """The memories with their embedding texts."""
    items: list[Item] = []
    for conversation in whole.conversations:
        scope = scope_of(whole.name, conversation.name)
        for entry in conversation.corpus:
            memory = opened.preparer.prepare(to_draft(entry), scope, datetime.now(UTC), 0).memory
            items.append(Item(entry.id, conversation.name, entry.session or conversation.name, memory.embedding_text()))
    return items


async def embed(embedder: Embedder, items: Sequence[Item], whole: EvaluationSet) -> dict[str, Embedding]:
    """The embedding of each distinct text of the memories and questions."""
    texts = list(dict.fromkeys(item.text for item in items))
    known: dict[str, Embedding] = {}
    for start in range(0, len(texts), PIECE):
        piece = texts[start : start + PIECE]
        known |= dict(zip(piece, await embedder.embed_documents(piece), strict=True))
    for _, question in whole.asked():
        known[question.text] = await embedder.embed_query(question.text)
    return known


def job_of(items: Sequence[Item], whole: EvaluationSet, known: Mapping[str, Embedding]) -> Job:
    """The job of the other systems."""
    queries = tuple(
        {"id": question.id, "namespace": conversation.name, "text": question.text}
        for conversation, question in whole.asked()
    )
    vectors = np.vstack([embedding.dense for embedding in known.values()])
    return Job(tuple(items), queries, tuple(known), vectors)


async def measure_ours(opened: Opened, whole: EvaluationSet, known: Mapping[str, Embedding]) -> SystemScore:
    """The score of this product: loaded through ingestion, each question searched and retrieved. Raises NotLoaded."""
    embedder = PrecomputedEmbedder(opened.embedder, known)
    ingestor = Ingestor(IngestorParts(opened.store, embedder, opened.sparse, opened.tokenizer, system_clock))
    loaded = await load(ingestor, opened.store, whole)
    asker = _Asker(opened, Retriever(replace(opened.parts, embedder=embedder)), whole, loaded)
    recalls, shown, ms = [], [], []
    for conversation, question in whole.asked():
        recall, taken = await asker.search(conversation, question)
        recalls.append(recall)
        ms.append(taken)
        shown.append(await asker.retrieve(conversation, question))
    return SystemScore(version("remembrancer"), recalls, shown, ms, loaded.seconds)


@dataclass(frozen=True, slots=True)
class _Asker:
    opened: Opened
    retriever: Retriever
    whole: EvaluationSet
    loaded: Loaded

    async def search(self, conversation: Conversation, question: Question) -> tuple[float, float]:
        """R@10 and milliseconds."""
        request = SearchRequest.model_validate({**self._common(conversation, question), "top_k": TIMED_DEPTH})
        scope = scope_of(self.whole.name, conversation.name)
        began = time.perf_counter()
        answer = await self.retriever.search(scope, request)
        taken = (time.perf_counter() - began) * 1e3
        evidence = evidence_of(question, conversation, self.loaded)
        return recall_at([hit.id for hit in answer.hits], list(evidence), 10), taken

    async def retrieve(self, conversation: Conversation, question: Question) -> float:
        """Evidence recall of a context of BUDGET tokens."""
        request = RetrieveRequest.model_validate({**self._common(conversation, question), "budget": BUDGET})
        answer = await self.retriever.retrieve(scope_of(self.whole.name, conversation.name), request)
        expected = Expected(BUDGET, evidence_of(question, conversation, self.loaded), question.answer)
        return score_context(answer, expected, self.opened.tokenizer.count).recall

    def _common(self, conversation: Conversation, question: Question) -> dict[str, object]:
        return {
            "query": question.text,
            "namespace": scope_of(self.whole.name, conversation.name).namespace,
            "types": list(self.whole.types),
            "as_of": question.asked_at,
        }
