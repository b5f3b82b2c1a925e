"""What can be done with threads, whatever keeps them. Knows the port, the policies and a tokenizer."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import anyio

from memtypes.errors import InvalidRequest, NotFound, Overloaded, ReadOnly, RemembrancerError
from memtypes.locks import LockRequest, Locks
from memtypes.models.registry import Models
from memtypes.ports import Tokenizer
from memtypes.scope import Scope
from memtypes.threads.choosing import Limits, Load, chosen, eviction_rank, flush_due, flush_goal
from memtypes.threads.policy import EvictionPolicy, Mode, Policies, PolicyType, Strategy, ThreadPolicy
from memtypes.threads.ports import (
    Append,
    Content,
    Departure,
    NewThread,
    Removal,
    Replacement,
    Thread,
    ThreadKeeper,
    ThreadStore,
)
from memtypes.threads.privacy import redact
from memtypes.threads.summary import Summariser
from memtypes.threads.templates import rendered
from memtypes.threads.turns import NewTurn, Turn
from memtypes.times import Clock, rfc3339, to_utc

_PLAIN = ThreadPolicy()
_PIECE = 32
_REMEMBERED = 100_000
"""Threads whose resource is remembered."""

_TRIES = 5
"""How often a flush chooses again, when turns it chose left meanwhile."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ThreadParts:
    """What threads work with. summariser: of flushes that summarise."""

    store: ThreadStore
    keeper: ThreadKeeper
    tokenizer: Tokenizer
    summariser: Summariser
    locks: Locks
    clock: Clock
    models: Models
    policies: Policies = field(default_factory=Policies)


@dataclass(frozen=True, slots=True)
class Opening:
    """A thread to begin or to find. variables: what templates of keys read."""

    key: str | None = None
    parent_id: str | None = None
    resource: str | None = None
    agent_id: str | None = None
    initial_context: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """A thread of a resource. created: whether it began now. mode: the agent's."""

    thread: Thread
    created: bool
    resource: str | None = None
    mode: Mode = Mode.READ_WRITE


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a turn."""

    turn: Turn
    version: int
    flushed: int
    evicted: int


@dataclass(frozen=True, slots=True)
class FlushAsk:
    """How to flush. dry_run: only say what would leave. force: also below the threshold."""

    strategy: Strategy | None = None
    dry_run: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Flushed:
    """What left and what that came to."""

    flushed: int
    tokens_before: int
    tokens_after: int
    summary: str | None = None
    memory_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """Threads, oldest first. gap: an ancestor has expired."""

    threads: tuple[Content, ...]
    gap: bool
    cycle: bool = False


class Threads:
    """Raises NotFound, Conflict, InvalidRequest, ReadOnly and Unavailable."""

    def __init__(self, parts: ThreadParts) -> None:
        self.store = parts.store
        self._parts = parts
        self._resources: dict[tuple[str, str, str], str | None] = {}
        self._draining: WeakValueDictionary[tuple[str, str], anyio.Lock] = WeakValueDictionary()

    def resolves(self, opening: Opening) -> bool:
        """Whether `opening` asks for the references of an agent."""
        return opening.agent_id in self._parts.policies.agents and opening.resource is None and opening.key is None

    async def open(self, scope: Scope, opening: Opening) -> Opened:
        """The thread of a resource and key, begun if it is not there; one of its own where neither is given."""
        policy = self._named(opening.resource)
        template = opening.key or policy.key
        key = None if template is None else rendered(template, opening.variables)
        new = NewThread(
            str(uuid.uuid4()),
            round(policy.ttl),
            to_utc(self._parts.clock()),
            opening.parent_id,
            opening.resource,
            key,
            opening.agent_id,
            opening.initial_context,
            lru=policy.eviction.policy is EvictionPolicy.LRU,
        )
        thread_id = await self.store.create(scope, new)
        return Opened(await self.store.look(scope, thread_id), thread_id == new.thread_id, opening.resource)

    async def open_all(self, scope: Scope, opening: Opening) -> list[Opened]:
        """A thread for each reference of the agent; every key is rendered before any thread begins."""
        references = self._parts.policies.agents[opening.agent_id or ""].references()
        asked = []
        for one in references:
            template = one.key or self._named(one.id).key
            key = None if template is None else rendered(template, opening.variables)
            asked.append(Opening(key, opening.parent_id, one.id, opening.agent_id, opening.initial_context))
        opened = [await self.open(scope, one) for one in asked]
        return [
            Opened(found.thread, found.created, one.id, one.mode) for found, one in zip(opened, references, strict=True)
        ]

    async def say(self, scope: Scope, thread_id: str, new: NewTurn, expected: int | None) -> Said:
        """Append a turn within the limits; flush where the threshold is reached; keep what left."""
        resource = await self._resource(scope, thread_id)
        policy = self._parts.policies.threads.get(resource or "", _PLAIN)
        self._check_mode(resource, new.agent_id)
        turn, limits = self._turn(policy, new), self.limits(policy)
        if limits.tokens is not None and turn.tokens > limits.tokens:
            raise InvalidRequest(
                f"the turn has {turn.tokens} tokens, and the whole thread at most {limits.tokens}", path="content"
            )
        append = Append(thread_id, turn, eviction_rank(policy.eviction, turn), limits, expected)
        done = await self.store.append(scope, append)
        flushed = 0
        due = policy.type is not PolicyType.BUFFER
        if due and flush_due(done.tokens, done.turns, limits, policy.flush.threshold):
            flushed = (await self._flush_quietly(scope, thread_id)).flushed
        if done.evicted or flushed:
            await self.drain(scope)
        return Said(_at(turn, done.index), done.version, flushed, done.evicted)

    async def replace(self, scope: Scope, thread_id: str, turns: Sequence[NewTurn], expected: int | None) -> int:
        """The version after all turns were replaced; they must fit as they are."""
        policy = self._policy(await self.store.look(scope, thread_id))
        made = [self._turn(policy, one) for one in turns]
        limits = self.limits(policy)
        for have, limit, what in (
            (sum(turn.tokens for turn in made), limits.tokens, "tokens"),
            (len(made), limits.messages, "messages"),
            (len(made), limits.turns, "turns"),
        ):
            if limit is not None and have > limit:
                raise InvalidRequest(f"{have} {what} are more than the limit of {limit}", path="turns")
        ranked = [(turn, eviction_rank(policy.eviction, turn)) for turn in made]
        return await self.store.replace(scope, Replacement(thread_id, ranked, expected))

    async def chain(self, scope: Scope, thread_id: str) -> Chain:
        """The thread's ancestors that are still there and itself, with their turns."""
        own = await self.store.read(scope, thread_id)
        ancestors = await self.store.ancestors(scope, thread_id)
        found = []
        for one in ancestors:
            try:
                found.append(await self.store.read(scope, one))
            except NotFound:
                _log.debug("a chain has a gap: an ancestor has expired")
        return Chain((*found, own), gap=len(found) < len(ancestors))

    async def flush(self, scope: Scope, thread_id: str, ask: FlushAsk) -> Flushed:
        """Relieve the thread as its policy says, and keep what left."""
        if ask.dry_run:
            return await self._flushed(scope, thread_id, ask)
        ttl = self._policy(await self.store.look(scope, thread_id)).locks.flush
        async with self._parts.locks.held(LockRequest(f"flush {thread_id}", scope, ttl_s=ttl)):
            done = await self._flushed(scope, thread_id, ask)
        kept = await self.drain(scope)
        return Flushed(
            done.flushed, done.tokens_before, done.tokens_after, done.summary, tuple(kept.get(thread_id, ()))
        )

    async def clear(self, scope: Scope, thread_id: str, *, backup: bool) -> tuple[int, str | None]:
        """How many turns there were, and the backup's id."""
        backup_id = str(uuid.uuid4()) if backup else None
        return await self.store.clear(scope, thread_id, backup_id), backup_id

    async def drain(self, scope: Scope) -> dict[str, list[str]]:
        """Keep what left the threads of a namespace: memories' ids by thread. What can't be kept now waits."""
        kept: dict[str, list[str]] = {}
        lock = self._draining.setdefault((scope.tenant, scope.namespace), anyio.Lock())
        async with lock:
            try:
                while waiting := await self.store.departures(scope, _PIECE):
                    for departure in waiting:
                        kept.setdefault(departure.thread_id, []).extend(await self._keep(scope, departure))
            except RemembrancerError as error:
                _log.warning("what left a thread waits to be kept: %s", type(error).__name__)
        return kept

    async def drain_all(self) -> int:
        """How many memories were made of what had been left waiting."""
        scopes = [scope async for scope in self.store.waiting()]
        return sum([len(ids) for scope in scopes for ids in (await self.drain(scope)).values()])

    def policy_of(self, thread: Thread) -> ThreadPolicy:
        """The policy by which a thread is kept."""
        return self._policy(thread)

    def limits(self, policy: ThreadPolicy) -> Limits:
        """The limits of a policy; a share of a model's window is a limit of tokens."""
        tokens = policy.max_tokens
        if policy.max_context_ratio is not None and policy.model is not None:
            window = self._parts.models().find(policy.model).window
            share = None if window is None else int(policy.max_context_ratio * window)
            tokens = min(filter(None, (tokens, share)), default=None)
        return Limits(tokens, policy.max_messages, policy.max_turns)

    async def _keep(self, scope: Scope, departure: Departure) -> list[str]:
        ids = await self._parts.keeper.keep(scope, departure)
        await self.store.settle(scope, departure)
        return ids

    async def _flush_quietly(self, scope: Scope, thread_id: str) -> Flushed:
        """A flush by threshold; none where another is at it, and no failure of one fails the turn that is kept."""
        try:
            ttl = self._policy(await self.store.look(scope, thread_id)).locks.flush
            async with self._parts.locks.held(LockRequest(f"flush {thread_id}", scope, ttl_s=ttl, wait_s=0.0)):
                return await self._flushed(scope, thread_id, FlushAsk())
        except Overloaded:
            _log.debug("another flushes this thread")
        except RemembrancerError as error:
            _log.warning("a thread is not flushed yet: %s", type(error).__name__)
        return Flushed(0, 0, 0)

    async def _flushed(self, scope: Scope, thread_id: str, ask: FlushAsk) -> Flushed:
        for _ in range(_TRIES):
            content = await self.store.read(scope, thread_id)
            before = content.thread.tokens
            leaving = self._leaving(content, ask)
            if not leaving:
                return Flushed(0, before, before)
            removal = await self._removal(content, leaving, ask)
            freed = sum(turn.tokens for turn in leaving)
            grown = 0 if removal.summary is None else removal.summary_tokens - content.thread.summary_tokens
            done = Flushed(len(leaving), before, before - freed + grown, removal.summary)
            if ask.dry_run or await self.store.remove(scope, removal):
                return done
        raise Overloaded("the thread changes faster than it can be flushed")

    def _leaving(self, content: Content, ask: FlushAsk) -> list[Turn]:
        thread, policy = content.thread, self._policy(content.thread)
        limits = self.limits(policy)
        bounded = limits.tokens is not None or limits.messages is not None
        if bounded and not ask.force and not flush_due(thread.tokens, thread.turns, limits, policy.flush.threshold):
            return []
        flush = policy.flush.model_copy(update={"strategy": ask.strategy or policy.flush.strategy})
        load = Load(thread.tokens, thread.turns)
        goal = flush_goal(load, limits, flush.target, force=ask.force or not bounded)
        spare = self._summary_room(policy, flush.strategy, goal) if flush.strategy is Strategy.HYBRID_SUMMARY else 0
        taken = max(spare, thread.summary_tokens)
        return chosen(flush, content.turns, content.used, Load(goal.tokens - taken, goal.messages))

    def _summary_room(self, policy: ThreadPolicy, strategy: Strategy, goal: Load) -> int:
        """Tokens that a summary may have: at most a quarter of what is to be left."""
        return min(policy.flush.summary_tokens, goal.tokens // 4) if strategy is Strategy.HYBRID_SUMMARY else 0

    async def _removal(self, content: Content, leaving: list[Turn], ask: FlushAsk) -> Removal:
        thread, policy = content.thread, self._policy(content.thread)
        indices, now = tuple(turn.index for turn in leaving), to_utc(self._parts.clock())
        if (ask.strategy or policy.flush.strategy) is not Strategy.HYBRID_SUMMARY:
            return Removal(thread.id, indices, now)
        freed = sum(turn.tokens for turn in leaving) + thread.summary_tokens
        limit = min(policy.flush.summary_tokens, freed // 2)
        limits = self.limits(policy)
        if limits.tokens is not None:
            limit = min(limit, max(int(policy.flush.target * limits.tokens) // 4, 1))
        text = await self._parts.summariser.summary(thread.summary, leaving, limit)
        return Removal(thread.id, indices, now, text, self._parts.tokenizer.count(text))

    def _turn(self, policy: ThreadPolicy, new: NewTurn) -> Turn:
        if new.role in policy.privacy.never_keep_roles:
            raise InvalidRequest(f"turns of role {new.role!r} are not kept by this thread's policy", path="role")
        content = redact(new.content, policy.privacy.redact)
        return new.at(to_utc(self._parts.clock()), content, self._parts.tokenizer.count(content))

    def _named(self, resource: str | None) -> ThreadPolicy:
        policies = self._parts.policies.threads
        if resource is None or not policies:
            return _PLAIN
        if resource not in policies:
            known = ", ".join(sorted(policies))
            raise InvalidRequest(f"there is no policy {resource!r}; there are: {known}", path="resource", got=resource)
        return policies[resource]

    def _policy(self, thread: Thread) -> ThreadPolicy:
        """The policy by which a thread is kept; a plain one where the file does not name its resource any more."""
        return self._parts.policies.threads.get(thread.resource or "", _PLAIN)

    async def _resource(self, scope: Scope, thread_id: str) -> str | None:
        """The resource of a thread: remembered, because it never changes, so that an append is one round trip."""
        key = (scope.tenant, scope.namespace, thread_id)
        if key not in self._resources:
            if len(self._resources) >= _REMEMBERED:
                self._resources.clear()
            self._resources[key] = (await self.store.look(scope, thread_id)).resource
        return self._resources[key]

    def _check_mode(self, resource: str | None, agent_id: str | None) -> None:
        agent = self._parts.policies.agents.get(agent_id or "")
        if agent is None or resource is None:
            return
        modes = {one.id: one.mode for one in agent.references()}
        if modes.get(resource) is not Mode.READ_WRITE:
            raise ReadOnly(f"agent {agent_id!r} may not write to {resource!r}")


def _at(turn: Turn, index: int) -> Turn:
    names = [name for name in Turn.__dataclass_fields__ if name != "index"]
    return Turn(**{name: getattr(turn, name) for name in names}, index=index)


def members(thread: Thread) -> dict[str, Any]:
    """The thread as answers show it."""
    names = ("id", "version", "tokens", "turns", "parent_id", "resource", "key", "agent_id", "initial_context")
    shown = {name: getattr(thread, name) for name in (*names, "last_flush_at", "ttl_s")}
    return {**shown, "created_at": rfc3339(thread.created_at), "summary": thread.summary or None}
