"""What a caller's word on a memory changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.writing.changes import FeedbackOutcome, feedback_changes
from ingest.writing.drafts import Preparer
from memtypes.model.errors import NotFound
from memtypes.model.memory import Memory
from tests.ingest.doubles import NOW, SCOPE, Bench, CharTokenizer, LengthSparse, draft

pytestmark = pytest.mark.anyio


def memory(kind: str, **fields: object) -> Memory:
    """A memory of `kind`."""
    return Preparer(LengthSparse(), CharTokenizer()).prepare(draft("x", kind, **fields), SCOPE, NOW, 1).memory


async def test_used_counts_an_access() -> None:
    """Each use is counted, with its time."""
    bench = Bench()
    made = await bench.ingestor.write_one(SCOPE, draft("x"))
    for expected in (1, 2):
        after = await bench.ingestor.feedback(SCOPE, made.id or "", FeedbackOutcome.USED)
        assert (after.access_count, after.accessed_at) == (expected, NOW)


@pytest.mark.parametrize(
    ("outcome", "before", "after"),
    [
        ("helpful", 5, 6),
        ("helpful", 10, 10),
        ("unhelpful", 5, 4),
        ("unhelpful", 1, 1),
        ("success", 5, 6),
        ("failure", 5, 4),
    ],
)
def test_a_fact_gains_or_loses_importance(outcome: str, before: int, after: int) -> None:
    """One step up or down, within 1 to 10; success and failure count alike where nothing is carried out."""
    changed = feedback_changes(memory("semantic", importance=before), FeedbackOutcome(outcome), NOW)
    assert changed == {"importance": after, "updated_at": "2026-11-20T12:00:00Z"}


def test_a_procedure_keeps_its_rate_of_success() -> None:
    """Three successes in four uses and a failure make three in five."""
    changed = feedback_changes(memory("procedural", usage_count=4, success_rate=0.75), FeedbackOutcome.FAILURE, NOW)
    assert changed["usage_count"] == 5
    assert changed["success_rate"] == pytest.approx(0.6)
    assert changed["last_used_at"] == "2026-11-20T12:00:00Z"


def test_helpful_is_no_use_of_a_procedure() -> None:
    """A helpful procedure gains importance and is not counted as carried out."""
    assert "usage_count" not in feedback_changes(memory("procedural"), FeedbackOutcome.HELPFUL, NOW)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_the_rate_is_the_mean_of_all_uses(results: list[bool]) -> None:
    """Applied one by one, feedback gives the plain mean."""
    current = memory("procedural")
    for succeeded in results:
        word = FeedbackOutcome.SUCCESS if succeeded else FeedbackOutcome.FAILURE
        current = current.replace(**feedback_changes(current, word, NOW))
    assert current.model_dump()["success_rate"] == pytest.approx(sum(results) / len(results))


async def test_feedback_on_nothing_is_not_found() -> None:
    """An unknown id is told as such."""
    with pytest.raises(NotFound, match="no memory nope in namespace 'shop'"):
        await Bench().ingestor.feedback(SCOPE, "nope", FeedbackOutcome.USED)
