"""The shapes of the answers that are put together here; search's and retrieve's are `retrieval.answer`'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict  # pydantic reads the standard library's only from Python 3.12 on

from api.calls import memory_members
from ingest.outcome import Outcome
from memtypes.policy import MemoryType

Status: TypeAlias = Literal["stored", "merged", "rejected", "failed"]
STATUSES: tuple[Status, ...] = ("stored", "merged", "rejected", "failed")


class MemoryAnswer(TypedDict):
    """A memory: every common field and its type's own; see the component of each type."""


class WriteAnswer(TypedDict):
    """What became of one memory, said after it was read back."""

    id: str | None
    status: Status
    reason: NotRequired[str]
    merged_into: NotRequired[str]
    supersedes: NotRequired[list[str]]
    memory: NotRequired[MemoryAnswer]


class ItemAnswer(TypedDict):
    """What became of one item of a batch."""

    index: int
    id: str | None
    status: Status
    reason: NotRequired[str]
    merged_into: NotRequired[str]


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


def write_answer(outcome: Outcome) -> dict[str, Any]:
    """The answer to one write: absent things are left out."""
    members = {"id": outcome.id, "status": outcome.status, **_details(outcome)}
    if outcome.supersedes:
        members["supersedes"] = list(outcome.supersedes)
    if outcome.memory is not None:
        members["memory"] = memory_members(outcome.memory)
    return members


def batch_answer(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The answer to a batch: one entry an item, and the counts."""
    results = [
        {"index": index, "id": outcome.id, "status": outcome.status, **_details(outcome)}
        for index, outcome in enumerate(outcomes)
    ]
    counted = Counter(str(outcome.status) for outcome in outcomes)
    return {"results": results, "counts": {status: counted[status] for status in STATUSES}}


def _details(outcome: Outcome) -> dict[str, Any]:
    found = {"reason": outcome.reason, "merged_into": outcome.merged_into}
    return {name: value for name, value in found.items() if value is not None}
