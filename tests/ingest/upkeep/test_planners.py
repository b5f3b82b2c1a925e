"""The jobs' plans: what they may never do, whatever the memories are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.upkeep.plan import JobRequest
from ingest.upkeep.planners import compactions, expiries, forgettings, promotions
from memtypes.model.memory import Memory, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.types import MEMORY_CLASSES

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def memory(one_id: str, kind: str = "episodic", **fields: Any) -> Memory:
    """A memory with plain values where `fields` has none."""
    made = fields.pop("created_at", NOW - timedelta(days=1))
    base = {
        "id": one_id, "type": kind, "tenant": "t", "namespace": "n", "content": f"text {one_id}",
        "visibility": "namespace", "created_at": made, "updated_at": made, "valid_from": made, "content_hash": "h",
        "tokens": TokenCount(count=1, tokenizer="x"),
    }  # fmt: skip
    return MEMORY_CLASSES[MemoryType(kind)].model_validate(base | fields)


_memories = st.lists(
    st.builds(
        lambda kind, pinned, importance, age, used, idle, content, sessions, expiry: (kind, {
            "pinned": pinned, "importance": importance, "created_at": NOW - timedelta(days=age), "access_count": used,
            "accessed_at": None if idle is None else NOW - timedelta(days=idle), "content": content,
            "source_sessions": sessions, "expires_at": None if expiry is None else NOW + timedelta(hours=expiry),
        }),
        st.sampled_from(list(MemoryType)), st.booleans(), st.integers(1, 10), st.integers(1, 400), st.integers(0, 5),
        st.none() | st.integers(0, 400), st.sampled_from(["tea", "coffee", "room 4", "room 5"]),
        st.lists(st.sampled_from("abcd"), unique=True), st.none() | st.integers(-5, 5),
    ),
    max_size=12,
).map(lambda made: [memory(f"m{index}", kind, **fields) for index, (kind, fields) in enumerate(made)])  # fmt: skip


@given(_memories, st.integers(1, 400), st.integers(1, 400), st.integers(0, 12))
def test_forgetting_spares_pinned_and_open(memories: Sequence[Memory], age: int, idle: int, keep: int) -> None:
    """What is pinned and what is still to be done stays; without a limit nothing goes; a wider one forgets no more."""
    request = JobRequest(max_age_days=age, inactive_days=idle, keep_top=keep)
    gone = set(forgettings(memories, request, NOW).removed)
    spared = {one.id for one in memories if one.pinned or one.type is MemoryType.PROSPECTIVE}
    assert not gone & spared
    assert not forgettings(memories, JobRequest(), NOW).removed
    wider = request.model_copy(update={"max_age_days": age + 30, "inactive_days": idle + 30, "keep_top": keep + 1})
    assert set(forgettings(memories, wider, NOW).removed) <= gone


@given(_memories, st.integers(0, 6))
def test_keep_top_keeps_the_best(memories: Sequence[Memory], keep: int) -> None:
    """No type falls below what is to be kept of it, and none that goes is worth more than one that stays."""
    gone = set(forgettings(memories, JobRequest(keep_top=keep), NOW).removed)
    for kind in MemoryType:
        group = [one for one in memories if one.type is kind]
        left = [one for one in group if one.id not in gone]
        assert len(left) >= min(keep, len(group))
        lost = [one.importance for one in group if one.id in gone]
        unpinned = [one.importance for one in left if not one.pinned]
        if lost and len(left) > keep - 1 and keep and kind is not MemoryType.PROSPECTIVE and unpinned:
            assert min(unpinned) >= max(lost)


@given(_memories)
def test_expiry_takes_what_is_past_and_not_pinned(memories: Sequence[Memory]) -> None:
    """All of what has expired goes, nothing else, and no pinned one."""
    gone = set(expiries(memories, JobRequest(), NOW).removed)
    assert gone == {one.id for one in memories if one.expires_at and one.expires_at <= NOW and not one.pinned}


@given(_memories, st.floats(0.5, 1.0), st.data())
def test_compaction_loses_no_evidence(memories: Sequence[Memory], cosine: float, data: st.DataObject) -> None:
    """What is merged away leaves its evidence behind; no pinned memory goes; other words stay apart."""
    ids = [one.id for one in memories]
    likeness = {one: [(other, data.draw(st.floats(0.5, 1.0))) for other in ids] for one in ids}
    plan = compactions(memories, likeness, JobRequest(similarity=cosine), NOW)
    by_id = {one.id: one for one in memories}
    assert not set(plan.removed) & set(plan.changed)
    assert not any(by_id[one].pinned for one in plan.removed)
    moved = sum(fields["evidence_count"] - by_id[one].evidence_count for one, fields in plan.changed.items())
    assert moved == sum(by_id[one].evidence_count for one in plan.removed)
    kept_texts = {by_id[one].content for one in plan.changed}
    assert {by_id[one].content for one in plan.removed} <= kept_texts


@given(_memories)
def test_promotion_needs_sessions(memories: Sequence[Memory]) -> None:
    """A fact is derived from events of enough sessions, with all of their evidence, and links to each."""
    for made in promotions(memories, JobRequest(), NOW).made:
        sources = [one for one in memories if one.id in made.of]
        assert len({session for one in sources for session in one.source_sessions}) >= 3
        assert {link.id for link in made.draft.links} == set(made.of)
        assert getattr(made.draft, "evidence_count", 0) == sum(one.evidence_count for one in sources)


def test_a_promoted_event_is_not_promoted_again() -> None:
    """Once a fact is derived from an event, the job leaves both alone."""
    seen = memory("e", content="tea at four", source_sessions=["a", "b", "c"])
    fact = memory("f", "semantic", content="tea at four", links=[{"type": "derived_from", "id": "e"}])
    assert promotions([seen], JobRequest(), NOW).made
    assert not promotions([seen, fact], JobRequest(), NOW).ids


@pytest.mark.parametrize(("counts", "seen"), [([1, 1], False), ([1, 1, 1], True), ([3], True)])
def test_an_intention_that_comes_back_is_shown_to_all(counts: list[int], seen: bool) -> None:  # noqa: FBT001 - the expectation
    """An intention that was stated three times, in one session or in several, is no session's own any more."""
    todos = [
        memory(f"p{index}", "prospective", content="back up", visibility="session", session_id=f"s{index}",
               evidence_count=count)
        for index, count in enumerate(counts)
    ]  # fmt: skip
    plan = promotions(todos, JobRequest(), NOW)
    assert bool(plan.changed) is seen
