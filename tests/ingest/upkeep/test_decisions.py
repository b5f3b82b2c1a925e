"""Listing the decisions about memories (such as promotions) reads no more memories than the page
needs.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.upkeep.decisions import DecisionKind, Decisions
from ingest.upkeep.planners import mark
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing, Page
from tests.ingest.doubles import SCOPE, Bench, ObservedStore, draft

pytestmark = pytest.mark.anyio


class ReadRecorder(ObservedStore):
    """A memory store that records the contents of all memories that its `page` method returned."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    async def page(self, scope: Scope, listing: Listing) -> Page:
        """One page of memories, whose contents are recorded in `read`."""
        page = await super().page(scope, listing)
        self.read += [memory.content for memory in page.memories]
        return page


async def bench_with_promotions() -> tuple[ReadRecorder, Decisions]:
    """A store with three facts that were promoted 0, 9 and 90 days ago, and the service that lists
    decisions.

    A fourth, older fact has a link to its source, but no decision about it is recorded.
    """
    store = ReadRecorder()
    bench = Bench(store=store)
    for days in (90, 9, 0, None):
        content = f"Promoted {days} days ago."
        # The newest memory has the oldest decision
        created = bench.clock() - timedelta(days=100 + (days or 0))
        outcome = await bench.ingestor.write_one(
            SCOPE, draft(content, created_at=created.isoformat())
        )
        if days is not None:
            fields = mark("promote", bench.clock() - timedelta(days=days), "said in 3 sessions")
        else:
            fields = {"links": [{"to": "a", "type": "derived_from", "strength": 1.0}]}
        await store.patch(SCOPE, {outcome.id or "": fields})
    store.read.clear()
    return store, Decisions(store, bench.ingestor, bench.clock)


@pytest.mark.parametrize(
    ("limit", "listed", "read"),
    [(1, [0], [0]), (2, [0, 9], [0, 9]), (3, [0, 9, 90], [0, 9, 90]), (9, [0, 9, 90], [0, 9, 90])],
)
async def test_older_decisions_are_read_only_if_the_newer_ones_are_too_few(
    limit: int, listed: list[int], read: list[int]
) -> None:
    """Decisions are listed newest first by the time of the decision, which may differ from the
    memory's time.

    Memories with older decisions are read only if the newer ones do not fill the page.
    """
    store, decisions = await bench_with_promotions()
    texts = await decisions.latest(SCOPE, None, limit)
    assert [text.content for text in texts] == [f"Promoted {days} days ago." for days in listed]
    assert set(store.read) == {f"Promoted {days} days ago." for days in read}


@pytest.mark.parametrize(
    "kind", [DecisionKind.REJECTED, DecisionKind.CONTESTED, DecisionKind.MERGED]
)
async def test_decisions_of_one_kind_are_found_without_reading_those_of_others(
    kind: DecisionKind,
) -> None:
    """Only promotions are recorded. Listing another kind of decision, such as merges, reads no
    memory.
    """
    store, decisions = await bench_with_promotions()
    assert await decisions.latest(SCOPE, kind, 10) == []
    assert store.read == []
