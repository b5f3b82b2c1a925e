"""Previews of screening: what classification, review and extraction would make of a text, without storing it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ingest.screening.classifier import Classifier
from ingest.screening.parts import sentences_in
from ingest.screening.prefilter import SURE
from ingest.screening.redaction.redactor import RedactedValue, Redactor
from ingest.screening.review.panel import Panel, ReviewRequest
from ingest.screening.submission import Classification
from memtypes.model.memory import Reviewed
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder

_CONFIDENT = 0.95
"""Confidence from which a text is classified without its context."""

MAX_SENTENCES = 20
"""A text with more sentences is a document, whose parts are not listed."""


@dataclass(frozen=True, slots=True)
class Examiner:
    """Previews screening of a text. Every method raises SecretsRefused if it has a secret that the tenant refuses."""

    redactor: Redactor
    classifier: Classifier
    panel: Panel
    embedder: Embedder

    async def classify(self, tenant: str, content: str, context: str | None = None) -> Classification:
        """The memory type of `content`; if it is uncertain, `content` and `context` are classified together."""
        text = (await self._clean(tenant, content)).value
        alone = await self.classifier.classify(text)
        if context is None or alone.confidence >= _CONFIDENT:
            return alone
        clean_context = (await self._clean(tenant, context)).value
        return await self.classifier.classify(f"{text}\n{clean_context}")

    async def parts(self, tenant: str, content: str, whole: MemoryType) -> list[tuple[MemoryType, str]]:
        """Type and text of the sentences in `content` that clearly are of another type than the whole."""
        text = (await self._clean(tenant, content)).value
        sentences = list(itertools.islice(sentences_in(text), MAX_SENTENCES + 1))
        if not 1 < len(sentences) <= MAX_SENTENCES:
            return []
        typed = [(await self.classifier.classify(sentence), sentence) for sentence in sentences]
        return [(found.type, part) for found, part in typed if found.confidence >= SURE and found.type is not whole]

    async def review(self, scope: Scope, content: str, kind: MemoryType | None = None) -> RedactedValue[Reviewed]:
        """The panel's decision on `content` without its secrets. kind: the memory type; None: found by the classifier.

        Raises Overloaded or Unavailable if the embedder is away.
        """
        cleaned = await self._clean(scope.tenant, content)
        text = cleaned.value
        embedding = None
        if kind is None:
            classified = await self.classifier.classify(text)
            kind, embedding = classified.type, classified.embedding
        if embedding is None:
            (embedding,) = await self.embedder.embed_documents([text])
        reviewed = await self.panel.review(ReviewRequest(scope, text, kind, embedding))
        return RedactedValue(reviewed, cleaned.counts)

    async def _clean(self, tenant: str, content: str) -> RedactedValue[str]:
        return await offload([content], lambda: self.redactor.clean(tenant, content))
