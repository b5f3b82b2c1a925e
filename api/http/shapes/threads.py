"""Pydantic models of the request bodies, query parameters and answers of the HTTP calls on threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.http.request import AsAgent, InNamespace, MaybeNamespace, QueryFlag, QueryWhole
from api.http.shapes.memories import Redactions
from ingest.conversations.threads import OpenedThread, OpenRequest, Threads
from ingest.conversations.transcript import LeftTurn
from memtypes.live.thread_policy import AccessMode, PolicyType
from memtypes.live.turns import NewTurn, Turn, Version
from memtypes.llms.registry import Tokens
from memtypes.model.memory import Flag, Model
from memtypes.model.scope import Name
from memtypes.model.times import Instant, rfc3339
from memtypes.ports.threads import EvictedBacklog, EvictedTurns, Thread, ThreadContent
from retrieval.answer import Answer, OmittedIfNone
from retrieval.context.thread import OmittedParts
from retrieval.context.thread_parts import FileMention

MAX_TURNS = 1_000


class ThreadPost(OpenRequest):
    """A thread (a conversation) to create or find. variables: values for the placeholders in its key."""

    namespace: Name


class TurnPost(NewTurn):
    """A turn to append to a thread. expected_version: answer 409 unless the thread has this version."""

    expected_version: Version | None = None


class ReplacePost(Model):
    """Turns that replace all turns of a thread. expected_version: answer 409 unless the thread has this version."""

    turns: list[NewTurn] = Field(max_length=MAX_TURNS)
    expected_version: Version | None = None


class ContextPost(Model):
    """A request for a thread's context. model: the language model that reads the context.

    tokenizer: counts the tokens; by default the model's tokenizer. budget: maximum tokens; by default the maximum that
    the thread's policy sets for a context, or else the part of the model's context window that is meant for history.
    """

    budget: Tokens | None = None
    tokenizer: Literal["cl100k_base", "o200k_base"] | None = None
    model: Name | None = None
    include_files: Flag = True


class ClearPost(Model):
    """A request to remove all turns of a thread. confirm: must be true. backup: keep a copy for 24 hours."""

    confirm: Flag
    backup: Flag = False

    @model_validator(mode="after")
    def _confirmed(self) -> Self:
        if not self.confirm:
            raise ValueError("confirm must be true")
        return self


class BackupQuery(MaybeNamespace):
    """Query parameters for reading a backup. agent_id: the calling agent; it must have access to the thread."""

    agent_id: Name | None = None


class PageQuery(AsAgent):
    """Which turns of a thread to return: the `limit` oldest turns after the first `offset` turns."""

    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100
    offset: Annotated[QueryWhole, Field(ge=0, le=10_000_000)] = 0


class ThreadsQuery(InNamespace):
    """Filters for a list of threads, all of which must match. key_prefix: how the key of a thread begins.

    agent_id: id of the agent that opened the thread. parent_id: id of the thread that it continues.
    """

    key_prefix: Annotated[str, Field(max_length=256)] = ""
    agent_id: Name | None = None
    resource: Name | None = None
    parent_id: Name | None = None
    workflow_id: Name | None = None
    limit: Annotated[QueryWhole, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, Field(max_length=64)] | None = None


class TurnsQuery(AsAgent):
    """Which turns to list. include_flushed: also turns moved to memories. after: only turns with a higher index."""

    include_flushed: QueryFlag = False
    after: Annotated[QueryWhole, Field(ge=-1, le=2**53)] = -1
    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100


class ThreadAnswer(Answer):
    """A thread without its turns.

    redactions: number of secrets removed from its initial context, by kind. policy: the thread's resource, if it is the
    name of a policy in the policy file. Null if not: then the default limits of 50 turns and 3 hours apply.
    """

    id: str
    version: int
    tokens: int
    turns: int
    parent_id: str | None
    resource: str | None
    policy: str | None
    key: str | None
    agent_id: str | None
    workflow_id: str | None
    initial_context: str | None
    summary: str | None
    last_flush_at: str | None
    ttl_s: int
    created_at: Instant
    used_at: Instant | None
    redactions: Redactions = None

    @classmethod
    def of(cls, threads: Threads, thread: Thread) -> Self:
        """The answer for `thread`. threads: provides the name of the thread's policy."""
        members: dict[str, Any] = {name: getattr(thread, name, None) for name in cls.model_fields}
        policy = threads.policies.name(thread.resource)
        return cls(**{**members, "summary": thread.summary or None, "policy": policy})

    @classmethod
    def opened(cls, threads: Threads, opened: OpenedThread) -> Self:
        """The answer for a thread that a call created or found, with the number of secrets removed by the call."""
        return cls.of(threads, opened.thread).model_copy(update={"redactions": opened.redactions})


class ThreadsAnswer(Answer):
    """A page of threads, the last changed first. next_cursor: `cursor` of the next page; null on the last page."""

    threads: list[ThreadAnswer]
    next_cursor: str | None


class ReferenceAnswer(Answer):
    """A thread of an agent. resource: name of the thread's policy. mode: whether the agent may change the thread."""

    resource: str
    mode: AccessMode
    thread: ThreadAnswer


class ReferencesAnswer(Answer):
    """The threads of an agent: one for each thread policy (resource) that the policy file lists for the agent."""

    threads: list[ReferenceAnswer]


class PageAnswer(Answer):
    """A thread and a page of its turns, oldest first. total: number of the turns on all pages."""

    thread: ThreadAnswer
    turns: Sequence[Turn]
    total: int


class ListedTurn(Answer):
    """A turn. flushed: whether it has left its thread, by flush or eviction. memory_id: memory that then stores it."""

    index: int
    role: str
    content: str
    tokens: int
    at: Instant
    agent_id: str | None
    files: list[str]
    images: list[str]
    tool: str | None
    model: str | None
    metadata: dict[str, Any]
    pinned: bool
    flushed: bool
    memory_id: OmittedIfNone[str] = None

    @classmethod
    def of(cls, entry: Turn | LeftTurn) -> Self:
        """The answer for `entry`: a turn in its thread, or a LeftTurn that was removed from it."""
        turn, memory_id = (entry.turn, entry.memory_id) if isinstance(entry, LeftTurn) else (entry, None)
        return cls(**asdict(turn), flushed=entry is not turn, memory_id=memory_id)


class TurnsAnswer(Answer):
    """A page of a thread's turns, oldest first. next_after: `after` of the next page; null on the last page."""

    turns: list[ListedTurn]
    next_after: int | None


class SaidAnswer(Answer):
    """An appended turn, and how the thread changed.

    version: the thread's new version, which the next call may send as expected_version. flushed: number of older turns
    removed because the thread had reached the size at which its policy starts a flush. evicted: number of older turns
    removed to make room for this turn. redactions: number of secrets removed from this turn, by kind.
    """

    turn: Turn
    version: int
    flushed: int
    evicted: int
    redactions: Redactions = None


class VersionAnswer(Answer):
    """The new version of a changed thread. redactions: number of secrets removed from the new turns, by kind."""

    version: int
    redactions: Redactions = None


class ThreadChainAnswer(Answer):
    """A thread and the threads that it continues, oldest first. gap: whether one of them expired or may not be read."""

    threads: list[ThreadAnswer]
    gap: bool
    cycle: bool


class TurnPlace(Answer):
    """A turn that a context shows, by its thread and its index in it. cut: true if the context shows only a part."""

    thread_id: str
    index: int
    cut: OmittedIfNone[bool] = None


class ThreadContextMetadata(Answer):
    """The size of a thread's context in tokens. allocation: tokens of each part (such as short_term or files).

    model_tokens: the count of the model's provider; left out if no provider counts for the model. gap: whether a thread
    that this one continues is missing. degraded: "token_count" if the provider failed to count, else empty.
    """

    total_tokens: int
    model_tokens: OmittedIfNone[int] = None
    budget: int
    tokenizer: str
    allocation: dict[str, int]
    gap: bool
    degraded: list[str] = Field(default_factory=list)


class ContextAnswer(Answer):
    """A thread's context as text, the turns, files and images in it, and what did not fit."""

    context: str
    turns: list[TurnPlace]
    files: Sequence[FileMention]
    images: Sequence[FileMention]
    omitted: OmittedParts
    metadata: ThreadContextMetadata


class FlushAnswer(Answer):
    """The result of a flush, which removes turns from a thread and stores them as memories.

    flushed: number of turns removed, or that a dry run would remove. tokens_before, tokens_after: size of the thread.
    summary: text that replaces the removed turns in the thread. memory_ids: ids of the memories that store these turns.
    """

    flushed: int
    tokens_before: int
    tokens_after: int
    summary: OmittedIfNone[str] = None
    memory_ids: list[str]


class ThreadCleared(Answer):
    """How many turns were removed from a thread. backup_id: id of their backup; left out if none was requested."""

    cleared: int
    backup_id: OmittedIfNone[str] = None


class BackupAnswer(Answer):
    """A backup: the turns that a thread had before it was cleared."""

    turns: Sequence[Turn]


class ThreadStatsAnswer(Answer):
    """The size of a thread and its limits. utilization: its size as a share of the limit that it is nearest to.

    distance_to_flush: tokens (or turns, if tokens are not limited) that can be added before an automatic flush moves
    turns to memories. turns_to_flush: turns that can be added before their number starts such a flush. Both are null
    for a thread that is not flushed automatically. waiting: number of batches of removed turns, of all threads of the
    namespace, that wait to be stored as memories. set_aside: number of batches of this thread's removed turns that
    could not be stored. Storing them is tried again at next_try_at and whenever a service starts.
    """

    turns: int
    tokens: int
    max_tokens: int | None
    max_messages: int | None
    max_turns: int
    utilization: float
    distance_to_flush: int | None
    turns_to_flush: int | None
    last_flush_at: str | None
    ttl_s: int
    resource: str | None
    policy: str | None
    waiting: int
    set_aside: int
    next_try_at: str | None

    @classmethod
    def of(cls, threads: Threads, thread: Thread, backlog: EvictedBacklog) -> Self:
        """The answer for `thread`. threads: provides its limits. backlog: removed turns that no memory stores yet."""
        policy = threads.policies.of(thread.resource)
        limits = threads.policies.limits(policy)
        bounds = [(thread.tokens, limits.tokens), (thread.turns, limits.messages), (thread.turns, limits.turns)]
        threshold = policy.flush.threshold
        distances = [max(0, math.ceil(threshold * limit) - used) for used, limit in bounds if limit is not None]
        flushes = policy.type is not PolicyType.BUFFER
        return cls(
            turns=thread.turns,
            tokens=thread.tokens,
            max_tokens=limits.tokens,
            max_messages=limits.messages,
            max_turns=limits.turns,
            utilization=max(used / limit for used, limit in bounds if limit),
            distance_to_flush=distances[0] if flushes else None,
            turns_to_flush=max(0, math.ceil(threshold * limits.count) - thread.turns) if flushes else None,
            last_flush_at=thread.last_flush_at,
            ttl_s=thread.ttl_left_s,
            resource=thread.resource,
            policy=threads.policies.name(thread.resource),
            waiting=backlog.waiting,
            set_aside=len(backlog.set_aside),
            next_try_at=None if backlog.retry_at is None else rfc3339(backlog.retry_at),
        )


class ThreadCheck(Answer):
    """One check of a thread's health. detail: which turns could not be stored, why, and when they are retried."""

    name: str
    ok: bool
    detail: OmittedIfNone[str] = None


class ThreadHealthAnswer(Answer):
    """The results of a thread's health checks. ok: whether all passed."""

    ok: bool
    checks: list[ThreadCheck]

    @classmethod
    def of(cls, threads: Threads, content: ThreadContent, backlog: EvictedBacklog) -> Self:
        """Check a thread's limits, token count and time to live, and whether the turns removed from it were stored."""
        thread = content.thread
        limits = threads.policies.limits(threads.policies.of(thread.resource))
        counted = sum(turn.tokens for turn in content.turns) + thread.summary_tokens
        passed = {
            "tokens_add_up": counted == thread.tokens,
            "within_max_tokens": limits.tokens is None or thread.tokens <= limits.tokens,
            "within_max_messages": limits.messages is None or thread.turns <= limits.messages,
            "within_max_turns": thread.turns <= limits.turns,
            "expires": thread.ttl_left_s > 0,
        }
        checks = [ThreadCheck(name=name, ok=ok) for name, ok in passed.items()]
        detail = "; ".join(map(_failure, backlog.set_aside)) or None
        checks.append(ThreadCheck(name="nothing_set_aside", ok=detail is None, detail=detail))
        return cls(ok=all(check.ok for check in checks), checks=checks)


def _failure(batch: EvictedTurns) -> str:
    """Text that says which turns of the batch could not be stored, why, and when they are retried."""
    indices = ", ".join(str(turn.index) for turn in batch.turns)
    retry = "" if batch.retry_at is None else f"; tried again at {rfc3339(batch.retry_at)}"
    return f"turns {indices}: {batch.reason}{retry}"
