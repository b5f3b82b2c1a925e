"""Outcomes of writes and their counts."""

from __future__ import annotations

from ingest.writing.drafts import PendingWrite
from ingest.writing.outcome import (
    Entry,
    WriteOutcome,
    WriteStatus,
    count_statuses,
    unfinished,
    with_results,
)
from memtypes.model.policy import MemoryType
from tests.builders import make_memory, make_sparse

REJECTED = WriteOutcome(WriteStatus.REJECTED, reason="trivial")
STORED = WriteOutcome(WriteStatus.STORED, id="x")


def pending(content: str) -> PendingWrite:
    """The pending write of a fact with this content."""
    return PendingWrite(make_memory(MemoryType.SEMANTIC, content), make_sparse([1]))


def test_every_status_is_counted() -> None:
    assert count_statuses([STORED, REJECTED, STORED]) == {
        "stored": 2,
        "merged": 0,
        "rejected": 1,
        "failed": 0,
    }


def test_results_replace_the_unfinished_entries() -> None:
    """In a list of final outcomes and pending writes, results replace the pending writes in
    order.
    """
    first = pending("a")
    second = pending("b")
    entries: list[Entry] = [first, REJECTED, second]
    assert unfinished(entries) == [first, second]
    assert with_results(entries, [second, STORED]) == [second, REJECTED, STORED]
