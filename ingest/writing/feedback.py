"""What a caller's word on a memory changes.

used                 access_count + 1, accessed_at
helpful, unhelpful   importance + 1 or - 1, within 1 to 10
success, failure     a procedure: usage_count + 1, success_rate (the mean over its uses), last_used_at
                     any other type: the same as helpful and unhelpful
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ingest.writing.writer import existing
from memtypes.model.memory import Memory
from memtypes.model.procedural import Procedural
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.memory_store import MemoryStore


class FeedbackOutcome(StrEnum):
    """What became of a memory that was recalled."""

    USED = "used"
    HELPFUL = "helpful"
    UNHELPFUL = "unhelpful"
    SUCCESS = "success"
    FAILURE = "failure"


_GOOD = frozenset({FeedbackOutcome.HELPFUL, FeedbackOutcome.SUCCESS})
_OF_PROCEDURES = frozenset({FeedbackOutcome.SUCCESS, FeedbackOutcome.FAILURE})


def changes_for(memory: Memory, outcome: FeedbackOutcome, now: datetime) -> dict[str, Any]:
    """The fields of `memory` that `outcome` sets, as they stand in its payload."""
    at = rfc3339(now)
    if outcome is FeedbackOutcome.USED:
        return {"access_count": memory.access_count + 1, "accessed_at": at}
    if isinstance(memory, Procedural) and outcome in _OF_PROCEDURES:
        return {
            "usage_count": memory.usage_count + 1,
            "success_rate": _mean_after(memory, succeeded=outcome in _GOOD),
            "last_used_at": at,
            "updated_at": at,
        }
    step = 1 if outcome in _GOOD else -1
    return {"importance": min(10, max(1, memory.importance + step)), "updated_at": at}


def _mean_after(memory: Procedural, *, succeeded: bool) -> float:
    """The mean success over the uses so far and this one; uses of which no rate is known do not count."""
    counted = 0 if memory.success_rate is None else memory.usage_count
    total = (memory.success_rate or 0.0) * counted + float(succeeded)
    return min(1.0, total / (counted + 1))


@dataclass(frozen=True, slots=True)
class Rater:
    """Applies feedback; its caller holds the namespace's lock."""

    store: MemoryStore
    clock: Clock

    async def rate(self, scope: Scope, memory_id: str, outcome: FeedbackOutcome) -> Memory:
        """The memory as read back after `outcome`. Raises NotFound."""
        memory = await existing(self.store, scope, memory_id)
        await self.store.patch(scope, {memory_id: changes_for(memory, outcome, self.clock())})
        return await existing(self.store, scope, memory_id)
