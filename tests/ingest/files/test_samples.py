"""The sample memories that are shipped with the service."""

from __future__ import annotations

from collections import Counter

import pytest

from ingest.files.samples import sample_items
from ingest.writing.outcome import WriteStatus, count_statuses
from memtypes.model.policy import MemoryType
from memtypes.model.types import DRAFT
from tests.ingest.doubles import SCOPE, Bench

pytestmark = pytest.mark.anyio


async def test_all_samples_are_stored() -> None:
    """All of about 150 sample memories are valid and are stored."""
    drafts = [DRAFT.validate_python(item) for item in sample_items()]
    bench = Bench()
    outcomes = await bench.ingestor.write(SCOPE, drafts)
    assert count_statuses(outcomes)[WriteStatus.STORED] == len(drafts)
    assert 140 <= len(drafts) <= 160


def test_samples_cover_all_types_over_weeks() -> None:
    """The samples have all memory types and event types, many sessions, five weeks and varied
    importance.
    """
    items = sample_items()
    kinds = Counter(item["type"] for item in items)
    assert set(kinds) == set(MemoryType)
    assert min(kinds.values()) >= 5
    assert len({item["session_id"] for item in items}) >= 15
    assert len({item["event_type"] for item in items if item["type"] == "episodic"}) == 5
    times = sorted(item["created_at"] for item in items)
    assert (times[0][:10], times[-1][:10]) == ("2026-09-28", "2026-11-06")
    assert len({item["importance"] for item in items}) >= 6


def test_samples_differ_from_each_other() -> None:
    """No two samples share 40 % of their words."""
    words = [frozenset(item["content"].lower().split()) for item in sample_items()]
    pairs = ((a, b) for index, a in enumerate(words) for b in words[:index])
    assert max(len(a & b) / len(a | b) for a, b in pairs) < 0.4
