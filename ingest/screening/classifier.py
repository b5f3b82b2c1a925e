"""Finds the memory type of texts without a type, and previews what screening does with a text."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ingest.screening.judge import Judge
from ingest.screening.prefilter import SURE
from ingest.screening.redaction.redactor import RedactedValue, Redactor
from ingest.screening.review.panel import Panel, ReviewRequest
from ingest.screening.sentences import sentences_in
from ingest.screening.submission import (
    Classification,
    Rejection,
    Submission,
    UntypedDraft,
    with_type,
)
from memtypes.model.memory import Decision, Reviewed, Tier
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.search.vectors import Embedding

_CONFIDENT = 0.95
"""Minimum confidence at which a text's type is accepted without classifying it again with its
context.
"""

MAX_SENTENCES = 20
"""Maximum number of sentences of a text whose parts are listed; a longer text is a document."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """Finds the memory type of a text: embeds it and asks the trained models."""

    embedder: Embedder
    judge: Judge

    async def classify(
        self, text: str, embedding: Embedding | None = None, *, lasting: bool = False
    ) -> Classification:
        """The memory type of `text`; if `lasting`, never working memory. Raises Overloaded or
        Unavailable.

        embedding: of `text`, if it is known.
        """
        if embedding is None:
            (embedding,) = await self.embedder.embed_documents([text])
        kinds = await offload(
            [text], lambda: self.judge.kinds(self.judge.input_of(text, embedding))
        )
        return Classification.likeliest(kinds, embedding, lasting=lasting)


@dataclass(frozen=True, slots=True)
class ClassificationGate:
    """Screening step that sets the memory type of drafts without one. Rejects types that the
    tenant's rules exclude.

    A text without a session is never classified as working memory, because no session's end would
    remove it.
    """

    classifier: Classifier
    redactor: Redactor

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:
        """The submission with a typed draft; a rejection if memories of its type are not stored."""
        if isinstance(draft := submission.draft, UntypedDraft):
            lasting = draft.session_id is None and scope.session_id is None
            classified = await self.classifier.classify(
                draft.content, submission.embedding, lasting=lasting
            )
            submission = with_type(submission, classified, {})
        objection = self.redactor.rules(scope.tenant).objection(submission.draft)
        said = submission.said
        if objection and said and not said.part:
            said.statements.clear()  # so that no part of the message is stored
        return Rejection(objection) if objection else submission


@dataclass(frozen=True, slots=True)
class Examiner:
    """Previews what screening would do with a text; nothing is stored.

    Every method raises SecretsRefused if the text has a secret of a kind that the tenant's rules
    refuse.
    """

    redactor: Redactor
    classifier: Classifier
    panel: Panel

    async def classify(
        self, tenant: str, content: str, context: str | None = None
    ) -> Classification:
        """The memory type of `content`; if that is uncertain, the type of `content` and `context`
        as one text.
        """
        text = (await self._clean(tenant, content)).value
        without_context = await self.classifier.classify(text)
        if context is None or without_context.confidence >= _CONFIDENT:
            return without_context
        clean_context = (await self._clean(tenant, context)).value
        return await self.classifier.classify(f"{text}\n{clean_context}")

    async def parts(
        self, tenant: str, content: str, whole_type: MemoryType
    ) -> list[tuple[MemoryType, str]]:
        """The type and the text of each sentence of `content` whose type clearly differs from
        `whole_type`.

        whole_type: the memory type of the whole content. A text of more than MAX_SENTENCES
        sentences has no parts.
        """
        text = (await self._clean(tenant, content)).value
        sentences = list(itertools.islice(sentences_in(text), MAX_SENTENCES + 1))
        if not 1 < len(sentences) <= MAX_SENTENCES:
            return []
        typed = [(sentence, await self.classifier.classify(sentence)) for sentence in sentences]
        sure = [(label.type, sentence) for sentence, label in typed if label.confidence >= SURE]
        return [(kind, sentence) for kind, sentence in sure if kind is not whole_type]

    async def review(
        self, scope: Scope, content: str, kind: MemoryType | None = None
    ) -> RedactedValue[Reviewed]:
        """Let the reviewers vote on `content` without its secrets. Raises Overloaded or
        Unavailable.

        kind: its memory type; None to find it. A type that the tenant's rules exclude is rejected
        without a vote.
        """
        cleaned = await self._clean(scope.tenant, content)
        classified = await self.classifier.classify(cleaned.value)
        kind = kind or classified.type
        if kind in self.redactor.rules(scope.tenant).never_keep_types:
            reason = f"memories of type {kind} are not stored here"
            return RedactedValue(
                Reviewed(decision=Decision.REJECT, reason=reason, tier=Tier.CONSENSUS),
                cleaned.counts,
            )
        reviewed = await self.panel.review(
            ReviewRequest(scope, cleaned.value, classified.embedding)
        )
        return RedactedValue(reviewed, cleaned.counts)

    async def _clean(self, tenant: str, content: str) -> RedactedValue[str]:
        return await offload([content], lambda: self.redactor.clean(tenant, content))
