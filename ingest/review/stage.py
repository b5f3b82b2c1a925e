"""Review as a stage of the pipeline: after the embedding, which novelty needs, and before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio

from ingest.keeping import Encoded
from ingest.outcome import Outcome, Status
from ingest.review.panel import Panel, UnderReview
from ingest.submission import ReviewMode, Submission
from memtypes.memory import Memory
from memtypes.reviewed import Decision, Reviewed
from memtypes.scope import Scope

AT_ONCE = 16
"""Texts under review at the same time: enough to hide an endpoint's delay, few enough not to flood it."""


@dataclass(frozen=True, slots=True)
class ReviewStage:
    """Asks the panel about what is to be reviewed."""

    panel: Panel

    async def review(self, scope: Scope, entries: list[Encoded | Outcome]) -> list[Encoded | Outcome]:
        """Each memory with the decision on it, or why it is rejected; what asked for no review passes as it is."""
        reviewed = list(entries)
        limit = anyio.CapacityLimiter(AT_ONCE)

        async def one(index: int, encoded: Encoded) -> None:
            async with limit:
                reviewed[index] = await self._one(scope, encoded)

        async with anyio.create_task_group() as tasks:
            for index, entry in enumerate(entries):
                if isinstance(entry, Encoded) and _wanted(entry):
                    tasks.start_soon(one, index, entry)
        return reviewed

    async def _one(self, scope: Scope, encoded: Encoded) -> Encoded | Outcome:
        memory = encoded.memory
        dense = None if encoded.embedding is None else encoded.embedding.dense
        decision = await self.panel.review(UnderReview(scope, memory.content, memory.type, dense))
        if decision.decision is Decision.REJECT:
            return Outcome(Status.REJECTED, reason=f"review: {decision.reason}", reviewed=decision)
        judged = with_decision(memory, decision, encoded.prepared.submission)
        return Encoded(replace(encoded.prepared, memory=judged), encoded.embedding)


def _wanted(encoded: Encoded) -> bool:
    """A review was asked for, and the text is news: what is stored already is merged without another look."""
    submission = encoded.prepared.submission
    return submission is not None and submission.review is ReviewMode.AUTO and encoded.embedding is not None


def with_decision(memory: Memory, decision: Reviewed, submission: Submission | None) -> Memory:
    """`memory` with the decision; its importance is the reviewers' mean unless the caller gave one."""
    given = submission is not None and "importance" in submission.draft.model_fields_set
    mean = decision.importance
    importance = memory.importance if given or mean is None else min(10, max(1, round(mean)))
    return memory.model_copy(update={"reviewed": decision, "importance": importance})
