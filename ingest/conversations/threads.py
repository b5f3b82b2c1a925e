"""What can be done with threads, whatever keeps them: opening, saying, replacing, flushing, clearing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from ingest.conversations.evicted_turns import EvictedTurnWriter
from ingest.conversations.flushing import Flusher
from ingest.conversations.incoming import Incoming, Keeping
from ingest.conversations.requests import Chain, FlushAsk, Flushed, Opened, Opening, Replaced, Said
from ingest.conversations.rules import Rules, within
from ingest.conversations.summary import Summariser
from ingest.screening.redaction.redactor import Cleaned, Redactor
from ingest.writing.pipeline import Ingestor
from memtypes.live.eviction import eviction_rank, flush_due
from memtypes.live.templates import rendered
from memtypes.live.thread_policy import AccessMode, EvictionPolicy, Policies, PolicyType, ThreadPolicy
from memtypes.live.turns import NewTurn, Turn
from memtypes.llms.registry import Models
from memtypes.model.errors import InvalidRequest, NotFound
from memtypes.model.scope import Scope
from memtypes.model.times import Clock, to_utc
from memtypes.ports.locks import Locks
from memtypes.ports.threads import (
    AppendTurn,
    EvictedTurnStore,
    NewThread,
    Replacement,
    ThreadContent,
    ThreadStore,
    TurnAppended,
)
from memtypes.ports.tokenizer import Tokenizer

_REMEMBERED = 100_000
"""Threads whose resource is remembered."""


@dataclass(frozen=True, slots=True)
class ThreadParts:
    """What threads work with. summariser: of flushes that summarise. redactor: removes secrets before turns are stored.

    tokenizer: counts where a policy names no model; tokenizers: those on hand, for the models that policies name.
    """

    store: ThreadStore
    evicted: EvictedTurnStore
    ingestor: Ingestor
    tokenizer: Tokenizer
    summariser: Summariser
    locks: Locks
    clock: Clock
    models: Models
    redactor: Redactor
    policies: Policies = field(default_factory=Policies)
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)


class Threads:
    """Raises NotFound, Conflict, InvalidRequest, ReadOnly and Unavailable."""

    def __init__(self, parts: ThreadParts) -> None:
        self.store = parts.store
        self.rules = Rules(parts.models, parts.policies, parts.tokenizers)
        self._tokenizer = parts.tokenizer
        self.evicted_turns = EvictedTurnWriter(parts.evicted, parts.ingestor, parts.clock)
        self._incoming = Incoming(parts.redactor, parts.clock)
        self._clock = parts.clock
        self._flusher = Flusher(parts.store, self.rules, parts.summariser, parts.tokenizer, parts.locks, parts.clock)
        self._resources: dict[tuple[str, str, str], str | None] = {}

    def resolves(self, opening: Opening) -> bool:
        """Whether `opening` asks for the references of an agent; without agents in the file its id is but noted."""
        return bool(self.rules.policies.agents) and opening.agent_id is not None and opening.resource is None

    async def open(self, scope: Scope, opening: Opening) -> Opened:
        """The thread of a resource and key, begun if it is not there; one of its own where neither is given."""
        policy = self.rules.named(opening.resource)
        template = opening.key or policy.key
        given = Cleaned(None, {})
        if opening.initial_context is not None:
            self.rules.check_mode(opening.resource, opening.agent_id)
            given = self._incoming.text(scope.tenant, policy.privacy, opening.initial_context)
        new = NewThread(
            str(uuid.uuid4()),
            round(policy.ttl),
            to_utc(self._clock()),
            opening.parent_id,
            opening.resource,
            None if template is None else rendered(template, opening.variables),
            opening.agent_id,
            given.value,
            lru=policy.eviction.policy is EvictionPolicy.LRU,
        )
        thread_id = await self.store.create(scope, new)
        thread = await self.store.look(scope, thread_id)
        created = thread_id == new.thread_id
        return Opened(thread, created, opening.resource, redactions=given.counts if created else {})

    async def open_all(self, scope: Scope, opening: Opening) -> list[Opened]:
        """A thread for each reference of the agent; every key is rendered before any thread begins.

        A key that is asked for takes the place of theirs. The initial context goes where the agent may write.
        """
        references = self.rules.references(opening.agent_id or "")
        asked = []
        for one in references:
            template = opening.key or one.key or self.rules.named(one.id).key
            key = None if template is None else rendered(template, opening.variables)
            context = opening.initial_context if one.mode is AccessMode.READ_WRITE else None
            asked.append(replace(opening, key=key, resource=one.id, initial_context=context))
        opened = [await self.open(scope, one) for one in asked]
        return [replace(found, mode=one.mode) for found, one in zip(opened, references, strict=True)]

    async def say(self, scope: Scope, thread_id: str, new: NewTurn, expected: int | None) -> Said:
        """Append a turn within the limits; flush where the threshold is reached; keep what left."""
        resource = await self._resource(scope, thread_id)
        policy = self.rules.of_resource(resource)
        self.rules.check_mode(resource, new.agent_id)
        deadline = anyio.current_time() + policy.locks.append
        with within(policy.locks.append, "append"):
            received = await self._incoming.turns(scope.tenant, self._keeping(policy), [new])
            turn = received.turns[0]
            done = await self.store.append(scope, self._append(policy, thread_id, turn, expected))
        flushed = 0
        with anyio.CancelScope(deadline=deadline):  # the turn is kept: what else is due can be done after the next one
            if self._due(policy, done):
                flushed = await self._flusher.relieve(scope, thread_id)
            if done.evicted or flushed:
                await self.evicted_turns.persist(scope)
        return Said(replace(turn, index=done.index), done.version, flushed, done.evicted, received.redactions)

    def _keeping(self, policy: ThreadPolicy) -> Keeping:
        return Keeping(policy.privacy, self.rules.tokenizer(policy, self._tokenizer))

    def _append(self, policy: ThreadPolicy, thread_id: str, turn: Turn, expected: int | None) -> AppendTurn:
        """What to append. Raises InvalidRequest for a turn that is larger than the whole thread may be."""
        limits = self.rules.limits(policy)
        if limits.tokens is not None and turn.tokens > limits.tokens:
            raise InvalidRequest(
                f"the turn has {turn.tokens} tokens, and the whole thread at most {limits.tokens}", path="content"
            )
        return AppendTurn(thread_id, turn, eviction_rank(policy.eviction, turn), limits, expected)

    def _due(self, policy: ThreadPolicy, done: TurnAppended) -> bool:
        """Whether the thread is to be relieved now."""
        limits = self.rules.limits(policy)
        due = flush_due(done.tokens, done.turns, limits, policy.flush.threshold)
        return due and policy.type is not PolicyType.BUFFER

    async def replace(self, scope: Scope, thread_id: str, turns: Sequence[NewTurn], expected: int | None) -> Replaced:
        """The version after all turns were replaced; they must fit as they are."""
        resource = await self._resource(scope, thread_id)
        policy = self.rules.of_resource(resource)
        for agent_id in {one.agent_id for one in turns}:
            self.rules.check_mode(resource, agent_id)
        with within(policy.locks.append, "append"):
            received = await self._incoming.turns(scope.tenant, self._keeping(policy), turns)
            replacement = self._replacement(policy, thread_id, received.turns, expected)
            version = await self.store.replace(scope, replacement)
        return Replaced(version, received.redactions)

    def _replacement(
        self, policy: ThreadPolicy, thread_id: str, made: Sequence[Turn], expected: int | None
    ) -> Replacement:
        """What to replace all turns with. Raises InvalidRequest when they do not fit as they are."""
        limits = self.rules.limits(policy)
        for have, limit, what in (
            (sum(turn.tokens for turn in made), limits.tokens, "tokens"),
            (len(made), limits.messages, "messages"),
            (len(made), limits.turns, "turns"),
        ):
            if limit is not None and have > limit:
                raise InvalidRequest(f"{have} {what} are more than the limit of {limit}", path="turns")
        return Replacement(thread_id, [(turn, eviction_rank(policy.eviction, turn)) for turn in made], expected)

    async def chain(self, scope: Scope, thread_id: str) -> Chain:
        """The thread's ancestors that are still there and itself, with their turns."""
        own = await self.store.read(scope, thread_id)
        read = await asyncio.gather(*(self._ancestor(scope, one) for one in own.thread.ancestors))
        there = [content for content in read if content is not None]
        return Chain((*there, own), gap=len(there) < len(read))

    async def flush(self, scope: Scope, thread_id: str, ask: FlushAsk) -> Flushed:
        """Relieve the thread as its policy says, and keep what left."""
        done = await self._flusher.flush(scope, thread_id, ask)
        if ask.dry_run:
            return done
        kept = await self.evicted_turns.persist(scope)
        return replace(done, memory_ids=tuple(kept.get(thread_id, ())))

    async def clear(self, scope: Scope, thread_id: str, *, backup: bool) -> tuple[int, str | None]:
        """How many turns there were, and the backup's id."""
        backup_id = str(uuid.uuid4()) if backup else None
        policy = self.rules.of_resource(await self._resource(scope, thread_id))
        with within(policy.locks.clear, "clear"):
            return await self.store.clear(scope, thread_id, backup_id), backup_id

    async def _ancestor(self, scope: Scope, thread_id: str) -> ThreadContent | None:
        """An ancestor; None when it has expired."""
        try:
            return await self.store.read(scope, thread_id)
        except NotFound:
            return None

    async def check_writes(self, scope: Scope, thread_id: str, agent_id: str | None) -> None:
        """Raise ReadOnly where the agent may not change this thread, NotFound where there is none."""
        if agent_id is not None:
            self.rules.check_mode(await self._resource(scope, thread_id), agent_id)

    async def _resource(self, scope: Scope, thread_id: str) -> str | None:
        """The resource of a thread: remembered, because it never changes, so that an append is one round trip."""
        key = (scope.tenant, scope.namespace, thread_id)
        if key not in self._resources:
            if len(self._resources) >= _REMEMBERED:
                self._resources.clear()
            self._resources[key] = (await self.store.look(scope, thread_id)).resource
        return self._resources[key]
