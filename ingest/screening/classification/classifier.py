"""The type of a text: the rules where they are sure, the nearest prototype sentences where they are not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import anyio
import numpy as np

from ingest.screening.classification.rules import Leaning, leaning
from ingest.screening.classification.sentences import SENTENCES
from ingest.screening.gates import Rejection
from ingest.writing.drafts import Classified, Submission, UntypedDraft
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import DenseVector

SURE = 2.0
"""The lead of the first type over the second from which the rules alone decide: more than one weak sign."""

NEAREST = 2
"""Prototype sentences of a type whose likeness is averaged: one alone may be near by chance."""

_PULL = 8.0
"""What a whole step of cosine weighs against the rules."""

Scores: TypeAlias = Mapping[MemoryType, float]


class Classifier:
    """Finds types; the prototype sentences are embedded when they are first needed."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._prototypes: Mapping[MemoryType, list[DenseVector]] | None = None
        self._lock = anyio.Lock()

    async def classify(self, text: str) -> Classified:
        """The type of `text` with its reason. Raises Overloaded or Unavailable when the embedder is needed and away."""
        words = await offload([text], lambda: leaning(text))
        if lead(words.scores) >= SURE:
            return ruled(words)
        prototypes = await self._known()
        (embedded,) = await self._embedder.embed_documents([text])
        return nearest(words, likeness(embedded.dense, prototypes))

    async def _known(self) -> Mapping[MemoryType, list[DenseVector]]:
        async with self._lock:
            if self._prototypes is None:
                texts = [(kind, sentence) for kind, sentences in SENTENCES.items() for sentence in sentences]
                made = await self._embedder.embed_documents([sentence for _, sentence in texts])
                paired = list(zip(texts, made, strict=True))
                self._prototypes = {kind: [one.dense for (of, _), one in paired if of is kind] for kind in SENTENCES}
            return self._prototypes


def lead(scores: Scores) -> float:
    """How far the first of `scores` is ahead of the second."""
    first, second = sorted(scores.values(), reverse=True)[:2]
    return first - second


def ruled(words: Leaning) -> Classified:
    """What the rules alone make of a text that they are sure of."""
    first = max(words.scores, key=lambda kind: words.scores[kind])
    return _classified(words.scores, words.reasons[first])


def likeness(text: DenseVector, prototypes: Mapping[MemoryType, list[DenseVector]]) -> Scores:
    """For each type the mean cosine of `text` with its nearest prototypes."""
    return {
        kind: float(np.mean(sorted(float(text @ one) for one in vectors)[-NEAREST:]))
        for kind, vectors in prototypes.items()
    }


def nearest(words: Leaning, alike: Scores) -> Classified:
    """What the rules and the prototypes together make of a text."""
    scores = {kind: words.scores[kind] + _PULL * alike[kind] for kind in words.scores}
    first = max(scores, key=lambda kind: scores[kind])
    said = words.reasons.get(first)
    reason = f"it is most like typical {first} texts"
    return _classified(scores, f"{reason}, and {said}" if said else reason)


def _classified(scores: Scores, reason: str) -> Classified:
    """Confidences that sum to 1: a softmax over the scores."""
    top = max(scores.values())
    powers = {kind: math.exp(score - top) for kind, score in scores.items()}
    whole = sum(powers.values())
    ranked = sorted(((kind, round(power / whole, 4)) for kind, power in powers.items()), key=lambda one: -one[1])
    (kind, confidence), *others = ranked
    return Classified(kind, confidence, reason, tuple(others))


@dataclass(frozen=True, slots=True)
class ClassificationGate:
    """Gives a draft without a type the one that its text is found to be of."""

    classifier: Classifier

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:  # noqa: ARG002 - the same in each
        """The submission with a typed draft; as it is when the type was given."""
        draft = submission.draft
        if not isinstance(draft, UntypedDraft):
            return submission
        found = await self.classifier.classify(draft.content)
        given = {name: getattr(draft, name) for name in draft.model_fields_set - {"type"}}
        return replace(submission, draft=DRAFT.validate_python({**given, "type": found.type}), classified=found)
