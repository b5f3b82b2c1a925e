"""The stages of a write. Each stage takes some entries of a write call and returns the entries for
the next stage.

An entry is a draft on its way into the store. When a draft is rejected or fails, its entry becomes
a WriteOutcome, which later stages return unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

import anyio

from ingest.identity.acts import is_told_by
from ingest.identity.plan import is_repetition
from ingest.screening.counts import ScreeningCounts
from ingest.screening.review.panel import Panel, ReviewRequest
from ingest.screening.review.reviewers import nearest_similarities
from ingest.screening.submission import (
    Heard,
    Rejection,
    ReviewMode,
    ScreeningGate,
    Submission,
    UntypedDraft,
)
from ingest.writing.consulting import Consultation
from ingest.writing.drafts import ArrivalOrder, PendingWrite, Preparer
from ingest.writing.embedding import MemoryEmbedder
from ingest.writing.outcome import Entry, WriteOutcome, WriteStatus, unfinished, with_results
from ingest.writing.writer import MemoryWriter
from memtypes.conversation_context import CallTurns, ConversationContext
from memtypes.model.errors import InvalidRequest, RemembrancerError
from memtypes.model.memory import Decision, Reviewed, Source
from memtypes.model.prospective import CLOSED, Prospective, TaskChange
from memtypes.model.scope import Scope
from memtypes.model.types import AnyDraft
from memtypes.offload import offload
from memtypes.ports.memory_store import MemoryStore
from memtypes.search.vectors import Embedding

MAX_CONCURRENT_REVIEWS = 16
"""Maximum number of texts under review at once: hides the latency of a model's endpoint without
overloading it.
"""


MessagePlace: TypeAlias = tuple[str | None, tuple[int, ...]]
"""The session of a captured message, and its position in it."""


@dataclass(frozen=True, slots=True)
class WriteCall:
    """What the drafts of one write call share. turns: the conversation turns among them, as context
    of later turns. messages: ids of the captured messages that are stored, by session and position.
    """

    scope: Scope
    received_at: datetime
    turns: CallTurns = field(default_factory=CallTurns)
    messages: dict[MessagePlace, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of a write, one method each. consultation: reads texts with stored memories.
    order: numbers a session's drafts by arrival. gates: screening steps.
    """

    gates: tuple[ScreeningGate, ...]
    preparer: Preparer
    store: MemoryStore
    embedder: MemoryEmbedder
    writer: MemoryWriter
    panel: Panel
    consultation: Consultation
    counts: ScreeningCounts
    order: ArrivalOrder = field(default_factory=ArrivalOrder)

    async def screen(self, call: WriteCall, submission: Submission) -> Submission | WriteOutcome:
        """The draft after all gates (redaction, pre-filter, classification), or its outcome if a
        gate rejects it.
        """
        is_part = submission.said is not None and submission.said.part
        to_review = submission.review is ReviewMode.AUTO and not is_part
        for gate in self.gates:
            verdict = await gate.examine(call.scope, submission)
            if isinstance(verdict, Rejection):
                self.counts.reject(verdict.cause, to_review=to_review)
                heard = Heard(submission, verdict.embedding) if verdict.embedding else None
                return WriteOutcome(
                    WriteStatus.REJECTED,
                    reason=verdict.reason,
                    rejected=verdict.draft,
                    reviewed=verdict.reviewed,
                    heard=heard,
                )
            submission = verdict
        self.counts.passed += to_review
        return submission

    async def prepare(
        self, call: WriteCall, screened: Sequence[Submission | WriteOutcome]
    ) -> list[Entry]:
        """Make memories of the screened drafts, numbered in order of arrival. Outcomes are returned
        as they are.
        """
        numbered: list[tuple[Submission, int]] = []
        for entry in screened:
            draft = entry.draft if isinstance(entry, Submission) else entry.rejected
            number = 0 if draft is None else self._number(call, draft)
            if isinstance(entry, Submission):
                numbered.append((entry, number))
        texts = (submission.draft.content for submission, _ in numbered)
        prepared = iter(
            await offload(
                texts, lambda: [self._prepared(call, draft, seq) for draft, seq in numbered]
            )
        )
        return [next(prepared) if isinstance(entry, Submission) else entry for entry in screened]

    def _number(self, call: WriteCall, draft: AnyDraft | UntypedDraft) -> int:
        """The sequence number of a draft: among those of its type in its session; of a captured
        message, among all.
        """
        if draft.seq is not None:
            return draft.seq
        captured = draft.source is not None and draft.source.captured
        kind = None if captured else draft.type
        session = (
            call.scope.tenant,
            call.scope.namespace,
            kind,
            draft.session_id or call.scope.session_id,
        )
        return self.order.next_number(call.received_at, session)

    def _prepared(self, call: WriteCall, submission: Submission, seq: int) -> PendingWrite:
        if isinstance(submission.draft, UntypedDraft):
            raise InvalidRequest(
                "is required: there is no classifier to find the type of a text", path="type"
            )
        pending = self.preparer.prepare(submission.draft, call.scope, call.received_at, seq)
        return replace(pending, submission=submission)

    async def look_up(self, call: WriteCall, entries: list[Entry]) -> list[Entry]:
        """Mark the entries that probably repeat a stored memory, or an earlier entry, as `known`.

        A known entry is neither embedded nor reviewed. If it turns out to be new when it is
        written, it is embedded then.
        """
        pending = unfinished(entries)
        stored = await self.store.get(
            call.scope, {entry.memory.id: entry.memory.type for entry in pending}
        )
        marked: list[PendingWrite] = []
        earlier: set[str] = set()
        for entry in pending:
            namesake = stored.get(entry.memory.id)
            repeats = namesake is not None and is_repetition(
                entry.memory, namesake, call.received_at
            )
            marked.append(replace(entry, known=repeats or entry.memory.id in earlier))
            earlier.add(entry.memory.id)
        return with_results(entries, marked)

    async def add_context(self, call: WriteCall, entries: list[Entry]) -> list[Entry]:
        """Add to each conversation turn the turns before it, from this call or the store, to embed
        it in context.

        Captured messages are left as they are: they were submitted with the messages before them.
        """
        pending = unfinished(entries)
        call.turns.add(entry.memory for entry in pending)
        turns = [entry for entry in pending if entry.said is None]
        with_context = iter(await self._with_context(call, turns))
        return with_results(
            entries, [next(with_context) if entry.said is None else entry for entry in pending]
        )

    async def embed(self, entries: list[Entry]) -> list[Entry]:
        """Embed the entries that need it (`needs_embedding`); reuse the embedding of the same
        text that screening computed.
        """
        pending = [
            replace(entry, embedding=entry.embedding_by_screening())
            if entry.needs_embedding
            else entry
            for entry in unfinished(entries)
        ]
        new = [entry for entry in pending if entry.needs_embedding]
        embedded = iter(await self.embedder.embedded(new))
        return with_results(
            entries, [next(embedded) if entry.needs_embedding else entry for entry in pending]
        )

    async def review(self, call: WriteCall, entries: list[Entry]) -> list[Entry]:
        """Have the panel of reviewers judge the writes that ask for review; a rejected write
        becomes a WriteOutcome.

        A write that asks for review and has the id of a rejected one is rejected, too. A
        conversation turn whose context has a rejected turn gets a new context and loses its
        embedding, so it must be embedded again.
        """
        writes = unfinished(entries)
        automatic = [
            write
            for write in writes
            if write.submission and write.submission.review is ReviewMode.AUTO
        ]
        asking = [write for write in automatic if write.embedding is not None]
        decisions = await self._decide(call.scope, asking)
        for reviewed_text in decisions.values():
            self.counts.review(reviewed_text)
        decided = [_decided(write, decisions.get(write.memory.id)) for write in writes]
        pairs = zip(writes, decided, strict=True)
        call.turns.drop(write.memory for write, after in pairs if isinstance(after, WriteOutcome))
        reviewed = with_results(entries, decided)
        pending = unfinished(decided)
        stale = [
            entry for entry in pending if entry.before and call.turns.lost_context(entry.memory)
        ]
        renewed = iter(await self._with_context(call, stale))
        return with_results(
            reviewed, [next(renewed) if entry in stale else entry for entry in pending]
        )

    async def _with_context(
        self, call: WriteCall, pending: list[PendingWrite]
    ) -> list[PendingWrite]:
        memories = [entry.memory for entry in pending]
        befores = await ConversationContext(self.store).turns_before(
            call.scope, memories, call.turns.turns
        )
        return [
            replace(entry, before=before, embedding=None)
            for entry, before in zip(pending, befores, strict=True)
        ]

    async def _decide(self, scope: Scope, writes: Sequence[PendingWrite]) -> dict[str, Reviewed]:
        """The reviewers' decisions on `writes`, which have embeddings, by memory id.

        The reviewers get the cosine to the nearest stored memory, or None if the store does not
        answer in time. Then the reviewer of novelty searches the store again, within a time limit
        of its own.
        """
        embeddings = [write.embedding for write in writes if write.embedding is not None]
        nearest: list[float] | list[None] = [None] * len(embeddings)
        with suppress(RemembrancerError, TimeoutError), anyio.fail_after(self.panel.limit_s):
            nearest = await nearest_similarities(
                self.store, scope, [embedding.dense for embedding in embeddings]
            )
        decisions: dict[str, Reviewed] = {}
        limiter = anyio.CapacityLimiter(MAX_CONCURRENT_REVIEWS)

        async def decide(
            write: PendingWrite, embedding: Embedding, similarity: float | None
        ) -> None:
            judgement = None if write.submission is None else write.submission.judgement
            async with limiter:
                request = ReviewRequest(
                    scope, write.memory.content, embedding, similarity, judgement
                )
                decisions[write.memory.id] = await self.panel.review(request)

        async with anyio.create_task_group() as tasks:
            for write, embedding, similarity in zip(writes, embeddings, nearest, strict=True):
                tasks.start_soon(decide, write, embedding, similarity)
        return decisions

    async def write(self, call: WriteCall, entries: list[Entry]) -> list[WriteOutcome]:
        """Write the memories to the store, and what the texts do to stored ones; return all
        outcomes, with the results of redaction, typing and review.
        """
        pending = _with_messages(unfinished(entries), call.messages)
        heard = [
            entry.heard
            for entry in entries
            if isinstance(entry, WriteOutcome) and entry.heard is not None
        ]
        deeds = await self.consultation.deeds(call.scope, call.received_at, pending, heard)
        written = await self.writer.write(call.scope, pending, deeds)
        annotated: list[WriteOutcome] = []
        for outcome, entry in zip(written.outcomes, pending, strict=True):
            annotated.append(_annotated(outcome, entry))
            place = _message_place(entry)
            if place is not None and outcome.id is not None:
                call.messages[place] = outcome.id
        return [
            _with_deeds(outcome, written.tasks, call.received_at)
            for outcome in with_results(entries, annotated)
        ]


def _with_messages(
    entries: Sequence[PendingWrite], stored: Mapping[MessagePlace, str]
) -> list[PendingWrite]:
    """`entries`, where each statement of a message names the memory that the message is or was
    stored as. stored: the messages that were written before.
    """
    messages = dict(stored)
    with_messages: list[PendingWrite] = []
    for entry in entries:
        place = _message_place(entry)
        if place is not None:
            messages[place] = entry.memory.id
        memory = entry.memory
        if entry.said is not None and entry.said.part:
            message = messages.get(_place(memory.source))
            memory = memory.model_copy(update={"from_message": message})
        with_messages.append(replace(entry, memory=memory))
    return with_messages


def _message_place(entry: PendingWrite) -> MessagePlace | None:
    """Where a message was said that is stored as a whole; None for anything else."""
    is_message = entry.said is not None and not entry.said.part
    return _place(entry.memory.source) if is_message else None


def _place(source: Source | None) -> MessagePlace:
    return (None, ()) if source is None else (source.thread_id, tuple(source.turns))


def _annotated(outcome: WriteOutcome, entry: PendingWrite) -> WriteOutcome:
    if (screened := entry.submission) is None:
        return outcome
    reviewed = entry.memory.reviewed
    reason = "; ".join(filter(None, (outcome.reason, screened.note))) or None
    return replace(
        outcome,
        reason=reason,
        redactions=screened.redactions,
        classified=screened.classified,
        reviewed=reviewed,
    )


def _with_deeds(
    outcome: WriteOutcome, tasks: Sequence[Prospective], received_at: datetime
) -> WriteOutcome:
    """`outcome` with those of the changed `tasks` that a text ended or moved which is no memory."""
    if outcome.heard is None:
        return outcome
    told = outcome.heard.submission.draft
    said_at = told.created_at or received_at

    ended: list[str] = []
    moved: list[str] = []
    for task in tasks:
        last = task.ended if task.status in CLOSED else next(reversed(task.history), None)
        if last is None or not is_told_by(last, told.content, said_at):
            continue
        if last.how is TaskChange.MOVED:
            moved.append(task.id)
        elif last.how is not TaskChange.REOPENED:
            ended.append(task.id)
    return replace(outcome, ended=tuple(ended), moved=tuple(moved))


def _decided(write: PendingWrite, reviewed: Reviewed | None) -> Entry:
    """`write` with the reviewers' decision and, unless the draft sets one, their importance; or a
    rejected outcome.
    """
    submission = write.submission
    memory = write.memory
    if reviewed is None or submission is None or submission.review is not ReviewMode.AUTO:
        return write
    if reviewed.decision is Decision.REJECT:
        reason = f"review: {reviewed.reason}"
        is_message = submission.said is not None and not submission.said.part
        return WriteOutcome(
            WriteStatus.REJECTED,
            reason=reason,
            reviewed=reviewed,
            rejected=submission.draft,
            heard=Heard(submission, write.embedding) if is_message and write.embedding else None,
        )
    if write.embedding is None:  # a repetition, which is merged and has no decision of its own
        return write
    importance = memory.importance
    if reviewed.importance is not None and "importance" not in submission.draft.model_fields_set:
        importance = min(10, max(1, round(reviewed.importance)))
    return replace(
        write, memory=memory.model_copy(update={"reviewed": reviewed, "importance": importance})
    )
