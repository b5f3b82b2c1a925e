"""What a flush takes and what it may say of that: pure, over what a thread holds and what its policy allows."""

from __future__ import annotations

from dataclasses import dataclass

from memtypes.live.eviction import ThreadLimits, ThreadSize, chosen, flush_due, flush_goal
from memtypes.live.thread_policy import Flush, FlushStrategy
from memtypes.live.turns import Turn
from memtypes.ports.threads import ThreadContent

_SUMMARY_SHARE = 4
"""A summary has at most this part of what is to be left: it must not fill the room that a flush makes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A flush of one thread. flush: with the strategy that is asked for. force: also below the threshold."""

    flush: Flush
    limits: ThreadLimits
    force: bool = False

    @property
    def summarises(self) -> bool:
        """Whether a summary stands for what leaves."""
        return self.flush.strategy is FlushStrategy.HYBRID_SUMMARY

    @property
    def bounded(self) -> bool:
        """Whether the thread has a limit that it could come near to."""
        return self.limits.tokens is not None or self.limits.messages is not None

    def leaving(self, content: ThreadContent) -> list[Turn]:
        """The turns that leave, oldest first; none below the threshold."""
        thread = content.thread
        due = flush_due(thread.tokens, thread.turns, self.limits, self.flush.threshold)
        if self.bounded and not self.force and not due:
            return []
        load, force = ThreadSize(thread.tokens, thread.turns), self.force or not self.bounded
        goal = flush_goal(load, self.limits, self.flush.target, force=force)
        summary = min(self.flush.summary_tokens, goal.tokens // _SUMMARY_SHARE) if self.summarises else 0
        taken = max(summary, thread.summary_tokens)
        return chosen(self.flush, content.turns, content.used, ThreadSize(goal.tokens - taken, goal.messages))

    def summary_room(self, content: ThreadContent, leaving: list[Turn]) -> int:
        """Tokens that the summary of what leaves may have: at most half of what it stands for."""
        freed = sum(turn.tokens for turn in leaving) + content.thread.summary_tokens
        room = min(self.flush.summary_tokens, freed // 2)
        if self.limits.tokens is None:
            return room
        return min(room, max(int(self.flush.target * self.limits.tokens) // _SUMMARY_SHARE, 1))
