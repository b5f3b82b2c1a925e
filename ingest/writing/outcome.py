"""What became of each text that was handed in. Knows nothing of how it was stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ingest.writing.submission import Classified
from memtypes.model.memory import Memory
from memtypes.model.review import Reviewed


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
    """An item's end as the service knows it: besides, what it replaced and the memory as read back.

    redactions: secrets taken out, by kind. classified: how its type was found. reviewed: the decision, with each vote.
    """

    supersedes: tuple[str, ...] = ()
    memory: Memory | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)
    classified: Classified | None = None
    reviewed: Reviewed | None = None


def count_statuses(outcomes: Iterable[ItemOutcome]) -> dict[Status, int]:
    """How many ended in each status; every status is a key."""
    counted = Counter(outcome.status for outcome in outcomes)
    return {status: counted[status] for status in Status}
