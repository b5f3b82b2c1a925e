"""Finds the memory type of texts that come without one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.screening.judge import Judge
from ingest.screening.submission import Classification, Rejection, Submission, UntypedDraft, classification_of
from memtypes.model.scope import Scope
from memtypes.model.types import DRAFT
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder


@dataclass(frozen=True, slots=True)
class Classifier:
    """Embeds texts and asks the judge for their type."""

    embedder: Embedder
    judge: Judge

    async def classify(self, text: str) -> Classification:
        """The type of `text`, with its embedding, which writing uses. Raises Overloaded or Unavailable."""
        (embedding,) = await self.embedder.embed_documents([text])
        kinds = await offload([text], lambda: self.judge.kinds(text, embedding))
        return classification_of(kinds, embedding)


@dataclass(frozen=True, slots=True)
class ClassificationGate:
    """Screening step that sets the type of drafts without one, found by the classifier from their text."""

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
