"""Previews of screening: what classification, review and extraction would make of a text, without storing it."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.screening.classification.classifier import Classifier
from ingest.screening.extraction.parts import facts_in, howtos_in, requests_in
from ingest.screening.redaction.redactor import RedactedValue, Redactor
from ingest.screening.review.panel import Panel, ReviewRequest
from ingest.screening.submission import Classification
from memtypes.model.memory import Reviewed
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder

_CONFIDENT = 0.6
"""Confidence from which a text is classified without its context."""


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
        together = await self.classifier.classify(f"{text}\n{clean_context}")
        return together if together.confidence > alone.confidence else alone

    async def parts(self, tenant: str, content: str) -> list[tuple[MemoryType, str]]:
        """Type and text of the requests, how-tos and facts in `content` that a session's end would store separately."""
        text = (await self._clean(tenant, content)).value
        return await offload([text], lambda: _parts(text))

    async def review(self, scope: Scope, content: str, kind: MemoryType | None = None) -> RedactedValue[Reviewed]:
        """The panel's decision on `content` without its secrets. kind: the type of the memory; None classifies it.

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
        reviewed = await self.panel.review(ReviewRequest(scope, text, kind, embedding.dense))
        return RedactedValue(reviewed, cleaned.counts)

    async def _clean(self, tenant: str, content: str) -> RedactedValue[str]:
        return await offload([content], lambda: self.redactor.clean(tenant, content))


def _parts(text: str) -> list[tuple[MemoryType, str]]:
    parts = [
        *((MemoryType.PROSPECTIVE, request) for request in requests_in(text)),
        *((MemoryType.PROCEDURAL, howto.text) for howto in howtos_in(text)),
        *((MemoryType.SEMANTIC, fact) for fact in facts_in(text)),
    ]
    return [(kind, part) for kind, part in parts if part != text.strip()]
