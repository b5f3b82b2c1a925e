"""The questions of a set asked in other ways: with another profile, without one signal, without one leg.

Rankings of the right types alone: a variant says what a part is worth, not what a context of it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.quality.evaluation import evidence_of, rank_figures
from benchmarks.sets.data import EvaluationSet
from benchmarks.sets.loading import Loaded, scope_of
from memtypes.ports.encoders import Embedder, SparseEncoder
from memtypes.search.vectors import Embedding, SparseVector
from retrieval.query.profiles import DEFAULT_PROFILE, PROFILES
from retrieval.query.request import SearchRequest
from retrieval.retriever import Retriever, RetrieverParts


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of asking. weights: in place of the profile's."""

    name: str
    parts: RetrieverParts
    profile: str | None = None
    weights: Mapping[str, float] | None = None


async def rank_questions(variant: Variant, asked: EvaluationSet, loaded: Loaded) -> list[Mapping[str, float]]:
    """The figures of each question's ranking, in the order of the set."""
    retriever = Retriever(variant.parts)
    figures: list[Mapping[str, float]] = []
    for conversation in asked.conversations:
        scope = scope_of(asked.name, conversation.name)
        for question in conversation.questions:
            request = SearchRequest.model_validate(
                {
                    "query": question.text,
                    "namespace": scope.namespace,
                    "types": list(asked.types),
                    "as_of": question.asked_at,
                    "profile": variant.profile,
                    "weights": None if variant.weights is None else dict(variant.weights),
                    "top_k": 10,
                }
            )
            found = await retriever.search(scope, request)
            evidence = evidence_of(question, conversation, loaded)
            figures.append(rank_figures([hit.id for hit in found.hits], list(evidence)))
    return figures


def whole(parts: RetrieverParts, profile: str | None) -> Variant:
    """The profile with its weights as they stand, which what is taken away is compared with."""
    return Variant("nothing", parts, profile, _weights(profile))


def ablations(parts: RetrieverParts, profile: str | None) -> list[Variant]:
    """The profile without each signal that it weighs, and without each leg of similarity."""
    weights = _weights(profile)
    weighed = [name for name, weight in weights.items() if weight]
    signals = [
        Variant(name, parts, profile, {**weights, name: 0.0})
        for name in weighed
        if any(weight for other, weight in weights.items() if other != name)
    ]
    return [
        *signals,
        Variant("words", replace(parts, sparse=Wordless(parts.sparse)), profile, weights),
        Variant("token vectors", replace(parts, embedder=Tokenless(parts.embedder)), profile, weights),
    ]


class Wordless(SparseEncoder):
    """Finds no word in a query, so that nothing is searched by its words."""

    def __init__(self, encoder: SparseEncoder) -> None:
        self._encoder = encoder

    def encode_query(self, text: str) -> SparseVector:
        """No terms."""
        del text
        return SparseVector(np.array([], dtype=np.uint32), np.array([], dtype=np.float32))

    def encode_document(self, text: str) -> SparseVector:
        """What the encoder gives."""
        return self._encoder.encode_document(text)


class Tokenless(Embedder):
    """Embeds a query without its token vectors, so that nothing is compared token by token."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def fingerprint(self) -> str:
        """That of the embedder."""
        return self._embedder.fingerprint

    @property
    def dimensions(self) -> int:
        """Those of the embedder."""
        return self._embedder.dimensions

    async def embed_query(self, text: str) -> Embedding:
        """The dense vector alone."""
        return Embedding((await self._embedder.embed_query(text)).dense)

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedding]:
        """What the embedder gives."""
        return await self._embedder.embed_documents(texts)

    async def ping(self) -> None:
        """As the embedder does."""
        await self._embedder.ping()

    async def aclose(self) -> None:
        """Nothing: who opened the embedder closes it."""


def _weights(profile: str | None) -> dict[str, float]:
    return dict(PROFILES[profile or DEFAULT_PROFILE])
