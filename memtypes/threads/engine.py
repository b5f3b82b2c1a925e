"""What can be done with threads, whatever keeps them: opening, saying, replacing, flushing, clearing."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from memtypes.errors import InvalidRequest, NotFound
from memtypes.locks import Locks
from memtypes.models.registry import Models
from memtypes.ports import Tokenizer
from memtypes.scope import Scope
from memtypes.threads.choosing import eviction_rank, flush_due
from memtypes.threads.flushing import Flusher
from memtypes.threads.outbox import Outbox
from memtypes.threads.policy import EvictionPolicy, Policies, PolicyType, ThreadPolicy
from memtypes.threads.ports import Append, NewThread, Replacement, ThreadKeeper, ThreadStore
from memtypes.threads.requests import Chain, FlushAsk, Flushed, Opened, Opening, Said
from memtypes.threads.rules import Rules, private
from memtypes.threads.summary import Summariser
from memtypes.threads.templates import rendered
from memtypes.threads.turns import NewTurn, Turn
from memtypes.times import Clock, to_utc

_REMEMBERED = 100_000
"""Threads whose resource is remembered."""

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


class Threads:
    """Raises NotFound, Conflict, InvalidRequest, ReadOnly and Unavailable."""

    def __init__(self, parts: ThreadParts) -> None:
        self.store = parts.store
        self.rules = Rules(parts.models, parts.policies)
        self.outbox = Outbox(parts.store, parts.keeper)
        self._tokenizer = parts.tokenizer
        self._clock = parts.clock
        self._flusher = Flusher(parts.store, self.rules, parts.summariser, parts.tokenizer, parts.locks, parts.clock)
        self._resources: dict[tuple[str, str, str], str | None] = {}

    def resolves(self, opening: Opening) -> bool:
        """Whether `opening` asks for the references of an agent."""
        named = self.rules.references(opening.agent_id) is not None
        return named and opening.resource is None and opening.key is None

    async def open(self, scope: Scope, opening: Opening) -> Opened:
        """The thread of a resource and key, begun if it is not there; one of its own where neither is given."""
        policy = self.rules.named(opening.resource)
        template = opening.key or policy.key
        new = NewThread(
            str(uuid.uuid4()),
            round(policy.ttl),
            to_utc(self._clock()),
            opening.parent_id,
            opening.resource,
            None if template is None else rendered(template, opening.variables),
            opening.agent_id,
            opening.initial_context,
            lru=policy.eviction.policy is EvictionPolicy.LRU,
        )
        thread_id = await self.store.create(scope, new)
        return Opened(await self.store.look(scope, thread_id), thread_id == new.thread_id, opening.resource)

    async def open_all(self, scope: Scope, opening: Opening) -> list[Opened]:
        """A thread for each reference of the agent; every key is rendered before any thread begins."""
        references = self.rules.references(opening.agent_id) or ()
        asked = []
        for one in references:
            template = one.key or self.rules.named(one.id).key
            key = None if template is None else rendered(template, opening.variables)
            asked.append(replace(opening, key=key, resource=one.id, variables={}))
        opened = [await self.open(scope, one) for one in asked]
        return [replace(found, mode=one.mode) for found, one in zip(opened, references, strict=True)]

    async def say(self, scope: Scope, thread_id: str, new: NewTurn, expected: int | None) -> Said:
        """Append a turn within the limits; flush where the threshold is reached; keep what left."""
        resource = await self._resource(scope, thread_id)
        policy = self.rules.of_resource(resource)
        self.rules.check_mode(resource, new.agent_id)
        turn, limits = self._turn(policy, new), self.rules.limits(policy)
        if limits.tokens is not None and turn.tokens > limits.tokens:
            raise InvalidRequest(
                f"the turn has {turn.tokens} tokens, and the whole thread at most {limits.tokens}", path="content"
            )
        append = Append(thread_id, turn, eviction_rank(policy.eviction, turn), limits, expected)
        done = await self.store.append(scope, append)
        flushed = 0
        due = policy.type is not PolicyType.BUFFER
        if due and flush_due(done.tokens, done.turns, limits, policy.flush.threshold):
            flushed = await self._flusher.relieve(scope, thread_id)
        if done.evicted or flushed:
            await self.outbox.drain(scope)
        return Said(replace(turn, index=done.index), done.version, flushed, done.evicted)

    async def replace(self, scope: Scope, thread_id: str, turns: Sequence[NewTurn], expected: int | None) -> int:
        """The version after all turns were replaced; they must fit as they are."""
        policy = self.rules.of(await self.store.look(scope, thread_id))
        made = [self._turn(policy, one) for one in turns]
        limits = self.rules.limits(policy)
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
        done = await self._flusher.flush(scope, thread_id, ask)
        if ask.dry_run:
            return done
        kept = await self.outbox.drain(scope)
        return replace(done, memory_ids=tuple(kept.get(thread_id, ())))

    async def clear(self, scope: Scope, thread_id: str, *, backup: bool) -> tuple[int, str | None]:
        """How many turns there were, and the backup's id."""
        backup_id = str(uuid.uuid4()) if backup else None
        return await self.store.clear(scope, thread_id, backup_id), backup_id

    def _turn(self, policy: ThreadPolicy, new: NewTurn) -> Turn:
        content = private(policy, new)
        return new.at(to_utc(self._clock()), content, self._tokenizer.count(content))

    async def _resource(self, scope: Scope, thread_id: str) -> str | None:
        """The resource of a thread: remembered, because it never changes, so that an append is one round trip."""
        key = (scope.tenant, scope.namespace, thread_id)
        if key not in self._resources:
            if len(self._resources) >= _REMEMBERED:
                self._resources.clear()
            self._resources[key] = (await self.store.look(scope, thread_id)).resource
        return self._resources[key]
