"""Which turns leave a thread: pure choices over its turns and the order in which they were last used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtypes.live.thread_policy import Eviction, EvictionPolicy, Flush, FlushStrategy
from memtypes.live.turns import Turn

USE_ORDER = ""
"""In place of a rank: the turn leaves when it is the one that was not used for longest."""

_SPAN = 2**40
"""More turns than a thread will ever have: a rank counts more than any index."""

_ROLE_RANKS: Mapping[str, int] = {"tool": 0, "assistant": 1, "user": 2}


@dataclass(frozen=True, slots=True)
class ThreadLimits:
    """What a thread may hold; None where it is not bounded."""

    tokens: int | None
    messages: int | None
    turns: int


def stays(turn: Turn) -> bool:
    """Whether `turn` never leaves in a flush."""
    return turn.pinned or turn.role == "system"


def eviction_rank(eviction: Eviction, turn: Turn) -> str | None:
    """By what the turn leaves: USE_ORDER, or the number to which its index is added, lowest first; None when never."""
    if turn.pinned:
        return None
    if eviction.policy is EvictionPolicy.LRU:
        return USE_ORDER
    if eviction.policy is EvictionPolicy.FIFO:
        return "0"
    if turn.role == "system":
        return None
    text = turn.content.lower()
    named = any(keyword.lower() in text for keyword in eviction.keywords)
    return str((_ROLE_RANKS.get(turn.role, 1) + (10 if named else 0)) * _SPAN)


def flush_due(tokens: int, messages: int, limits: ThreadLimits, threshold: float) -> bool:
    """Whether a thread has reached `threshold` of a limit."""
    full = [(tokens, limits.tokens), (messages, limits.messages)]
    return any(limit is not None and have >= threshold * limit for have, limit in full)


@dataclass(frozen=True, slots=True)
class ThreadSize:
    """What a thread holds or should hold at most."""

    tokens: int
    messages: int

    def within(self, other: ThreadSize) -> bool:
        """Whether neither is above the other's."""
        return self.tokens <= other.tokens and self.messages <= other.messages


def flush_goal(load: ThreadSize, limits: ThreadLimits, target: float, *, force: bool) -> ThreadSize:
    """What should be left: `target` of each limit; when forced, `target` of what is there if that is less.

    A thread without a limit keeps `target` of its tokens.
    """
    tokens = math.inf if limits.tokens is None else target * limits.tokens
    messages = math.inf if limits.messages is None else target * limits.messages
    if force or (limits.tokens is None and limits.messages is None):
        tokens = min(tokens, target * load.tokens)
    if force:
        messages = min(messages, math.ceil(target * load.messages))
    return ThreadSize(_whole(tokens, load.tokens), _whole(messages, load.messages))


def _whole(goal: float, most: int) -> int:
    return most if math.isinf(goal) else math.floor(goal)


def chosen(flush: Flush, turns: Sequence[Turn], used: Mapping[int, int], goal: ThreadSize) -> list[Turn]:
    """The turns that leave so that the rest is within `goal`, as far as may leave; oldest first.

    turns: oldest first. used: when each index was last used, higher is later.
    """
    load = ThreadSize(sum(turn.tokens for turn in turns), len(turns))
    leaving: list[Turn] = []
    least = _least(flush, turns)
    for turn in _order(flush, turns, used):
        if load.within(goal) and len(leaving) >= least:
            break
        leaving.append(turn)
        load = ThreadSize(load.tokens - turn.tokens, load.messages - 1)
    return sorted(leaving, key=lambda turn: turn.index)


def _least(flush: Flush, turns: Sequence[Turn]) -> int:
    """How many a hybrid flush summarises at least: the oldest share of those between first and last."""
    if flush.strategy is not FlushStrategy.HYBRID_SUMMARY:
        return 0
    return math.floor(flush.oldest * len(_middle(flush, turns)))


def _middle(flush: Flush, turns: Sequence[Turn]) -> list[Turn]:
    last = len(turns) - flush.keep_last
    return [turn for place, turn in enumerate(turns) if flush.keep_first <= place < last and not stays(turn)]


def _order(flush: Flush, turns: Sequence[Turn], used: Mapping[int, int]) -> list[Turn]:
    if flush.strategy is FlushStrategy.HYBRID_SUMMARY:
        return _middle(flush, turns)
    free = [turn for turn in turns if not stays(turn)]
    if flush.strategy is FlushStrategy.SIMPLE_FIFO:
        return free
    by_use = sorted(free, key=lambda turn: (used.get(turn.index, -1), turn.index))
    if flush.strategy is FlushStrategy.LRU:
        return by_use
    # Large and long unused first: tokens times how many others were used since.
    worth = {turn.index: turn.tokens * (len(by_use) - place) for place, turn in enumerate(by_use)}
    return sorted(by_use, key=lambda turn: (-worth[turn.index], turn.index))
