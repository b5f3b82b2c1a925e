"""Classification and review without writing: the same gates, embedding and panel as a write goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingest.screening.classification.classifier import Classifier
from ingest.screening.extraction.facts import facts_in
from ingest.screening.extraction.parts import howtos_in, requests_in
from ingest.screening.redaction.redactor import Cleaned, Redactor
from ingest.screening.review.panel import Panel, UnderReview
from ingest.writing.drafts import Classified
from memtypes.model.policy import MemoryType
from memtypes.model.review import Reviewed
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """type: found from the text when it is None."""

    content: str
    type: MemoryType | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """redactions: secrets that were taken out before anyone read the text, by kind."""

    reviewed: Reviewed
    redactions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Examiner:
    """Shows what would become of a text."""

    redactor: Redactor
    classifier: Classifier
    panel: Panel
    embedder: Embedder

    async def classify(self, tenant: str, content: str, context: str | None = None) -> Classified:
        """The type of `content`; its context counts only where the content alone leaves doubt.

        Raises SecretsRefused where the tenant's policy refuses a secret in it.
        """
        alone: str = (await self._clean(tenant, content)).value
        found = await self.classifier.classify(alone)
        if context is None or found.confidence >= _IN_NO_DOUBT:
            return found
        told: str = (await self._clean(tenant, context)).value
        both = await self.classifier.classify(f"{alone}\n{told}")
        return both if both.confidence > found.confidence else found

    async def parts(self, tenant: str, content: str) -> list[tuple[MemoryType, str]]:
        """What the end of a session would cut out of `content` as memories of their own; none is the whole of it.

        Raises SecretsRefused where the tenant's policy refuses a secret in it.
        """
        text: str = (await self._clean(tenant, content)).value
        return await offload([text], lambda: _parts(text))

    async def review(self, scope: Scope, request: ReviewRequest) -> Examined:
        """The decision on a text. Raises SecretsRefused, and Overloaded or Unavailable when the embedder is away."""
        cleaned = await self._clean(scope.tenant, request.content)
        text: str = cleaned.value
        kind = request.type or (await self.classifier.classify(text)).type
        (embedding,) = await self.embedder.embed_documents([text])
        reviewed = await self.panel.review(UnderReview(scope, text, kind, embedding.dense))
        return Examined(reviewed, cleaned.counts)

    async def _clean(self, tenant: str, content: str) -> Cleaned:
        return await offload([content], lambda: self.redactor.clean(tenant, content))


def _parts(text: str) -> list[tuple[MemoryType, str]]:
    found = [
        *((MemoryType.PROSPECTIVE, one) for one in requests_in(text)),
        *((MemoryType.PROCEDURAL, one.text) for one in howtos_in(text)),
        *((MemoryType.SEMANTIC, one) for one in facts_in(text)),
    ]
    return [(kind, part) for kind, part in found if part != text.strip()]


_IN_NO_DOUBT = 0.6
