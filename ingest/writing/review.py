"""Review as a stage of the pipeline: after embedding, which novelty needs, and before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeGuard

import anyio

from ingest.screening.review.panel import Panel, ReviewRequest
from ingest.screening.review.reviewers import nearest_similarities
from ingest.screening.submission import ReviewMode, Submission
from ingest.writing.drafts import PendingWrite
from ingest.writing.outcome import Entry, WriteOutcome, WriteStatus
from memtypes.model.errors import RemembrancerError
from memtypes.model.memory import Memory
from memtypes.model.review import Decision, Reviewed
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore

MAX_CONCURRENT = 16
"""Texts under review at once: enough to hide the latency of an endpoint, few enough not to flood it."""


@dataclass(frozen=True, slots=True)
class ReviewStage:
    """Has the panel review the writes that ask for it. store: searched for novelty."""

    panel: Panel
    store: MemoryStore

    async def review(self, scope: Scope, entries: list[Entry]) -> list[Entry]:
        """`entries` with a decision on each write that asks for review; a rejected one becomes its outcome.

        A write with the same id as a rejected one is rejected with it.
        """
        reviewed = list(entries)
        limiter = anyio.CapacityLimiter(MAX_CONCURRENT)
        pending = {i: entry for i, entry in enumerate(entries) if _asks(entry) and entry.embedding is not None}

        async def review(index: int, request: ReviewRequest) -> None:
            async with limiter:
                reviewed[index] = _decided(pending[index], await self.panel.review(request))

        requests = await self._requests(scope, list(pending.values()))
        async with anyio.create_task_group() as tasks:
            for index, request in zip(pending, requests, strict=True):
                tasks.start_soon(review, index, request)
        rejected = {
            write.memory.id: outcome
            for index, write in pending.items()
            if isinstance(outcome := reviewed[index], WriteOutcome)
        }
        return [rejected.get(entry.memory.id, entry) if _asks(entry) else entry for entry in reviewed]

    async def _requests(self, scope: Scope, pending: Sequence[PendingWrite]) -> list[ReviewRequest]:
        """A request for each write, with the similarity of the nearest memory if the store answers in time.

        If it does not, the novelty reviewer searches again within its own time, and may lose its vote.
        """
        vectors = [write.embedding.dense for write in pending if write.embedding is not None]
        nearest: list[float] | list[None] = [None] * len(vectors)
        with suppress(RemembrancerError, TimeoutError), anyio.fail_after(self.panel.limit_s):
            nearest = await nearest_similarities(self.store, scope, vectors)
        return [
            ReviewRequest(scope, write.memory.content, write.memory.type, dense, similarity)
            for write, dense, similarity in zip(pending, vectors, nearest, strict=True)
        ]


def _decided(pending: PendingWrite, reviewed: Reviewed) -> Entry:
    if reviewed.decision is Decision.REJECT:
        return WriteOutcome(WriteStatus.REJECTED, reason=f"review: {reviewed.reason}", reviewed=reviewed)
    return replace(pending, memory=_with_decision(pending.memory, reviewed, pending.submission))


def _asks(entry: Entry) -> TypeGuard[PendingWrite]:
    """Whether the entry asks for review. One without an embedding is already stored, and merged without review."""
    if isinstance(entry, WriteOutcome) or entry.submission is None:
        return False
    return entry.submission.review is ReviewMode.AUTO


def _with_decision(memory: Memory, reviewed: Reviewed, submission: Submission | None) -> Memory:
    """`memory` with the decision, and with the mean importance unless the caller set an importance."""
    explicit = submission is not None and "importance" in submission.draft.model_fields_set
    mean = reviewed.importance
    importance = memory.importance if explicit or mean is None else min(10, max(1, round(mean)))
    return memory.model_copy(update={"reviewed": reviewed, "importance": importance})
