"""Flushes threads (stored conversations), that is, removes old turns so that a thread stays within
its policy's limits.

A flush holds the thread's lock, selects turns, writes a summary if the policy asks for one, and
removes the turns in one transaction. The store queues the removed turns;
`ingest.conversations.evicted_turns` stores them as memories.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ingest.conversations.policies import PolicyLookup, time_limit
from ingest.conversations.summary import Summariser, SummaryRequest, summary_by_rule
from memtypes.live.eviction import ThreadLimits, ThreadSize, flush_due, flush_goal, turns_to_flush
from memtypes.live.thread_policy import Eviction, Flush, FlushStrategy
from memtypes.live.turns import Turn
from memtypes.model.errors import Overloaded, RemembrancerError
from memtypes.model.memory import Flag, StrictModel
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, to_utc
from memtypes.ports.encoders import Tokenizer
from memtypes.ports.locks import LockRequest, Locks
from memtypes.ports.threads import Removal, ThreadContent, ThreadStore

_ATTEMPTS = 5
"""Maximum attempts of a flush. An attempt fails if another caller has removed some of the selected
turns meanwhile.
"""

_SUMMARY_SHARE = 4
"""A summary has at most a quarter of the tokens that a flush leaves, so that it does not fill the
space it freed.
"""

_SENTENCE = 30
"""Tokens that every flush may add to a summary, so that a sentence fits in even if few short turns
are flushed.
"""

_log = logging.getLogger(__name__)


class FlushRequest(StrictModel):
    """Options for flushing a thread.

    strategy: used instead of the strategy in the thread's policy. dry_run: report what a flush
    would remove, and change nothing. force: flush even if the thread is below the threshold of its
    policy.
    """

    strategy: FlushStrategy | None = None
    dry_run: Flag = False
    force: Flag = False


@dataclass(frozen=True, slots=True)
class FlushResult:
    """Result of flushing a thread.

    flushed: number of turns removed, or that a dry run would remove. summary: the thread's new
    summary, if any. memory_ids: of the memories that store the turns. version: of the thread right
    after turns were removed, else 0.
    """

    flushed: int
    tokens_before: int
    tokens_after: int
    summary: str | None = None
    memory_ids: tuple[str, ...] = ()
    version: int = 0


@dataclass(slots=True)
class ThreadCounts:
    """Counts of changes of threads in this process; the field names are metric labels.

    turns, tokens: appended turns and their tokens. evicted: turns removed to make room for a new
    turn. flushes: flushes that removed turns. flushed_tokens: tokens of the turns that they
    removed, less what their summaries added.
    """

    turns: int = 0
    tokens: int = 0
    evicted: int = 0
    flushes: int = 0
    flushed_turns: int = 0
    flushed_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Flusher:
    """Removes old turns from threads, according to the flush settings (such as threshold) of their
    policies.
    """

    store: ThreadStore
    policies: PolicyLookup
    summarise: Summariser
    tokenizer: Tokenizer
    locks: Locks
    clock: Clock
    counts: ThreadCounts = field(default_factory=ThreadCounts)

    async def flush(self, scope: Scope, thread_id: str, request: FlushRequest) -> FlushResult:
        """Remove old turns from the thread and return how many; a dry run only reports what would
        be removed.

        Raises NotFound, Overloaded if other callers hold its lock or keep changing it, LockLost,
        and Unavailable if the store does not answer or the flush takes longer than the policy
        allows.
        """
        if request.dry_run:
            return await self._flush(scope, thread_id, request)
        return await self._flush_locked(scope, thread_id, request, wait_s=10.0)

    async def try_flush(self, scope: Scope, thread_id: str) -> FlushResult:
        """Remove old turns from the thread if it has reached the flush threshold of its policy;
        return how many.

        Does nothing if another caller is doing this for the thread. Errors are logged, not raised,
        because this is called after a turn was appended, and that has already succeeded.
        """
        try:
            return await self._flush_locked(scope, thread_id, FlushRequest(), wait_s=0.0)
        except Overloaded:
            _log.debug("another caller is flushing this thread")
        except RemembrancerError as error:
            _log.warning(
                "a thread was not flushed; its next append tries again: %s", type(error).__name__
            )
        return FlushResult(0, 0, 0)

    async def _flush_locked(
        self, scope: Scope, thread_id: str, request: FlushRequest, wait_s: float
    ) -> FlushResult:
        lock_s = self.policies.of_resource(
            (await self.store.get(scope, thread_id)).resource
        ).locks.flush
        lock = LockRequest(f"flush {thread_id}", scope, ttl_s=lock_s, wait_s=wait_s)
        async with self.locks.held(lock):
            with time_limit(lock_s, "flush"):
                flushed = await self._flush(scope, thread_id, request)
        if flushed.flushed:
            self.counts.flushes += 1
            self.counts.flushed_turns += flushed.flushed
            self.counts.flushed_tokens += flushed.tokens_before - flushed.tokens_after
        return flushed

    async def _flush(self, scope: Scope, thread_id: str, request: FlushRequest) -> FlushResult:
        for attempt in range(_ATTEMPTS):
            content = await self.store.read(scope, thread_id)
            thread = content.thread
            policy = self.policies.of_resource(content.thread.resource)
            settings = policy.flush.model_copy(
                update={"strategy": request.strategy or policy.flush.strategy}
            )
            limits = self.policies.limits(policy)
            turns = _selected(content, settings, policy.eviction, limits, force=request.force)
            if not turns:
                return FlushResult(0, thread.tokens, thread.tokens)
            leaving = dict.fromkeys(turn.index for turn in turns)
            removal = Removal(thread_id, tuple(leaving), to_utc(self.clock()))
            if settings.strategy is FlushStrategy.HYBRID_SUMMARY:
                # A language model is asked once: while it answers, the thread may change again.
                summarise = self.summarise if settings.llm and attempt == 0 else summary_by_rule
                tokenizer = self.policies.tokenizer(policy, self.tokenizer)
                staying = [turn for turn in content.turns if turn.index not in leaving]
                limit = _summary_limit(content, settings, limits, turns)
                summary = await summarise(
                    SummaryRequest(thread.summary, turns, staying, limit, tokenizer)
                )
                removal = replace(removal, summary=summary, summary_tokens=tokenizer.count(summary))
            version = 0 if request.dry_run else await self.store.remove(scope, removal)
            if request.dry_run or version:
                added = (
                    0 if removal.summary is None else removal.summary_tokens - thread.summary_tokens
                )
                tokens_after = thread.tokens - sum(turn.tokens for turn in turns) + added
                return FlushResult(
                    len(turns), thread.tokens, tokens_after, removal.summary, version=version
                )
        raise Overloaded(f"the thread changed during {_ATTEMPTS} attempts to flush it; try again")


def _selected(
    content: ThreadContent,
    settings: Flush,
    eviction: Eviction,
    limits: ThreadLimits,
    *,
    force: bool,
) -> list[Turn]:
    """The turns to flush, oldest first; empty if the thread is below the threshold and `force` is
    not set.
    """
    thread = content.thread
    if not force and not flush_due(thread.tokens, thread.turns, limits, settings.threshold):
        return []
    goal = flush_goal(ThreadSize(thread.tokens, thread.turns), limits, settings.target, force=force)
    reserved = thread.summary_tokens
    if settings.strategy is FlushStrategy.HYBRID_SUMMARY:
        reserved = max(reserved, min(settings.summary_tokens, goal.tokens // _SUMMARY_SHARE))
    goal = ThreadSize(goal.tokens - reserved, goal.messages)
    return turns_to_flush(settings, eviction, content.turns, content.used, goal)


def _summary_limit(
    content: ThreadContent, settings: Flush, limits: ThreadLimits, turns: Sequence[Turn]
) -> int:
    """Maximum tokens of the new summary, which replaces the flushed `turns` and the old summary.

    The tokens of the old summary and half of those of `turns`, at least enough for a sentence, and
    at most the policy's limit. If the thread has a token limit, a summary has at most a quarter of
    the tokens that a flush should leave, and it makes the thread no longer than that, or than it
    was.
    """
    old_tokens = content.thread.summary_tokens
    removed_tokens = sum(turn.tokens for turn in turns)
    limit = min(settings.summary_tokens, old_tokens + max(removed_tokens // 2, _SENTENCE))
    if limits.tokens is None:
        return limit
    goal = int(settings.target * limits.tokens)
    staying = content.thread.tokens - old_tokens - removed_tokens
    return min(
        limit, max(goal // _SUMMARY_SHARE, 1), max(old_tokens + removed_tokens, goal - staying)
    )
