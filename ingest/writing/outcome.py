"""The outcome of a write, functions for lists in which some writes have an outcome, and retries."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, TypeVar

import anyio

from ingest.screening.submission import Classification, Heard, UntypedDraft
from ingest.writing.drafts import PendingWrite
from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.memory import Memory, Reviewed
from memtypes.model.types import AnyDraft


class WriteStatus(StrEnum):
    """How a write ended, as confirmed by reading the store back: stored, merged, rejected or
    failed.
    """

    STORED = "stored"
    MERGED = "merged"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """The result of writing one draft.

    id: of the memory that was stored, or that the draft was merged into; None if no memory was
    written. reason: why the draft was merged, rejected or failed, or that recalled text was removed
    from it. merged_into: the same as `id` if
    the draft was merged, otherwise None. supersedes: ids of the facts that it replaced. contests:
    ids of the facts that it contradicts but does not replace. ended, moved: ids of the tasks that
    it ended, or gave another time or owner. retracted: ids of the facts that it says were wrong.
    changed: names of the fields that a
    merge changed in the stored memory. memory: the memory as read from the store after the write.
    redactions: number of secrets removed, by kind. classified: the classifier's result if the
    caller gave no type. reviewed: the reviewers' decision with each vote. rejected: the draft
    without secrets, if it was rejected and may be stored later. heard: the message, if it was
    rejected and may still say that something is done.

    A command that imports through the HTTP API knows only status, id, reason, merged_into and
    classified.
    """

    status: WriteStatus
    id: str | None = None
    reason: str | None = None
    merged_into: str | None = None
    supersedes: tuple[str, ...] = ()
    contests: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    memory: Memory | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)
    classified: Classification | None = None
    reviewed: Reviewed | None = None
    rejected: AnyDraft | UntypedDraft | None = None
    heard: Heard | None = field(default=None, repr=False, compare=False)


Entry: TypeAlias = PendingWrite | WriteOutcome
"""One draft in the pipeline: still to be written, or ended with an outcome."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def unfinished(entries: Iterable[Entry]) -> list[PendingWrite]:
    """The entries that have no outcome yet."""
    return [entry for entry in entries if isinstance(entry, PendingWrite)]


def with_results(entries: Iterable[Entry], replacements: Iterable[_T]) -> list[_T | WriteOutcome]:
    """`entries`, where each entry that has no outcome yet is replaced by the next of
    `replacements`.
    """
    remaining = iter(replacements)
    return [next(remaining) if isinstance(entry, PendingWrite) else entry for entry in entries]


def count_statuses(outcomes: Iterable[WriteOutcome]) -> dict[WriteStatus, int]:
    """Number of outcomes with each status; every status is a key."""
    counts = Counter(outcome.status for outcome in outcomes)
    return {status: counts[status] for status in WriteStatus}


async def retried(
    work: Callable[[], Awaitable[_T]],
    *errors: type[Overloaded | Unavailable],
    attempts: float = math.inf,
    patience_s: float = math.inf,
) -> _T:
    """The result of `work`. If it raises one of `errors`, it is called again after the error's
    `retry_after_s`.

    Raises the error after `attempts` calls, or if the next one would begin over `patience_s`
    seconds after the first.
    """
    deadline = anyio.current_time() + patience_s
    attempt = 1
    while True:
        try:
            return await work()
        except errors as error:
            if attempt >= attempts or anyio.current_time() + error.retry_after_s > deadline:
                raise
            if attempt == 1:
                _log.warning("%s; trying again", error)
            attempt += 1
            await anyio.sleep(error.retry_after_s)
