"""Which turns are evicted or flushed from a thread, by its limits and its policy. Without I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtypes.live.thread_policy import Eviction, EvictionPolicy, Flush, FlushStrategy
from memtypes.live.turns import Turn

USE_ORDER = ""
"""Used in place of a rank when the least recently used turn is evicted first."""

_SPAN = 2**40
"""More than the number of turns in any thread, so that a rank outweighs every index."""

_ROLE_RANKS: Mapping[str, int] = {"tool": 0, "assistant": 1, "user": 2}


@dataclass(frozen=True, slots=True)
class ThreadLimits:
    """Maximum numbers of tokens, messages and stored turns of a thread; None means no limit."""

    tokens: int | None
    messages: int | None
    turns: int

    @property
    def count(self) -> int:
        """How many turns a thread may have: the smaller of the limits of messages and of stored turns."""
        return self.turns if self.messages is None else min(self.messages, self.turns)


@dataclass(frozen=True, slots=True)
class ThreadSize:
    """A number of tokens and of messages: those that a thread has, or those that a flush may leave in it."""

    tokens: int
    messages: int

    def within(self, goal: ThreadSize) -> bool:
        """Whether neither tokens nor messages exceed those of `goal`."""
        return self.tokens <= goal.tokens and self.messages <= goal.messages


def eviction_rank(eviction: Eviction, turn: Turn) -> str | None:
    """Rank by which a turn is evicted; it is stored with the turn, and None means never.

    USE_ORDER: the least recently used goes first. Else the turn goes first whose rank plus index is lowest.
    """
    if turn.pinned:
        return None
    if eviction.policy is EvictionPolicy.LRU:
        return USE_ORDER
    if eviction.policy is EvictionPolicy.FIFO:
        return "0"
    if turn.role == "system":
        return None
    text = turn.content.lower()
    has_keyword = any(keyword.lower() in text for keyword in eviction.keywords)
    return str((_ROLE_RANKS.get(turn.role, 1) + (10 if has_keyword else 0)) * _SPAN)


def flush_due(tokens: int, messages: int, limits: ThreadLimits, threshold: float) -> bool:
    """Whether a thread needs a flush: its tokens or messages have reached `threshold` times their limit."""
    too_long = limits.tokens is not None and tokens >= threshold * limits.tokens
    return too_long or messages >= threshold * limits.count


def flush_goal(size: ThreadSize, limits: ThreadLimits, target: float, *, force: bool) -> ThreadSize:
    """Tokens and messages that may be left after a flush: the share `target` of each limit.

    force: flush even within the limits, so that at most the share `target` of the present size is left.
    """
    tokens = size.tokens if limits.tokens is None else math.floor(target * limits.tokens)
    messages = math.floor(target * limits.count)
    if force:
        tokens = min(tokens, math.floor(target * size.tokens))
        messages = min(messages, math.ceil(target * size.messages))
    return ThreadSize(tokens, messages)


def turns_to_flush(flush: Flush, turns: Sequence[Turn], used: Mapping[int, int], goal: ThreadSize) -> list[Turn]:
    """The turns that a flush removes so that at most `goal` is left, sorted by index.

    The strategy decides which go first; turns that must stay, such as pinned ones, are never among them. turns: oldest
    first. used: order of last use, by turn index; higher is later.
    """
    size = ThreadSize(sum(turn.tokens for turn in turns), len(turns))
    candidates = _candidates(flush, turns, used)
    hybrid = flush.strategy is FlushStrategy.HYBRID_SUMMARY
    minimum = math.floor(flush.oldest * len(candidates)) if hybrid else 0
    selected: list[Turn] = []
    for turn in candidates:
        if size.within(goal) and len(selected) >= minimum:
            break
        selected.append(turn)
        size = ThreadSize(size.tokens - turn.tokens, size.messages - 1)
    return sorted(selected, key=lambda turn: turn.index)


def _candidates(flush: Flush, turns: Sequence[Turn], used: Mapping[int, int]) -> list[Turn]:
    """The turns that may be flushed, in the strategy's order: no pinned or system turns, and not the newest turn."""
    first, last = flush.protected
    free = [turn for turn in turns[first : max(len(turns) - last, 0)] if not turn.pinned and turn.role != "system"]
    if flush.strategy in (FlushStrategy.HYBRID_SUMMARY, FlushStrategy.SIMPLE_FIFO):
        return free
    by_use = sorted(free, key=lambda turn: (used.get(turn.index, -1), turn.index))
    if flush.strategy is FlushStrategy.LRU:
        return by_use
    # Large turns that were not used for long first: tokens times the number of turns used since.
    weights = {turn.index: turn.tokens * (len(by_use) - place) for place, turn in enumerate(by_use)}
    return sorted(by_use, key=lambda turn: (-weights[turn.index], turn.index))
