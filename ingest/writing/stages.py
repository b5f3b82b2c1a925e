"""The stages of a write: each takes a piece of a call's entries and returns the entries for the next stage.

An entry that has ended (rejected or failed) is a WriteOutcome, which later stages pass through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ingest.screening.gates import Rejection, ScreeningGate, through_gates
from ingest.screening.prefilter import RecentTexts
from ingest.screening.submission import Submission, UntypedDraft
from ingest.writing.drafts import PendingWrite, Preparer
from ingest.writing.outcome import Entry, WriteOutcome, WriteStatus, unfinished, with_results
from ingest.writing.review import ReviewStage
from ingest.writing.writer import MemoryWriter
from memtypes.conversation_context import CallTurns, ConversationContext
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore


@dataclass(frozen=True, slots=True)
class WriteCall:
    """What all pieces of one call share. turns: those of its conversations, as context for the turns after them."""

    scope: Scope
    received_at: datetime
    turns: CallTurns = field(default_factory=CallTurns)


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages, in the order of their methods. reviews, recent: None without a panel or a pre-filter."""

    gates: tuple[ScreeningGate, ...]
    preparer: Preparer
    store: MemoryStore
    embedder: Embedder
    writer: MemoryWriter
    reviews: ReviewStage | None = None
    recent: RecentTexts | None = None

    async def screen(self, call: WriteCall, submission: Submission) -> Submission | WriteOutcome:
        """Redact, pre-filter and classify a draft: the submission as changed by the gates, or its rejection."""
        verdict = await through_gates(self.gates, call.scope, submission)
        if isinstance(verdict, Rejection):
            return WriteOutcome(WriteStatus.REJECTED, reason=verdict.reason)
        return verdict

    async def prepare(self, call: WriteCall, screened: Sequence[Submission | WriteOutcome]) -> list[Entry]:
        """Turn drafts into memories; many or long texts are tokenized in a worker thread."""
        texts = (entry.draft.content for entry in screened if isinstance(entry, Submission))
        return await offload(texts, lambda: [self._prepare_entry(call, entry) for entry in screened])

    def _prepare_entry(self, call: WriteCall, entry: Submission | WriteOutcome) -> Entry:
        if isinstance(entry, WriteOutcome):
            return entry
        if isinstance(entry.draft, UntypedDraft):
            raise InvalidRequest("is required: there is no classifier to find the type of a text", path="type")
        pending = self.preparer.prepare(entry.draft, call.scope, call.received_at, entry.seq)
        return replace(pending, submission=entry)

    async def look_up(self, call: WriteCall, entries: list[Entry]) -> list[Entry]:
        """Mark memories that are stored already, or that come earlier in `entries`, as known."""
        pending = unfinished(entries)
        known = set(await self.store.get(call.scope, {entry.memory.id: entry.memory.type for entry in pending}))
        marked: list[PendingWrite] = []
        for entry in pending:
            marked.append(replace(entry, known=entry.memory.id in known))
            known.add(entry.memory.id)
        return with_results(entries, marked)

    async def add_context(self, call: WriteCall, entries: list[Entry]) -> list[Entry]:
        """Give each turn the turns before it as context, from this call or from the store."""
        pending = unfinished(entries)
        call.turns.add(entry.memory for entry in pending)
        return with_results(entries, await self._with_context(call, pending))

    async def embed(self, entries: list[Entry]) -> list[Entry]:
        """Embed what is neither known nor embedded yet, by the classifier or before."""
        pending = [
            replace(entry, embedding=entry.embedding_by_classifier()) if entry.needs_embedding else entry
            for entry in unfinished(entries)
        ]
        texts = [entry.in_context for entry in pending if entry.needs_embedding]
        embeddings = iter(await self.embedder.embed_in_context(texts) if texts else [])
        embedded = [replace(entry, embedding=next(embeddings)) if entry.needs_embedding else entry for entry in pending]
        return with_results(entries, embedded)

    async def review(self, call: WriteCall, entries: list[Entry]) -> list[Entry]:
        """Review what asks for it; turns whose context was rejected get a new context and lose their embedding."""
        if self.reviews is None:
            return entries
        reviewed = await self.reviews.review(call.scope, entries)
        pairs = zip(entries, reviewed, strict=True)
        call.turns.drop(
            entry.memory
            for entry, after in pairs
            if isinstance(entry, PendingWrite) and isinstance(after, WriteOutcome)
        )
        pending = unfinished(reviewed)
        stale = [entry for entry in pending if entry.embedding is not None and call.turns.lost_context(entry.memory)]
        renewed = iter(await self._with_context(call, stale))
        return with_results(reviewed, [next(renewed) if entry in stale else entry for entry in pending])

    async def _with_context(self, call: WriteCall, pending: list[PendingWrite]) -> list[PendingWrite]:
        memories = [entry.memory for entry in pending]
        texts = await ConversationContext(self.store).in_context(call.scope, memories, call.turns.turns)
        return [replace(entry, before=text.before, embedding=None) for entry, text in zip(pending, texts, strict=True)]

    async def write(self, call: WriteCall, entries: list[Entry]) -> list[WriteOutcome]:
        """Write the memories, and add to their outcomes what screening and review found out."""
        pending = unfinished(entries)
        outcomes = await self.writer.write(call.scope, pending)
        self._remember_captured(call.scope, pending, outcomes)
        annotated = [_annotated(outcome, entry) for outcome, entry in zip(outcomes, pending, strict=True)]
        return with_results(entries, annotated)

    def _remember_captured(self, scope: Scope, pending: list[PendingWrite], outcomes: list[WriteOutcome]) -> None:
        """Tell the pre-filter which captured texts are stored; a failed one may be sent again."""
        if self.recent is None:
            return
        for entry, outcome in zip(pending, outcomes, strict=True):
            captured = entry.submission is not None and entry.submission.captured
            if captured and outcome.status is not WriteStatus.FAILED:
                self.recent.add(scope, entry.memory.content)


def _annotated(outcome: WriteOutcome, entry: PendingWrite) -> WriteOutcome:
    submission = entry.submission
    if submission is None:
        return outcome
    return replace(
        outcome,
        redactions=submission.redactions,
        classified=submission.classified,
        reviewed=entry.memory.reviewed,
    )
