"""Chooses the turns to evict from a full thread, and those to remove in a flush, by its policy.
Does no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memtypes.live.thread_policy import Eviction, EvictionPolicy, Flush, FlushStrategy
from memtypes.live.turns import Turn

USE_ORDER = ""
"""Eviction rank of every turn in a thread with the policy `lru`: the store itself knows the order
of use.
"""

PINNED_SHARE = 0.8
"""Maximum share of each limit of a thread that its pinned turns may fill, so that others have room
beside them.
"""

# More than the number of turns in any thread, so that a turn's priority outweighs its index
_SPAN = 2**40

_ROLE_PRIORITIES: Mapping[str, int] = {"tool": 0, "assistant": 1, "user": 2, "system": 2}

_KEYWORD_PRIORITY = 10
"""What a keyword adds to a turn's priority. Turns below this have none."""


@dataclass(frozen=True, slots=True)
class ThreadLimits:
    """Limits of a thread, None for no limit. messages, turns: `max_messages` and `max_turns` of its
    policy.
    """

    tokens: int | None
    messages: int | None
    turns: int

    @property
    def count(self) -> int:
        """Maximum number of turns of the thread: the smaller of the two limits `messages` and
        `turns`.
        """
        return self.turns if self.messages is None else min(self.messages, self.turns)

    @property
    def most_pinned(self) -> ThreadLimits:
        """The limits of a thread's pinned turns. One turn that is not pinned always has a place."""
        tokens = None if self.tokens is None else math.floor(PINNED_SHARE * self.tokens)
        turns = min(math.floor(PINNED_SHARE * self.count), self.count - 1)
        return ThreadLimits(tokens, None, turns)


@dataclass(frozen=True, slots=True)
class ThreadSize:
    """A number of tokens and of messages: the size of a thread, or the size that a flush must
    reach.
    """

    tokens: int
    messages: int

    def within(self, goal: ThreadSize) -> bool:
        """Whether this size has at most the tokens and at most the messages of `goal`."""
        return self.tokens <= goal.tokens and self.messages <= goal.messages


def eviction_rank(eviction: Eviction, turn: Turn) -> str | None:
    """The rank that decides when `turn` is evicted relative to other turns; None for a turn that is
    never evicted.

    The rank is an integer as text, which the thread stores with the turn. The turn with the lowest
    sum of rank and index is evicted first. In a thread that evicts its least recently used turn
    first, every rank is USE_ORDER instead.
    """
    if turn.pinned:
        return None
    if eviction.policy is EvictionPolicy.LRU:
        return USE_ORDER
    if eviction.policy is EvictionPolicy.FIFO:
        return "0"
    return str(_priority(eviction, turn) * _SPAN)


def _priority(eviction: Eviction, turn: Turn) -> int:
    """How important the policy `priority` takes a turn to be: by its role, and above all by the
    keywords.
    """
    text = turn.content.lower()
    has_keyword = any(keyword.lower() in text for keyword in eviction.keywords)
    return _ROLE_PRIORITIES.get(turn.role, 1) + (_KEYWORD_PRIORITY if has_keyword else 0)


def flush_due(tokens: int, messages: int, limits: ThreadLimits, threshold: float) -> bool:
    """Whether a thread must be flushed: its tokens or messages reach the share `threshold` of their
    limit.
    """
    too_long = limits.tokens is not None and tokens >= threshold * limits.tokens
    return too_long or messages >= threshold * limits.count


def flush_goal(size: ThreadSize, limits: ThreadLimits, target: float, *, force: bool) -> ThreadSize:
    """Maximum size of a thread after a flush: `target` times each limit and, if `force`, times its
    present size.
    """
    tokens = size.tokens if limits.tokens is None else math.floor(target * limits.tokens)
    messages = math.floor(target * limits.count)
    if force:
        tokens = min(tokens, math.floor(target * size.tokens))
        messages = min(messages, math.ceil(target * size.messages))
    return ThreadSize(tokens, messages)


def turns_to_flush(
    flush: Flush,
    eviction: Eviction,
    turns: Sequence[Turn],
    used: Mapping[int, int],
    goal: ThreadSize,
) -> list[Turn]:
    """The turns that a flush removes from a thread so that its size is at most `goal`, sorted by
    index.

    The strategy of `flush` decides which turns go first. If turns are evicted by priority, turns of
    a lower priority go before all others, and turns with a keyword stay while any turn without one
    stays. Pinned turns, the newest system turn and those that `flush.protected` counts always stay.
    turns: all turns of the thread, oldest first. used: a number by turn index, which is higher the
    later the turn was last used.
    """
    first, last = flush.protected
    instructions = next((turn for turn in reversed(turns) if turn.role == "system"), None)
    unpinned = [turn for turn in turns if not turn.pinned and turn is not instructions]
    protected = {turn.index for turn in (*turns[:first], *turns[max(len(turns) - last, 0) :])}
    candidates = [turn for turn in unpinned if turn.index not in protected]
    if flush.strategy in (FlushStrategy.LRU, FlushStrategy.TOKEN_AWARE_LRU):
        candidates.sort(key=lambda turn: (used.get(turn.index, -1), turn.index))
    if flush.strategy is FlushStrategy.TOKEN_AWARE_LRU:
        # Large turns that were not used for long first: tokens times the number of turns used
        # since.
        weights = {
            turn.index: turn.tokens * (len(candidates) - position)
            for position, turn in enumerate(candidates)
        }
        candidates.sort(key=lambda turn: (-weights[turn.index], turn.index))
    if eviction.policy is EvictionPolicy.PRIORITY:
        priorities = {turn.index: _priority(eviction, turn) for turn in unpinned}
        # The order of the strategy remains among turns of the same priority.
        candidates.sort(key=lambda turn: priorities[turn.index])
        staying = [priorities[turn.index] for turn in unpinned if turn.index in protected]
        if min(staying, default=_KEYWORD_PRIORITY) < _KEYWORD_PRIORITY:
            candidates = [turn for turn in candidates if priorities[turn.index] < _KEYWORD_PRIORITY]
    hybrid = flush.strategy is FlushStrategy.HYBRID_SUMMARY
    minimum = math.floor(flush.oldest * len(candidates)) if hybrid else 0
    size = ThreadSize(sum(turn.tokens for turn in turns), len(turns))
    selected: list[Turn] = []
    for turn in candidates:
        if size.within(goal) and len(selected) >= minimum:
            break
        selected.append(turn)
        size = ThreadSize(size.tokens - turn.tokens, size.messages - 1)
    return sorted(selected, key=lambda turn: turn.index)
