"""Relieves a thread under its lock: chooses, summarises and takes out in one change. Keeps nothing of what left."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ingest.conversations.planning import Plan
from ingest.conversations.requests import FlushAsk, Flushed
from ingest.conversations.rules import Rules, within
from ingest.conversations.summary import RuleSummariser, Summariser
from memtypes.live.turns import Turn
from memtypes.model.errors import Overloaded, RemembrancerError
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, to_utc
from memtypes.ports.locks import LockRequest, Locks
from memtypes.ports.threads import Removal, Thread, ThreadContent, ThreadStore
from memtypes.ports.tokenizer import Tokenizer

_TRIES = 5
"""How often a flush chooses again, when turns it chose left meanwhile."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Flusher:
    """Takes turns out of threads as their policies say."""

    store: ThreadStore
    rules: Rules
    summariser: Summariser
    tokenizer: Tokenizer
    locks: Locks
    clock: Clock

    async def flush(self, scope: Scope, thread_id: str, ask: FlushAsk) -> Flushed:
        """What left, or for a dry run would leave. Raises NotFound, Overloaded, LockLost and Unavailable."""
        if ask.dry_run:
            return await self._flushed(scope, thread_id, ask)
        return await self._under_lock(scope, thread_id, ask, wait_s=10.0)

    async def relieve(self, scope: Scope, thread_id: str) -> int:
        """How many left at the threshold.

        0 while another flushes it, and where it fails: that must not fail the turn, which is kept already.
        """
        try:
            return (await self._under_lock(scope, thread_id, FlushAsk(), wait_s=0.0)).flushed
        except Overloaded:
            _log.debug("another flushes this thread")
        except RemembrancerError as error:
            _log.warning("a thread is not flushed yet: %s", type(error).__name__)
        return 0

    async def _under_lock(self, scope: Scope, thread_id: str, ask: FlushAsk, wait_s: float) -> Flushed:
        policy = self.rules.of(await self.store.look(scope, thread_id))
        lock = LockRequest(f"flush {thread_id}", scope, ttl_s=policy.locks.flush, wait_s=wait_s)
        async with self.locks.held(lock):
            with within(policy.locks.flush, "flush"):
                return await self._flushed(scope, thread_id, ask)

    async def _flushed(self, scope: Scope, thread_id: str, ask: FlushAsk) -> Flushed:
        for tried in range(_TRIES):
            content = await self.store.read(scope, thread_id)
            before, plan = content.thread.tokens, self._plan(content.thread, ask)
            leaving = plan.leaving(content)
            if not leaving:
                return Flushed(0, before, before)
            # Once: while a language model is asked again and again the thread would only change again.
            summariser = self.summariser if plan.flush.llm and tried == 0 else RuleSummariser(self.tokenizer)
            removal = await self._removal(plan, content, leaving, summariser)
            if ask.dry_run or await self.store.remove(scope, removal):
                return Flushed(len(leaving), before, _after(content, leaving, removal), removal.summary)
        raise Overloaded("the thread changes faster than it can be flushed")

    def _plan(self, thread: Thread, ask: FlushAsk) -> Plan:
        policy = self.rules.of(thread)
        flush = policy.flush.model_copy(update={"strategy": ask.strategy or policy.flush.strategy})
        return Plan(flush, self.rules.limits(policy), ask.force)

    async def _removal(
        self, plan: Plan, content: ThreadContent, leaving: list[Turn], summariser: Summariser
    ) -> Removal:
        thread, indices = content.thread, tuple(turn.index for turn in leaving)
        now = to_utc(self.clock())
        if not plan.summarises:
            return Removal(thread.id, indices, now)
        text = await summariser.summary(thread.summary, leaving, plan.summary_room(content, leaving))
        tokenizer = self.rules.tokenizer(self.rules.of(thread), self.tokenizer)
        return Removal(thread.id, indices, now, text, tokenizer.count(text))


def _after(content: ThreadContent, leaving: list[Turn], removal: Removal) -> int:
    """Tokens of the thread when `leaving` has left and the new summary stands in the place of the old one."""
    grown = 0 if removal.summary is None else removal.summary_tokens - content.thread.summary_tokens
    return content.thread.tokens - sum(turn.tokens for turn in leaving) + grown
