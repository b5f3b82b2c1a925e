"""Review as a stage of the pipeline: after embedding, which novelty needs, and before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio

from ingest.screening.review.panel import Panel, ReviewRequest
from ingest.screening.review.reviewers import nearest_similarities
from ingest.screening.submission import ReviewMode, Submission
from ingest.writing.drafts import PendingWrite
from ingest.writing.outcome import Entry, WriteOutcome, WriteStatus, unfinished, with_results
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
        writes = unfinished(entries)
        asking = [write for write in writes if _asks_for_review(write) and write.embedding is not None]
        decisions = await self._decide(scope, asking)
        return with_results(entries, [_decided(write, decisions.get(write.memory.id)) for write in writes])

    async def _decide(self, scope: Scope, writes: Sequence[PendingWrite]) -> dict[str, Reviewed]:
        """The panel's decision on each write, by id."""
        decisions: dict[str, Reviewed] = {}
        limiter = anyio.CapacityLimiter(MAX_CONCURRENT)

        async def decide(memory_id: str, request: ReviewRequest) -> None:
            async with limiter:
                decisions[memory_id] = await self.panel.review(request)

        requests = await self._requests(scope, writes)
        async with anyio.create_task_group() as tasks:
            for write, request in zip(writes, requests, strict=True):
                tasks.start_soon(decide, write.memory.id, request)
        return decisions

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


def _asks_for_review(write: PendingWrite) -> bool:
    return write.submission is not None and write.submission.review is ReviewMode.AUTO


def _decided(write: PendingWrite, reviewed: Reviewed | None) -> Entry:
    if reviewed is None or not _asks_for_review(write):
        return write
    if reviewed.decision is Decision.REJECT:
        return WriteOutcome(WriteStatus.REJECTED, reason=f"review: {reviewed.reason}", reviewed=reviewed)
    if write.embedding is None:  # a repetition, which is merged and has no decision of its own
        return write
    return replace(write, memory=_with_decision(write.memory, reviewed, write.submission))


def _with_decision(memory: Memory, reviewed: Reviewed, submission: Submission | None) -> Memory:
    """`memory` with the decision, and with the mean importance unless the caller set an importance."""
    explicit = submission is not None and "importance" in submission.draft.model_fields_set
    mean = reviewed.importance
    importance = memory.importance if explicit or mean is None else min(10, max(1, round(mean)))
    return memory.model_copy(update={"reviewed": reviewed, "importance": importance})
