"""Review as a stage of the pipeline: after the embedding, which novelty needs, and before anything is written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeGuard

import anyio

from ingest.screening.review.likeness import likenesses
from ingest.screening.review.panel import Panel, UnderReview
from ingest.writing.drafts import PendingWrite, ReviewMode, Submission
from ingest.writing.outcome import Entry, WriteOutcome, WriteStatus
from memtypes.model.errors import RemembrancerError
from memtypes.model.memory import Memory
from memtypes.model.review import Decision, Reviewed
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import MemoryStore

AT_ONCE = 16
"""Texts under review at the same time: enough to hide an endpoint's delay, few enough not to flood it."""


@dataclass(frozen=True, slots=True)
class ReviewStage:
    """Asks the panel about what is to be reviewed. store: what novelty is measured against."""

    panel: Panel
    store: MemoryStore

    async def review(self, scope: Scope, entries: list[Entry]) -> list[Entry]:
        """Each memory with the decision on it, or why it is rejected; what asked for no review passes as it is.

        What is said again further on in the list is rejected with the first of its kind.
        """
        reviewed = list(entries)
        limit = anyio.CapacityLimiter(AT_ONCE)
        wanted = {index: one for index, one in enumerate(entries) if _asked(one) and one.embedding is not None}

        async def one(index: int, under: UnderReview) -> None:
            async with limit:
                reviewed[index] = _decided(wanted[index], await self.panel.review(under))

        asked = await self._under_review(scope, list(wanted.values()))
        async with anyio.create_task_group() as tasks:
            for index, under in zip(wanted, asked, strict=True):
                tasks.start_soon(one, index, under)
        rejected = {
            one.memory.id: now for index, one in wanted.items() if isinstance(now := reviewed[index], WriteOutcome)
        }
        return [rejected.get(entry.memory.id, entry) if _asked(entry) else entry for entry in reviewed]

    async def _under_review(self, scope: Scope, wanted: list[PendingWrite]) -> list[UnderReview]:
        """Each text as the panel is asked about it; without what is nearest when the store can't tell in time.

        Novelty then asks for itself, within its own time, and loses its vote alone.
        """
        texts = [(one.memory.type, one.embedding.dense) for one in wanted if one.embedding is not None]
        nearest: list[float] | list[None] = [None] * len(texts)
        with suppress(RemembrancerError, TimeoutError), anyio.fail_after(self.panel.limit_s):
            nearest = await likenesses(self.store, scope, texts)
        return [
            UnderReview(scope, one.memory.content, kind, dense, likeness)
            for one, (kind, dense), likeness in zip(wanted, texts, nearest, strict=True)
        ]


def _decided(pending: PendingWrite, decision: Reviewed) -> Entry:
    if decision.decision is Decision.REJECT:
        return WriteOutcome(WriteStatus.REJECTED, reason=f"review: {decision.reason}", reviewed=decision)
    return replace(pending, memory=with_decision(pending.memory, decision, pending.submission))


def _asked(entry: Entry) -> TypeGuard[PendingWrite]:
    """Whether a review was asked for. What is stored already has no embedding and is merged without another look."""
    if isinstance(entry, WriteOutcome) or entry.submission is None:
        return False
    return entry.submission.review is ReviewMode.AUTO


def with_decision(memory: Memory, decision: Reviewed, submission: Submission | None) -> Memory:
    """`memory` with the decision; its importance is the reviewers' mean unless the caller gave one."""
    given = submission is not None and "importance" in submission.draft.model_fields_set
    mean = decision.importance
    importance = memory.importance if given or mean is None else min(10, max(1, round(mean)))
    return memory.model_copy(update={"reviewed": decision, "importance": importance})
