"""What became of each text that was handed in. Knows nothing of how it was stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from memtypes.memory import Memory


class Status(StrEnum):
    """How an item ended; each is told only after the store was read back."""

    STORED = "stored"
    MERGED = "merged"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """status; id: of the memory, where there is one; reason: why it was merged, rejected or failed."""

    status: Status
    id: str | None = None
    reason: str | None = None
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome(ItemOutcome):
    """An item's end as the service knows it: besides, what it replaced and the memory as read back."""

    supersedes: tuple[str, ...] = ()
    memory: Memory | None = None


def count_statuses(outcomes: Iterable[ItemOutcome]) -> dict[Status, int]:
    """How many ended in each status; every status is a key."""
    counted = Counter(outcome.status for outcome in outcomes)
    return {status: counted[status] for status in Status}
