"""Measures Remembrancer on a set with precomputed vectors, and makes the job that the other systems run."""

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
    """A system's score on a set. recalls: R@10 of each question. shown: recall of each context. seconds: of loading."""

    version: str
    recalls: Sequence[float]
    shown: Sequence[float]
    ms: Sequence[float]
    seconds: float
    notes: Sequence[str] = ()


class PrecomputedEmbedder(WrappedEmbedder):
    """Returns the embeddings in `known`. `inner` embeds other queries, such as an event that a question names."""

    def __init__(self, inner: Embedder, known: Mapping[str, Embedding]) -> None:
        super().__init__(inner)
        self._known = known

    async def embed_query(self, text: str) -> Embedding:
        """The known embedding of `text`; if `text` is not known, its embedding by `inner`."""
        return self._known[text] if text in self._known else await self.inner.embed_query(text)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """The known embeddings of `texts`. Raises KeyError for an unknown text."""
        return [self._known[text] for text in texts]


def items_of(opened: Opened, whole: EvaluationSet) -> list[Item]:
    """The corpus entries as items, with the texts that Remembrancer embeds for them."""
    items: list[Item] = []
    for entry in whole.entries():
        scope = scope_of(whole.name, entry.conversation)
        memory = opened.preparer.prepare(to_draft(entry), scope, datetime.now(UTC), 0).memory
        session = entry.session or entry.conversation
        items.append(Item(entry.id, entry.conversation, session, memory.embedding_text()))
    return items


async def embed(embedder: Embedder, items: Sequence[Item], whole: EvaluationSet) -> dict[str, Embedding]:
    """The embeddings of all items and questions, by text."""
    texts = list(dict.fromkeys(item.text for item in items))
    known: dict[str, Embedding] = {}
    for start in range(0, len(texts), PIECE):
        piece = texts[start : start + PIECE]
        known |= dict(zip(piece, await embedder.embed_documents(piece), strict=True))
    for question in whole.questions:
        known[question.text] = await embedder.embed_query(question.text)
    return known


def job_of(items: Sequence[Item], whole: EvaluationSet, known: Mapping[str, Embedding]) -> Job:
    """The job for the other systems: items, queries and vectors."""
    queries = tuple({"id": each.id, "namespace": each.conversation, "text": each.text} for each in whole.questions)
    vectors = np.vstack([embedding.dense for embedding in known.values()])
    return Job(tuple(items), queries, tuple(known), vectors)


async def measure_ours(opened: Opened, whole: EvaluationSet, known: Mapping[str, Embedding]) -> SystemScore:
    """Load the set, search and retrieve for each question, and return Remembrancer's score. Raises NotLoaded."""
    embedder = PrecomputedEmbedder(opened.embedder, known)
    loaded = await load(replace(opened.ingestor, embedder=embedder), opened.store, whole)
    retriever = Retriever(replace(opened.parts, embedder=embedder))
    ms = []
    for question in whole.questions:
        began = time.perf_counter()
        await rank(retriever, whole, question, {"top_k": TIMED_DEPTH})
        ms.append((time.perf_counter() - began) * 1e3)
    evaluation = Evaluation(retriever, opened.tokenizer.count, budgets=(BUDGET,))
    scores = await evaluate(evaluation, whole, loaded)
    recalls = [score.own_types.metrics["R@10"] for score in scores]
    shown = [score.own_types.contexts[BUDGET].recall for score in scores]
    return SystemScore(version("remembrancer"), recalls, shown, ms, loaded.seconds)
