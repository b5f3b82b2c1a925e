"""Finds the memory type of a text: by rules, and where these are not clear also by similarity to prototypes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import anyio
import numpy as np

from ingest.screening.classification.rules import score_by_rules
from ingest.screening.submission import Classification, Rejection, Submission, UntypedDraft
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import DenseVector

CLEAR_LEAD = 2.0
"""Score difference between the best two types from which the rules decide alone: more than one weak sign."""

NEAREST = 2
"""Prototypes of a type whose cosines are averaged; a single one may be near by chance."""

_COSINE_WEIGHT = 8.0
"""Weight of a cosine of 1 in the scale of the rules."""

Scores: TypeAlias = Mapping[MemoryType, float]

PROTOTYPES: Mapping[MemoryType, tuple[str, ...]] = {
    MemoryType.EPISODIC: (
        "Wow, that sounds great, how did it go?",
        "We had a lovely time at the lake with the children.",
        "The deployment failed this morning and was rolled back.",
        "It's been a hard week, but it was worth it.",
        "Thanks, that means a lot to me.",
        "The customer called yesterday and complained about the invoice.",
    ),
    MemoryType.SEMANTIC: (
        "Paula works as a nurse in a small hospital.",
        "The payment service is written in Go and keeps its data in Postgres.",
        "The user prefers short answers without examples.",
        "Tom and his sister enjoy painting and hiking together.",
        "Water boils at a lower temperature at high altitude.",
        "Both teams agree on the importance of code review.",
    ),
    MemoryType.PROSPECTIVE: (
        "remind me to water the plants tomorrow",
        "set an alarm for six in the morning",
        "add milk to the shopping list",
        "book a room for the meeting on friday",
        "are any rooms free this afternoon",
        "the report has to be sent before the end of the month",
    ),
    MemoryType.PROCEDURAL: (
        "To restart the server, stop the service, clear the cache and start it again.",
        "Compress a folder into an archive with the tar command.",
        "How to release: run the tests, tag the commit, push the tag.",
        "Open the settings, choose network and press reset.",
        "Mix the flour with water, let it rest, then bake it for an hour.",
        "List all files of a directory: ls -la path",
    ),
}
"""Typical sentences of each type."""


class Classifier:
    """Finds the memory type of texts. The prototype sentences are embedded when they are first needed."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: Mapping[MemoryType, list[DenseVector]] | None = None
        self._lock = anyio.Lock()

    async def classify(self, text: str) -> Classification:
        """The type of `text` with its reason, and its embedding if the rules alone are not clear.

        Raises Overloaded or Unavailable if the embedder is needed and away.
        """
        rules = await offload([text], lambda: score_by_rules(text))
        first, second = sorted(rules.scores.values(), reverse=True)[:2]
        if first - second >= CLEAR_LEAD:
            classified = _classified(rules.scores)
            return replace(classified, reason=rules.reasons[classified.type])
        prototypes = await self._prototypes()
        (embedding,) = await self._embedder.embed_documents([text])
        similarities = _similarities(embedding.dense, prototypes)
        classified = _classified(
            {kind: rules.scores[kind] + _COSINE_WEIGHT * similarities[kind] for kind in similarities}
        )
        kind = classified.type
        reasons = (f"it is most similar to typical {kind} texts", rules.reasons.get(kind))
        return replace(classified, reason=", and ".join(filter(None, reasons)), embedding=embedding)

    async def _prototypes(self) -> Mapping[MemoryType, list[DenseVector]]:
        async with self._lock:
            if self._vectors is None:
                sentences = [sentence for typical in PROTOTYPES.values() for sentence in typical]
                embeddings = iter(await self._embedder.embed_documents(sentences))
                self._vectors = {
                    kind: [next(embeddings).dense for _ in typical] for kind, typical in PROTOTYPES.items()
                }
            return self._vectors


def _similarities(text: DenseVector, prototypes: Mapping[MemoryType, list[DenseVector]]) -> Scores:
    """For each type the mean cosine of `text` with its nearest prototypes."""
    return {
        kind: float(np.mean(sorted(float(text @ vector) for vector in vectors)[-NEAREST:]))
        for kind, vectors in prototypes.items()
    }


def _classified(scores: Scores) -> Classification:
    """The type with the highest score, with an empty reason; confidences are a softmax over `scores`."""
    top = max(scores.values())
    powers = {kind: math.exp(score - top) for kind, score in scores.items()}
    total = sum(powers.values())
    ranked = sorted(((kind, round(power / total, 4)) for kind, power in powers.items()), key=lambda pair: -pair[1])
    (kind, confidence), *others = ranked
    return Classification(kind, confidence, "", tuple(others))


@dataclass(frozen=True, slots=True)
class ClassificationGate:
    """Gate that sets the type of drafts without one, found by the classifier from their text."""

    classifier: Classifier

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:  # noqa: ARG002 - the same in each
        """The submission with a typed draft; unchanged if the type was given."""
        draft = submission.draft
        if not isinstance(draft, UntypedDraft):
            return submission
        classified = await self.classifier.classify(draft.content)
        fields = {name: getattr(draft, name) for name in draft.model_fields_set - {"type"}}
        typed = DRAFT.validate_python({**fields, "type": classified.type})
        return replace(submission, draft=typed, classified=classified)
