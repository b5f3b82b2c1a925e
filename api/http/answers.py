"""The shapes of the answers that are put together here; search's and retrieve's are `retrieval.answer`'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict  # pydantic reads the standard library's only from Python 3.12 on

from api.http.endpoint import memory_members
from ingest.screening.examine import Examined
from ingest.writing.drafts import Classified
from ingest.writing.outcome import WriteOutcome
from memtypes.model.policy import MemoryType
from memtypes.model.review import Decision, Reviewed, Tier, Vote

WriteStatus: TypeAlias = Literal["stored", "merged", "rejected", "failed"]
STATUSES: tuple[WriteStatus, ...] = ("stored", "merged", "rejected", "failed")


class MemoryAnswer(TypedDict):
    """A memory: every common field and its type's own; see the component of each type."""


class Alternative(TypedDict):
    """Another type that a text may be of."""

    type: MemoryType
    confidence: float


class PartAnswer(TypedDict):
    """A part of a text that is of a type of its own."""

    type: MemoryType
    content: str


class ClassifyAnswer(TypedDict):
    """The type of a text, and why; the confidences of all types sum to 1."""

    type: MemoryType
    confidence: float
    reason: str
    alternatives: list[Alternative]
    parts: NotRequired[list[PartAnswer]]


class ReviewAnswer(TypedDict):
    """The decision on a text, with each vote. redacted: secrets were taken out before anyone read it."""

    decision: Decision
    importance: float | None
    relevance: float | None
    novelty: float | None
    reason: str
    tier: Tier
    votes: list[Vote]
    redacted: bool
    redactions: dict[str, int]


class WriteAnswer(TypedDict):
    """What became of one memory, said after it was read back."""

    id: str | None
    status: WriteStatus
    reason: NotRequired[str]
    merged_into: NotRequired[str]
    supersedes: NotRequired[list[str]]
    redactions: NotRequired[dict[str, int]]
    classified: NotRequired[ClassifyAnswer]
    review: NotRequired[Reviewed]
    memory: NotRequired[MemoryAnswer]


class ItemAnswer(TypedDict):
    """What became of one item of a batch."""

    index: int
    id: str | None
    status: WriteStatus
    reason: NotRequired[str]
    merged_into: NotRequired[str]
    supersedes: NotRequired[list[str]]
    redactions: NotRequired[dict[str, int]]
    classified: NotRequired[ClassifyAnswer]
    review: NotRequired[Reviewed]


class Counts(TypedDict):
    """How many items ended in which way; together as many as there were."""

    stored: int
    merged: int
    rejected: int
    failed: int


class BatchAnswer(TypedDict):
    """What became of each item, in order."""

    results: list[ItemAnswer]
    counts: Counts


class ListAnswer(TypedDict):
    """A page of memories, newest first."""

    memories: list[MemoryAnswer]
    next_cursor: str | None
    total: int


class EraseAnswer(TypedDict):
    """How many were removed, and how many are left by a count made after."""

    deleted: int
    remaining: int


class Amount(TypedDict):
    """How many memories, and how many tokens their contents have."""

    count: int
    tokens: int


class StatsAnswer(TypedDict):
    """How much a namespace holds."""

    namespace: str
    types: dict[MemoryType, Amount]
    total: Amount


class Check(TypedDict):
    """Whether a resource answered, and how long that took."""

    ok: bool
    ms: float
    detail: NotRequired[str]


class HealthAnswer(TypedDict):
    """Whether the process lives; whether everything it needs answers."""

    status: Literal["ok", "unavailable"]
    checks: NotRequired[dict[str, Check]]


def write_answer(outcome: WriteOutcome) -> dict[str, Any]:
    """The answer to one write: absent things are left out."""
    members = {"id": outcome.id, "status": outcome.status, **_details(outcome)}
    if outcome.memory is not None:
        members["memory"] = memory_members(outcome.memory)
    return members


def batch_answer(outcomes: Sequence[WriteOutcome]) -> dict[str, Any]:
    """The answer to a batch: one entry an item, and the counts."""
    results = [
        {"index": index, "id": outcome.id, "status": outcome.status, **_details(outcome)}
        for index, outcome in enumerate(outcomes)
    ]
    counted = Counter(str(outcome.status) for outcome in outcomes)
    return {"results": results, "counts": {status: counted[status] for status in STATUSES}}


def _details(outcome: WriteOutcome) -> dict[str, Any]:
    found = {
        "reason": outcome.reason,
        "merged_into": outcome.merged_into,
        "supersedes": list(outcome.supersedes) or None,
        "redactions": dict(outcome.redactions) or None,
        "classified": classify_answer(outcome.classified) if outcome.classified else None,
        "review": outcome.reviewed,
    }
    return {name: value for name, value in found.items() if value is not None}


def classify_answer(found: Classified) -> dict[str, Any]:
    """The type that was found, and the others."""
    others = [{"type": kind, "confidence": confidence} for kind, confidence in found.alternatives]
    return {"type": found.type, "confidence": found.confidence, "reason": found.reason, "alternatives": others}


def review_answer(examined: Examined) -> dict[str, Any]:
    """The decision on a text that was not written."""
    reviewed = examined.reviewed.model_dump(mode="json")
    return {**reviewed, "redacted": bool(examined.redactions), "redactions": dict(examined.redactions)}
