"""Which turns of a conversation thread are evicted or flushed (moved to long-term memory)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.live.eviction import (
    USE_ORDER,
    ThreadLimits,
    ThreadSize,
    eviction_rank,
    flush_due,
    flush_goal,
    turns_to_flush,
)
from memtypes.live.thread_policy import Eviction, EvictionPolicy, Flush, FlushStrategy
from memtypes.live.turns import Turn

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRIORITY = Eviction(policy=EvictionPolicy.PRIORITY, keywords=["Error"])


def position(role: str, content: str = "plain", index: int = 0) -> int:
    """Position of a turn in the eviction order; the lowest is evicted first."""
    rank = eviction_rank(PRIORITY, Turn(role, content, 1, NOW))
    assert rank is not None
    return int(rank) + index


def turns_of(sizes: list[int]) -> list[Turn]:
    """User turns with the given numbers of tokens, oldest first."""
    return [
        Turn("user", f"turn {index}.", size, NOW, index=index) for index, size in enumerate(sizes)
    ]


@given(early=st.integers(0, 10**9), late=st.integers(0, 10**9))
def test_priority_evicts_tools_then_assistants_then_users(early: int, late: int) -> None:
    """With policy priority, a turn's role counts before its age. An unknown role ranks like
    `assistant`.
    """
    assert position("tool", index=late) < position("assistant", index=early)
    assert position("reviewer") == position("assistant")
    assert position("assistant", index=late) < position("user", index=early)


@given(role=st.sampled_from(["tool", "assistant", "user"]), late=st.integers(0, 10**9))
def test_priority_evicts_turns_with_a_keyword_last(role: str, late: int) -> None:
    """With policy priority, turns that contain one of its keywords, in any case, are evicted after
    all others.
    """
    assert position("user", index=late) < position(role, "the ERROR was ours")


@pytest.mark.parametrize(
    ("policy", "ranks"),
    [
        (EvictionPolicy.FIFO, ("0", "0", None)),
        (EvictionPolicy.LRU, (USE_ORDER, USE_ORDER, None)),
        (EvictionPolicy.PRIORITY, (str(2 * 2**40), str(2 * 2**40), None)),
    ],
)
def test_pinned_turns_are_never_evicted(
    policy: EvictionPolicy, ranks: tuple[str | None, ...]
) -> None:
    """Pinned turns have no rank in any policy's eviction order. With policy priority, system turns
    rank like those of the user.
    """
    turns = (
        Turn("user", "a", 1, NOW),
        Turn("system", "b", 1, NOW),
        Turn("tool", "c", 1, NOW, pinned=True),
    )
    assert tuple(eviction_rank(Eviction(policy=policy), turn) for turn in turns) == ranks


def test_a_flush_is_due_exactly_at_the_threshold() -> None:
    limits = ThreadLimits(2_000, None, 50)
    assert [flush_due(tokens, 1, limits, 0.8) for tokens in (1_500, 1_599, 1_600)] == [
        False,
        False,
        True,
    ]
    assert [flush_due(1, messages, limits, 0.8) for messages in (39, 40)] == [False, True]
    assert [flush_due(1, messages, ThreadLimits(None, 30, 50), 0.8) for messages in (23, 24)] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("tokens", "messages", "force", "goal"),
    [
        (1_000, 20, False, ThreadSize(500, 10)),
        (1_000, 20, True, ThreadSize(300, 4)),
        (1_000, None, False, ThreadSize(500, 25)),
        (None, 20, False, ThreadSize(600, 10)),
        (None, None, False, ThreadSize(600, 25)),
        (None, 80, False, ThreadSize(600, 25)),
        (None, None, True, ThreadSize(300, 4)),
        (400, 2, True, ThreadSize(200, 1)),
    ],
)
def test_a_flush_leaves_the_target_share_of_each_limit(
    tokens: int | None,
    messages: int | None,
    force: bool,  # noqa: FBT001 - a case
    goal: ThreadSize,
) -> None:
    """A flush leaves half (the target) of each limit, and a forced flush also at most half of the
    present size.
    """
    limits = ThreadLimits(tokens, messages, 50)
    assert flush_goal(ThreadSize(600, 7), limits, 0.5, force=force) == goal


def test_lru_flushes_the_least_recently_used_turns() -> None:
    flush = Flush(strategy=FlushStrategy.LRU)
    used = {0: 9, 1: 1, 2: 2, 3: 3}
    selected = turns_to_flush(
        flush, Eviction(), turns_of([10, 10, 10, 10]), used, ThreadSize(20, 4)
    )
    assert [turn.index for turn in selected] == [1, 2]


def test_token_aware_lru_prefers_large_turns() -> None:
    """With strategy token_aware_lru, a flush takes one large turn instead of several small, less
    recently used ones.
    """
    flush = Flush(strategy=FlushStrategy.TOKEN_AWARE_LRU)
    used = {0: 9, 1: 1, 2: 2, 3: 3}
    selected = turns_to_flush(flush, Eviction(), turns_of([5, 5, 100, 5]), used, ThreadSize(50, 4))
    assert [turn.index for turn in selected] == [2]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=40),
    st.sampled_from(FlushStrategy),
    st.integers(0, 2_000),
)
def test_a_flush_reaches_its_goal_or_removes_every_turn_that_it_may_remove(
    sizes: list[int], strategy: FlushStrategy, goal: int
) -> None:
    """A flush takes distinct turns, in order, until its goal is reached or no turn is left that it
    may take.

    It may not take the newest turn and, with strategy hybrid_summary, the first.
    """
    turns = turns_of(sizes)
    flush = Flush(strategy=strategy)
    selected = turns_to_flush(flush, Eviction(), turns, {}, ThreadSize(goal, 1_000))
    indices = [turn.index for turn in selected]
    assert indices == sorted(set(indices))
    remaining = sum(sizes) - sum(turn.tokens for turn in selected)
    protected = 2 if strategy is FlushStrategy.HYBRID_SUMMARY else 1
    assert turns[-1] not in selected
    assert remaining <= goal or len(turns) - len(selected) <= protected


@pytest.mark.parametrize("strategy", FlushStrategy)
def test_a_flush_takes_tool_output_and_leaves_turns_with_a_keyword(strategy: FlushStrategy) -> None:
    """With policy priority, a flush stops above its goal rather than take a turn with a keyword
    while another turn stays.
    """
    turns = [
        Turn("system", "be brief", 5, NOW, index=0),
        Turn("user", "an error of the disk", 40, NOW, index=1),
        Turn("user", "hello", 5, NOW, index=2),
        Turn("tool", "a listing", 40, NOW, index=3),
        Turn("assistant", "an Error again", 40, NOW, index=4),
        Turn("tool", "another listing", 40, NOW, index=5),
    ]
    flush = Flush(strategy=strategy, oldest=1.0)
    selected = turns_to_flush(flush, PRIORITY, turns, {}, ThreadSize(10, 1_000))
    assert [turn.index for turn in selected] == [2, 3]


def test_a_flush_takes_older_system_turns_and_leaves_the_newest() -> None:
    turns = [Turn("system", f"rule {index}", 10, NOW, index=index) for index in range(5)]
    turns.append(Turn("user", "hello", 10, NOW, index=5))
    for eviction in (Eviction(), PRIORITY):
        selected = turns_to_flush(Flush(), eviction, turns, {}, ThreadSize(20, 1_000))
        assert [turn.index for turn in selected] == [0, 1, 2, 3]
