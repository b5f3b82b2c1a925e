"""Which turns leave, and how far a thread is relieved: values alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.live.eviction import USE_ORDER, ThreadLimits, ThreadSize, eviction_rank, flush_goal
from memtypes.live.thread_policy import Eviction, EvictionPolicy
from memtypes.live.turns import Turn
from tests.ingest.conversations.parts import NOW

PRIORITY = Eviction(policy=EvictionPolicy.PRIORITY, keywords=["Error"])


def place(role: str, content: str = "plain", index: int = 0) -> int:
    """Where a turn stands among those that may leave: the lowest leaves first."""
    rank = eviction_rank(PRIORITY, Turn(role, content, 1, NOW))
    assert rank is not None
    return int(rank) + index


@given(early=st.integers(0, 10**9), late=st.integers(0, 10**9))
def test_by_priority_the_role_decides_before_the_age(early: int, late: int) -> None:
    """What tools said leaves first, then what was answered, or said in a role of the caller's own, then the user's."""
    assert place("tool", index=late) < place("assistant", index=early)
    assert place("reviewer") == place("assistant")
    assert place("assistant", index=late) < place("user", index=early)


@given(role=st.sampled_from(["tool", "assistant", "user"]), late=st.integers(0, 10**9))
def test_by_priority_a_keyword_decides_before_the_role(role: str, late: int) -> None:
    """A turn that holds one, in any case of letters, leaves after all that hold none."""
    assert place("user", index=late) < place(role, "the ERROR was ours")


@pytest.mark.parametrize(
    ("policy", "ranks"),
    [
        (EvictionPolicy.FIFO, ("0", "0", None)),
        (EvictionPolicy.LRU, (USE_ORDER, USE_ORDER, None)),
        (EvictionPolicy.PRIORITY, (str(2 * 2**40), None, None)),
    ],
)
def test_what_never_leaves(policy: EvictionPolicy, ranks: tuple[str | None, ...]) -> None:
    """A pinned turn by no policy; one of the system not by priority."""
    turns = (Turn("user", "a", 1, NOW), Turn("system", "b", 1, NOW), Turn("tool", "c", 1, NOW, pinned=True))
    assert tuple(eviction_rank(Eviction(policy=policy), turn) for turn in turns) == ranks


@pytest.mark.parametrize(
    ("tokens", "messages", "force", "goal"),
    [
        (1_000, 20, False, ThreadSize(500, 10)),
        (1_000, 20, True, ThreadSize(300, 4)),
        (1_000, None, False, ThreadSize(500, 7)),
        (None, 20, False, ThreadSize(600, 10)),
        (None, None, False, ThreadSize(300, 7)),
        (None, None, True, ThreadSize(300, 4)),
        (400, 2, True, ThreadSize(200, 1)),
    ],
)
def test_how_much_is_to_be_left(tokens: int | None, messages: int | None, force: bool, goal: ThreadSize) -> None:  # noqa: FBT001 - a case
    """Half of each limit; of what is there, where nothing limits it or a flush is forced. Odd messages round up."""
    assert flush_goal(ThreadSize(600, 7), ThreadLimits(tokens, messages, 50), 0.5, force=force) == goal
