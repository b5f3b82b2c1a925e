"""Properties of the plans of upkeep jobs for arbitrary memories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.duplicates import has_ended
from ingest.upkeep.planners import JobRequest, compactions, expiries, forgettings, promotions
from memtypes.model.memory import Memory, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.types import MEMORY_CLASSES

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def memory(memory_id: str, kind: str = "episodic", **fields: Any) -> Memory:
    """A memory with the given fields; all others have default values."""
    created = fields.pop("created_at", NOW - timedelta(days=1))
    base = {
        "id": memory_id,
        "type": kind,
        "tenant": "t",
        "namespace": "n",
        "content": f"text {memory_id}",
        "visibility": "namespace",
        "created_at": created,
        "updated_at": created,
        "valid_from": created,
        "content_hash": "h",
        "tokens": TokenCount(count=1, tokenizer="x"),
    }
    return MEMORY_CLASSES[MemoryType(kind)].model_validate(base | fields)


_memories = st.lists(
    st.builds(
        lambda kind, pinned, importance, age, used, idle, content, sessions, expiry: (
            kind,
            {
                "pinned": pinned,
                "importance": importance,
                "created_at": NOW - timedelta(days=age),
                "access_count": used,
                "accessed_at": None if idle is None else NOW - timedelta(days=idle),
                "content": content,
                "source_sessions": sessions,
                "expires_at": None if expiry is None else NOW + timedelta(hours=expiry),
            },
        ),
        st.sampled_from(list(MemoryType)),
        st.booleans(),
        st.integers(1, 10),
        st.integers(1, 400),
        st.integers(0, 5),
        st.none() | st.integers(0, 400),
        st.sampled_from(["tea", "coffee", "room 4", "room 5"]),
        st.lists(st.sampled_from("abcd"), unique=True),
        st.none() | st.integers(-5, 5),
    ),
    max_size=12,
).map(
    lambda drawn: [
        memory(f"m{index}", kind, **fields) for index, (kind, fields) in enumerate(drawn)
    ]
)


@given(_memories, st.integers(1, 400), st.integers(1, 400), st.integers(0, 12))
def test_forgetting_keeps_pinned_memories_and_intentions(
    memories: Sequence[Memory], age: int, idle: int, keep: int
) -> None:
    """A forget job never removes pinned memories and intentions (tasks).

    Without limits it removes nothing. Less strict limits never remove a memory that stricter limits
    keep.
    """
    request = JobRequest(max_age_days=age, inactive_days=idle, keep_top=keep)
    removed = set(forgettings(memories, request, NOW).changed)
    spared = {
        memory.id for memory in memories if memory.pinned or memory.type is MemoryType.PROSPECTIVE
    }
    assert not removed & spared
    assert not forgettings(memories, JobRequest(), NOW).changed
    wider = request.model_copy(
        update={"max_age_days": age + 30, "inactive_days": idle + 30, "keep_top": keep + 1}
    )
    assert set(forgettings(memories, wider, NOW).changed) <= removed


@given(_memories, st.integers(0, 6))
def test_keep_top_removes_the_least_important(memories: Sequence[Memory], keep: int) -> None:
    """A forget job with `keep_top` keeps at least that many memories of each type, the most
    important ones.
    """
    removed = set(forgettings(memories, JobRequest(keep_top=keep), NOW).changed)
    for kind in MemoryType:
        group = [
            memory for memory in memories if memory.type is kind and not has_ended(memory, NOW)
        ]
        remaining = [memory for memory in group if memory.id not in removed]
        assert len(remaining) >= min(keep, len(group))
        lost = [memory.importance for memory in group if memory.id in removed]
        unpinned = [memory.importance for memory in remaining if not memory.pinned]
        if (
            lost
            and len(remaining) > keep - 1
            and keep
            and kind is not MemoryType.PROSPECTIVE
            and unpinned
        ):
            assert min(unpinned) >= max(lost)


@given(_memories)
def test_expiry_removes_exactly_the_expired_unpinned_memories(memories: Sequence[Memory]) -> None:
    """Every expired memory is removed, except pinned memories."""
    removed = set(expiries(memories, JobRequest(), NOW).removed)
    assert removed == {
        memory.id
        for memory in memories
        if memory.expires_at and memory.expires_at <= NOW and not memory.pinned
    }


@given(_memories, st.floats(0.5, 1.0), st.data())
def test_compaction_preserves_evidence(
    memories: Sequence[Memory], cosine: float, data: st.DataObject
) -> None:
    """A memory into which others are merged gains their evidence counts (how often a statement was
    made).

    Pinned memories and memories with different texts are not merged.
    """
    ids = [memory.id for memory in memories]
    likeness = {
        memory_id: [(other, data.draw(st.floats(0.5, 1.0))) for other in ids] for memory_id in ids
    }
    plan = compactions(memories, likeness, JobRequest(similarity=cosine), NOW)
    by_id = {memory.id: memory for memory in memories}
    merged = {
        memory_id: fields["upkeep"]["into"]
        for memory_id, fields in plan.changed.items()
        if "state" in fields
    }
    assert not plan.removed
    assert not any(by_id[merged_id].pinned for merged_id in merged)
    moved = sum(
        fields["evidence_count"] - by_id[changed_id].evidence_count
        for changed_id, fields in plan.changed.items()
        if changed_id not in merged
    )
    assert moved == sum(by_id[merged_id].evidence_count for merged_id in merged)
    assert all(
        by_id[merged_id].content == by_id[best].content for merged_id, best in merged.items()
    )
    assert all(
        {"to": merged_id, "type": "reinforces", "strength": 1.0} in plan.changed[best]["links"]
        for merged_id, best in merged.items()
    )


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("The offset is -5.", "The offset is 5.", "semantic"),
        ("Pack it with tar -c.", "Pack it with tar -C.", "procedural"),
        ("Meet on Monday.", "Meet on Tuesday.", "semantic"),
        ("Deploy on port 80.", "Deploy on port 81.", "semantic"),
    ],
)
def test_compaction_does_not_merge_texts_that_differ_in_a_word(
    first: str, second: str, kind: str
) -> None:
    """Compaction never merges texts that differ in a sign, option, number or word, even if their
    vectors are equal.
    """
    pair = [memory("a", kind, content=first), memory("b", kind, content=second)]
    assert not compactions(pair, {"a": [("b", 1.0)]}, JobRequest(), NOW).changed


@given(_memories)
def test_promotion_needs_enough_sessions(memories: Sequence[Memory]) -> None:
    """A fact is promoted from events of at least three sessions. It links to them and adds up their
    evidence counts.
    """
    for promotion in promotions(memories, {}, JobRequest(), NOW).created:
        sources = [memory for memory in memories if memory.id in promotion.sources]
        assert len({session for memory in sources for session in memory.source_sessions}) >= 3
        assert {link.to for link in promotion.draft.links} == set(promotion.sources)
        assert getattr(promotion.draft, "evidence_count", 0) == sum(
            memory.evidence_count for memory in sources
        )


def test_a_promoted_event_is_not_promoted_again() -> None:
    promoted = memory("e", content="tea at four", source_sessions=["a", "b", "c"])
    fact = memory(
        "f", "semantic", content="tea at four", links=[{"type": "derived_from", "to": "e"}]
    )
    assert promotions([promoted], {}, JobRequest(), NOW).created
    assert not promotions([promoted, fact], {}, JobRequest(), NOW).reasons


def test_rewordings_in_three_sessions_are_promoted_to_one_fact() -> None:
    """Events that say the same in different words in three sessions are promoted to one fact.

    A similar event about another day of the week is not among its sources.
    """
    texts = [
        "Deploys on Friday go wrong.",
        "A deploy on Friday went wrong again.",
        "Friday again, the deploy went wrong.",
    ]
    events = [
        memory(f"m{index}", content=text, source_sessions=[f"s{index}"])
        for index, text in enumerate(texts)
    ]
    other = memory("x", content="Deploys on Monday go wrong.", source_sessions=["s9"])
    neighbours = {
        event.id: [(another.id, 0.9) for another in [*events, other] if another is not event]
        for event in [*events, other]
    }
    (promotion,) = promotions([*events, other], neighbours, JobRequest(), NOW).created
    assert set(promotion.sources) == {"m0", "m1", "m2"}
    assert promotion.reason == "said in 3 sessions"


@pytest.mark.parametrize("kind", ["episodic", "prospective"])
def test_what_sessions_said_for_themselves_alone_is_never_promoted(kind: str) -> None:
    """Nor does it count for what another session said to all."""
    private = [
        memory(
            f"p{session}",
            kind,
            content="back up",
            visibility="session",
            session_id=session,
            source_sessions=[session, "x", "y", "z"],
            access_count=9,
            evidence_count=9,
        )
        for session in "abcd"
    ]
    public = memory("e", content="back up", source_sessions=["a", "b"])
    assert not promotions([*private, public], {}, JobRequest(), NOW).reasons


def test_facts_that_a_forgotten_fact_replaced_are_forgotten_too() -> None:
    old = memory("old", "semantic", superseded_by="new", valid_to=NOW, accessed_at=NOW)
    new = memory("new", "semantic", created_at=NOW - timedelta(days=99))
    plan = forgettings([old, new], JobRequest(inactive_days=30), NOW)
    assert plan.changed.keys() == {"old", "new"}
    assert plan.reasons["new"] == "not used for 30 days"
