"""Measures Remembrancer with precomputed vectors, and makes the job (items, queries, vectors) for
other systems.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from benchmarks.harness.stores import Opened, WrappedEmbedder
from benchmarks.quality.evaluation import Evaluation, evaluate, rank
from benchmarks.sets.data import EvaluationSet, to_draft
from benchmarks.sets.loading import load, scope_of
from benchmarks.systems.driver import TIMED_DEPTH, Item
from benchmarks.systems.running import Job
from ingest.writing.pipeline import PIECE
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding
from retrieval.retriever import Retriever

BUDGET = 1_000


@dataclass(frozen=True, slots=True)
class SystemScore:
    """Scores and times of a memory system on a set. recalls: recall at 10 of each question.

    shown: for each question, the share of answering memories that fit into a context. ms:
    milliseconds of each search. seconds: time to load the set. notes: remarks on the system's
    configuration.
    """

    version: str
    recalls: Sequence[float]
    shown: Sequence[float]
    ms: Sequence[float]
    seconds: float
    notes: Sequence[str] = ()


class PrecomputedEmbedder(WrappedEmbedder):
    """An embedder that looks texts up in `embeddings`; other queries are embedded by the wrapped
    embedder `inner`.
    """

    def __init__(self, inner: Embedder, embeddings: Mapping[str, Embedding]) -> None:
        super().__init__(inner)
        self._embeddings = embeddings

    async def embed_query(self, text: str) -> Embedding:
        """The embedding of `text` from `embeddings`; if it is not there, by the wrapped
        embedder.
        """
        return (
            self._embeddings[text]
            if text in self._embeddings
            else await self.inner.embed_query(text)
        )

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The embeddings of `texts` from `embeddings`. Raises KeyError for an unknown text."""
        return [self._embeddings[text] for text in texts]


def items_of(opened: Opened, dataset: EvaluationSet) -> list[Item]:
    """The set's texts as items for other systems, with date and speaker, as in the texts that
    Remembrancer embeds.
    """
    items: list[Item] = []
    for entry in dataset.entries():
        scope = scope_of(dataset.name, entry.conversation)
        memory = opened.preparer.prepare(to_draft(entry), scope, datetime.now(UTC), 0).memory
        session = entry.session or entry.conversation
        items.append(Item(entry.id, entry.conversation, session, memory.embedding_text()))
    return items


async def embed(
    embedder: Embedder, items: Sequence[Item], dataset: EvaluationSet
) -> dict[str, Embedding]:
    """The embeddings of all items and questions, by text."""
    texts = list(dict.fromkeys(item.text for item in items))
    embeddings: dict[str, Embedding] = {}
    for start in range(0, len(texts), PIECE):
        batch = texts[start : start + PIECE]
        embeddings |= dict(zip(batch, await embedder.embed_documents(batch), strict=True))
    for question in dataset.questions:
        embeddings[question.text] = await embedder.embed_query(question.text)
    return embeddings


def job_of(
    items: Sequence[Item], dataset: EvaluationSet, embeddings: Mapping[str, Embedding]
) -> Job:
    """What another system is given: items to store, the set's questions as queries, and the vectors
    of both.
    """
    queries = tuple(
        {"id": q.id, "namespace": q.conversation, "text": q.text} for q in dataset.questions
    )
    vectors = np.vstack([embedding.dense for embedding in embeddings.values()])
    return Job(tuple(items), queries, tuple(embeddings), vectors)


async def measure_ours(
    opened: Opened, dataset: EvaluationSet, embeddings: Mapping[str, Embedding]
) -> SystemScore:
    """Remembrancer's score, after loading the set and asking each question. embeddings: by text.
    Raises NotLoaded.
    """
    embedder = PrecomputedEmbedder(opened.embedder, embeddings)
    loaded = await load(replace(opened.ingestor, embedder=embedder), opened.store, dataset)
    retriever = Retriever(replace(opened.parts, embedder=embedder))
    ms = []
    for question in dataset.questions:
        began = time.perf_counter()
        await rank(retriever, dataset, question, {"top_k": TIMED_DEPTH})
        ms.append((time.perf_counter() - began) * 1e3)
    evaluation = Evaluation(retriever, opened.tokenizer.count, budgets=(BUDGET,))
    scores = await evaluate(evaluation, dataset, loaded)
    recalls = [score.own_types.metrics["R@10"] for score in scores]
    shown = [score.own_types.contexts[BUDGET].recall for score in scores]
    return SystemScore(version("remembrancer"), recalls, shown, ms, loaded.seconds)
