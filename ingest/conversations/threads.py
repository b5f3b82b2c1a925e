"""Opens, appends to, replaces, flushes and clears threads (stored conversations) within their
policies' limits.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, TypeVar

import anyio
from cachetools import LRUCache
from pydantic import Field

from ingest.conversations.evicted_turns import EvictedTurnWriter
from ingest.conversations.flushing import Flusher, FlushRequest, FlushResult
from ingest.conversations.incoming import TurnScreen
from ingest.conversations.policies import PolicyLookup, time_limit
from ingest.conversations.transcript import LeftTurn
from ingest.screening.redaction.redactor import RedactedValue
from memtypes.live.eviction import eviction_rank, flush_due
from memtypes.live.templates import rendered_key
from memtypes.live.thread_policy import AccessMode, EvictionPolicy, PolicyType, ThreadPolicy
from memtypes.live.turns import NewTurn, Turn, TurnText
from memtypes.live.workflows import JsonObject, OnEnd, WorkflowId
from memtypes.model.errors import (
    AccessDenied,
    Conflict,
    InvalidRequest,
    NotFound,
    ReadOnly,
    Unavailable,
    VersionConflict,
)
from memtypes.model.memory import StrictModel
from memtypes.model.scope import Name, Scope
from memtypes.model.times import Clock, to_utc
from memtypes.ports.threads import (
    AppendTurn,
    NewThread,
    RequestKey,
    Thread,
    ThreadStore,
    ThreadTail,
    TurnAppended,
)
from memtypes.ports.workflows import WorkflowStore

_ThreadT = TypeVar("_ThreadT")

_CACHED_THREADS = 100_000
"""Maximum number of threads whose resource and key are cached."""


class OpenRequest(StrictModel):
    """A thread to create, or to find by its resource (the name of its policy) and key.

    variables: values for the placeholders of the key's template. parent_id: the thread that this
    one continues. workflow_id: the workflow whose `on_end` says what happens to the thread when the
    workflow ends.
    """

    key: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    parent_id: Name | None = None
    resource: Name | None = None
    agent_id: Name | None = None
    initial_context: TurnText | None = None
    workflow_id: WorkflowId | None = None
    variables: JsonObject = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenedThread:
    """A thread that was created or found. mode: how the agent may use it.

    redactions: numbers of secrets removed from its initial context, by kind.
    """

    thread: Thread
    created: bool
    mode: AccessMode = AccessMode.READ_WRITE
    redactions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnResult:
    """Result of appending a turn to a thread.

    turn: as it is stored; None if its role is never kept. version: the thread's version after the
    append, and after the flush if the append started one. flushed: number of older turns that this
    flush removed. evicted: number of older turns removed to make room. redactions: numbers of
    secrets removed from the turn, by kind. reason: why the turn was not kept.
    """

    turn: Turn | None
    version: int
    flushed: int = 0
    evicted: int = 0
    redactions: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None

    @property
    def kept(self) -> bool:
        """Whether the turn is stored."""
        return self.turn is not None


@dataclass(frozen=True, slots=True)
class Threads:
    """Operations on threads. They raise NotFound, Conflict, InvalidRequest, AccessDenied, ReadOnly
    and Unavailable.
    """

    store: ThreadStore
    policies: PolicyLookup
    screen: TurnScreen
    flusher: Flusher
    evicted_turns: EvictedTurnWriter
    clock: Clock
    workflows: WorkflowStore
    _resources_and_keys: LRUCache[tuple[str, str, str], tuple[str | None, str | None]] = field(
        default_factory=lambda: LRUCache(_CACHED_THREADS)
    )

    async def open(self, scope: Scope, request: OpenRequest) -> OpenedThread:
        """Return the thread that has the request's resource (policy name) and key; create it if
        there is none.

        If neither the request nor the policy gives a key, a new thread is created each time. An
        agent that may only read threads of the resource creates none.
        """
        policy = self.policies.requested(request.resource)
        key = thread_key(request.key or policy.key, request)
        scope = replace(scope, agent_id=scope.agent_id or request.agent_id)
        changes = request.initial_context is not None or request.workflow_id is not None
        if self.policies.access(scope, request.resource, key) is AccessMode.READ_ONLY:
            exists = key is not None and await self.store.find(scope, request.resource, key)
            if not exists:
                raise ReadOnly(
                    f"agent {scope.agent_id!r} may not create threads of {request.resource!r}: the "
                    f"policy file says {AccessMode.READ_ONLY}"
                )
        self.policies.check_access(scope, request.resource, key, write=changes)
        if request.parent_id is not None:
            await self.check_access(scope, request.parent_id, write=False)
        ids = request.model_dump(include={"parent_id", "resource", "agent_id", "workflow_id"})
        self.screen.redactor.check_ids(scope.tenant, {**ids, "key": key})
        context = RedactedValue(request.initial_context, {})
        if request.initial_context is not None:
            context = self.screen.clean(scope.tenant, policy.privacy, request.initial_context)
        # Whether its turns become memories when it expires
        flushes = policy.type is not PolicyType.BUFFER
        if flushes and request.workflow_id is not None:
            flushes = (
                await self.workflows.load(scope, request.workflow_id)
            ).on_end is not OnEnd.DELETE
        new = NewThread(
            thread_id=str(uuid.uuid4()),
            ttl_s=max(1, round(policy.ttl or self.policies.ttl_s)),
            created_at=to_utc(self.clock()),
            key=key,
            initial_context=context.value,
            lru=policy.eviction.policy is EvictionPolicy.LRU,
            flushes=flushes,
            **ids,
        )
        thread_id = await self.store.create(scope, new)
        created = thread_id == new.thread_id
        if request.workflow_id is not None:
            await self._join(scope, request.workflow_id, thread_id, created=created)
        thread = await self.store.get(scope, thread_id)
        return OpenedThread(thread, created, redactions=context.counts if created else {})

    async def append(
        self,
        scope: Scope,
        thread_id: str,
        new: NewTurn,
        expected: int | None,
        request: RequestKey | None = None,
    ) -> TurnResult:
        """Append a turn to the thread, and remove old turns if the thread has become too long;
        return what changed.

        Old turns are evicted if the new turn would exceed a limit of the policy; many are flushed
        (removed together) if the thread has reached the policy's flush threshold. A background task
        stores them as memories. expected: the version that the thread must have; None for any.
        request: the call's idempotency key. A turn whose role is never kept changes nothing.
        """
        policy = await self.policy(scope, thread_id, [new])
        reason = self.screen.reason_not_kept(scope.tenant, policy, new.role)
        if reason is not None:
            return TurnResult(None, await self._version(scope, thread_id, expected), reason=reason)
        limits = self.policies.limits(policy)
        deadline = anyio.current_time() + policy.locks.append
        with time_limit(policy.locks.append, "append"):
            screened = await self.screen.turns(scope.tenant, policy, [new])
            (turn,) = screened.value.turns
            rank = eviction_rank(policy.eviction, turn)
            by_priority = policy.eviction.policy is EvictionPolicy.PRIORITY
            appended = await self._append(
                scope,
                AppendTurn(
                    thread_id,
                    turn,
                    rank,
                    limits,
                    expected,
                    request,
                    spares_system=by_priority,
                    contents=screened.value.contents,
                ),
            )
        if not appended.repeated:
            counts = self.flusher.counts
            counts.turns += 1
            counts.tokens += turn.tokens
            counts.evicted += appended.evicted
        flush = FlushResult(appended.flushed, 0, 0)
        version = appended.version
        # The turn is stored. A flush that is cancelled here is done after the next append.
        with anyio.CancelScope(deadline=deadline):
            due = flush_due(appended.tokens, appended.turns, limits, policy.flush.threshold)
            if due and policy.type is not PolicyType.BUFFER and not appended.flushed:
                flush = await self.flusher.try_flush(scope, thread_id)
        if appended.evicted or flush.flushed:
            self.evicted_turns.persist_soon(scope)
        # Else another caller has changed the thread too, and this one must notice
        if flush.version == version + 1:
            version = flush.version
        turn = replace(turn, index=appended.index, at=appended.at)
        return TurnResult(turn, version, flush.flushed, appended.evicted, screened.counts)

    async def replace(
        self, scope: Scope, thread_id: str, turns: Sequence[NewTurn], expected: int | None
    ) -> tuple[int, Mapping[str, int], int]:
        """Replace all turns of the thread. Returns its new version, the number of secrets removed,
        by kind, and how many turns were not kept because of their role.

        expected: the version that the thread must have; None for any. Raises InvalidRequest if the
        new turns exceed the limits of the thread's policy; none of them are evicted.
        """
        policy = await self.policy(scope, thread_id, turns)
        with time_limit(policy.locks.append, "append"):
            to_keep = [
                turn
                for turn in turns
                if self.screen.reason_not_kept(scope.tenant, policy, turn.role) is None
            ]
            screened = await self.screen.turns(scope.tenant, policy, to_keep)
            kept = screened.value
            self._check_limits(policy, kept.turns)
            ranked = [(turn, eviction_rank(policy.eviction, turn)) for turn in kept.turns]
            version = await self.store.replace(scope, thread_id, ranked, expected, kept.contents)
        return version, screened.counts, len(turns) - len(to_keep)

    async def chain(self, scope: Scope, thread_id: str) -> list[Thread]:
        """The ancestors that the thread continues, oldest first, then the thread itself, without
        their turns.

        Ancestors that have expired, or that the agent may not read, are left out.
        """
        thread = await self.store.get(scope, thread_id)
        return [*await self._ancestors(scope, thread, partial(self.store.get, scope)), thread]

    async def tails(self, scope: Scope, thread_id: str, tokens: int) -> list[ThreadTail]:
        """The newest turns of each thread of the `chain`, and the files and images that it
        mentions.

        tokens: tokens of turns to read from each thread.
        """
        tail = await self.store.tail(scope, thread_id, tokens)
        read = partial(self.store.tail, scope, tokens=tokens)
        return [*await self._ancestors(scope, tail.thread, read), tail]

    async def policy(
        self, scope: Scope, thread_id: str, turns: Sequence[NewTurn] = ()
    ) -> ThreadPolicy:
        """The current policy of the thread. The thread keeps the policy's name, as its resource.

        Raises AccessDenied or ReadOnly if an agent that speaks in `turns` may not write to the
        thread.
        """
        resource, _ = await self._resource_and_key(scope, thread_id)
        for agent_id in {turn.agent_id for turn in turns} - {scope.agent_id, None}:
            speaker = replace(scope.unbound, agent_id=agent_id)
            self.policies.check_access(speaker, resource, None, write=True)
        return self.policies.of_resource(resource)

    async def turns(
        self, scope: Scope, thread_id: str, *, include_flushed: bool
    ) -> list[LeftTurn | Turn]:
        """The turns of the thread, in order; with `include_flushed` also turns that were flushed or
        evicted from it.

        Removed turns can be read even after the thread itself is gone.
        """
        try:
            live = {turn.index: turn for turn in (await self.store.read(scope, thread_id)).turns}
        except NotFound:
            if not include_flushed or not (
                removed := await self.evicted_turns.turns(scope, thread_id)
            ):
                raise
            return [*removed]
        removed = await self.evicted_turns.turns(scope, thread_id) if include_flushed else []
        turns: dict[int, LeftTurn | Turn] = {entry.turn.index: entry for entry in removed} | live
        return [turns[index] for index in sorted(turns)]

    async def flush(self, scope: Scope, thread_id: str, request: FlushRequest) -> FlushResult:
        """Remove old turns from the thread by the flush settings of its policy, and store them as
        memories.

        Returns the number of removed turns, the new summary and the memories' ids. A dry run
        changes nothing.
        """
        flushed = await self.flusher.flush(scope, thread_id, request)
        if request.dry_run:
            return flushed
        memory_ids = await self.evicted_turns.persist(scope)
        return replace(flushed, memory_ids=tuple(memory_ids.get(thread_id, ())))

    async def clear(self, scope: Scope, thread_id: str, *, backup: bool) -> tuple[int, str | None]:
        """Remove all turns of the thread; return how many, and the id of the backup copy (None
        without `backup`).
        """
        # The thread's id shows whose turns these are
        backup_id = f"{thread_id}.{uuid.uuid4()}" if backup else None
        policy = await self.policy(scope, thread_id)
        with time_limit(policy.locks.clear, "clear"):
            return await self.store.clear(scope, thread_id, backup_id), backup_id

    async def end(self, scope: Scope, thread_ids: Sequence[str], *, flush: bool) -> int:
        """Delete the threads that still exist; return how many. With `flush`, store their turns as
        memories.
        """
        ended = 0
        for thread_id in thread_ids:
            with suppress(NotFound):  # it has expired
                await self.store.delete(scope, thread_id, flush=flush)
                ended += 1
        if ended and flush:
            await self.evicted_turns.persist(scope)
        return ended

    async def expire(self) -> int:
        """Store the turns of expired threads and of queues in all namespaces as memories; return
        how many memories.
        """
        await self.store.queue_expired()
        return await self.evicted_turns.persist_all()

    async def check_access(self, scope: Scope, thread_id: str, *, write: bool) -> None:
        """Raise NotFound, AccessDenied if the agent may not read the thread, or ReadOnly if it may
        not write to it.
        """
        if scope.agent_id is not None or scope.agents:
            self.policies.check_access(
                scope, *await self._resource_and_key(scope, thread_id), write=write
            )

    async def _version(self, scope: Scope, thread_id: str, expected: int | None) -> int:
        """The thread's version. Raises VersionConflict if it is not the `expected` one."""
        version = (await self.store.get(scope, thread_id)).version
        if expected not in (None, version):
            raise VersionConflict(
                f"version {version} is current; read the thread and try again",
                current_version=version,
            )
        return version

    async def _append(self, scope: Scope, append: AppendTurn) -> TurnAppended:
        """Append a turn. The message of Unavailable says how to repeat the call without storing the
        turn twice.
        """
        tokens = append.turn.tokens
        limit = append.limits.tokens
        if limit is not None and tokens > limit:
            message = (
                f"the turn has {tokens} tokens; the limit of the thread is {limit}; send a "
                "shorter turn"
            )
            raise InvalidRequest(message, path="content")
        try:
            return await self.store.append(scope, append)
        except Unavailable as error:
            hint = "repeat it with the same Idempotency-Key"
            if append.request is None:
                hint = (
                    "read the thread before you repeat it, and send turns with an Idempotency-Key"
                )
            message = f"{error}; the turn may have been kept: {hint}"
            raise Unavailable(message, retry_after_s=error.retry_after_s) from error

    async def _join(self, scope: Scope, workflow_id: str, thread_id: str, *, created: bool) -> None:
        """Add a thread to its workflow. If there is none or it has ended, delete a new (`created`)
        thread and raise.
        """
        try:
            await self.workflows.join(scope, workflow_id, thread=thread_id)
        except (NotFound, Conflict):
            if created:
                await self.end(scope, [thread_id], flush=True)
            raise

    def _check_limits(self, policy: ThreadPolicy, turns: Sequence[Turn]) -> None:
        limits = self.policies.limits(policy)
        pinned = [turn for turn in turns if turn.pinned]
        for count, limit, unit in (
            (sum(turn.tokens for turn in turns), limits.tokens, "tokens"),
            (len(turns), limits.messages, "messages"),
            (len(turns), limits.turns, "turns"),
            (
                sum(turn.tokens for turn in pinned),
                limits.most_pinned.tokens,
                "tokens of pinned turns",
            ),
            (len(pinned), limits.most_pinned.turns, "pinned turns"),
        ):
            if limit is not None and count > limit:
                raise InvalidRequest(
                    f"{count} {unit} exceed the limit of {limit}; send fewer", path="turns"
                )

    async def _ancestors(
        self, scope: Scope, thread: Thread, read: Callable[[str], Awaitable[_ThreadT]]
    ) -> list[_ThreadT]:
        async def read_if_there(thread_id: str) -> _ThreadT | None:
            try:
                await self.check_access(scope, thread_id, write=False)
                return await read(thread_id)
            except (NotFound, AccessDenied):
                return None

        answers = await asyncio.gather(*map(read_if_there, thread.ancestors))
        return [answer for answer in answers if answer is not None]

    async def _resource_and_key(
        self, scope: Scope, thread_id: str
    ) -> tuple[str | None, str | None]:
        """The thread's resource (policy name) and key. They are cached, because they never
        change.
        """
        cached = (scope.tenant, scope.namespace, thread_id)
        if cached not in self._resources_and_keys:
            thread = await self.store.get(scope, thread_id)
            self._resources_and_keys[cached] = thread.resource, thread.key
        return self._resources_and_keys[cached]


def thread_key(template: str | None, request: OpenRequest) -> str | None:
    """`template` with its placeholders filled in from the request's variables; None if `template`
    is None.

    `agent.id` stands for the request's agent, unless the variables set it.
    """
    variables = request.variables
    agent = request.variables.get("agent", {})
    if request.agent_id is not None and isinstance(agent, Mapping):
        variables = {**variables, "agent": {"id": request.agent_id, **agent}}
    return None if template is None else rendered_key(template, variables)
