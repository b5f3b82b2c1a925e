"""Finds the memory type of texts that come without one."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.screening.judge import Judge
from ingest.screening.submission import Classification, Rejection, Submission, UntypedDraft, with_type
from memtypes.model.scope import Scope
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
        return Classification.likeliest(kinds, embedding)


@dataclass(frozen=True, slots=True)
class ClassificationGate:
    """Screening step that sets the type of drafts without one, found by the classifier from their text."""

    classifier: Classifier

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:  # noqa: ARG002 - the same in each
        """The submission with a typed draft; unchanged if the type was given."""
        if not isinstance(submission.draft, UntypedDraft):
            return submission
        return with_type(submission, await self.classifier.classify(submission.draft.content), {})
