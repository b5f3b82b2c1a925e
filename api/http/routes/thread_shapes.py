"""Bodies and answers of the calls on threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.http.request import InNamespace, QueryWhole
from api.http.routes.memory_shapes import Redactions
from ingest.conversations.threads import OpenedThread, OpenRequest, Threads
from memtypes.live.thread_policy import AccessMode, PolicyType
from memtypes.live.turns import NewTurn, Turn, Version
from memtypes.model.memory import Flag, Model, Whole
from memtypes.model.scope import Name
from memtypes.model.times import Instant, rfc3339
from memtypes.ports.threads import EvictedBacklog, EvictedTurns, Thread, ThreadContent
from retrieval.answer import Answer, OmittedIfNone
from retrieval.context.thread import FileMention

MAX_BUDGET = 1_000_000
MAX_TURNS = 1_000


class ThreadPost(OpenRequest):
    """A thread to create or to find in a namespace. variables: read by the template of its key."""

    namespace: Name


class TurnPost(NewTurn):
    """A turn. expected_version: refuse it when another version is current."""

    expected_version: Version | None = None


class ReplacePost(Model):
    """New turns of a thread; all turns that it has are removed."""

    turns: list[NewTurn] = Field(max_length=MAX_TURNS)
    expected_version: Version | None = None


class ContextPost(Model):
    """A context in a budget of tokens. model: its tokenizer counts, unless `tokenizer` names another."""

    budget: Annotated[Whole, Field(ge=0, le=MAX_BUDGET)]
    tokenizer: Literal["cl100k_base", "o200k_base"] | None = None
    model: Name | None = None
    include_files: Flag = True


class ClearPost(Model):
    """Remove all turns. backup: keep them for 24 hours."""

    confirm: Flag
    backup: Flag = False

    @model_validator(mode="after")
    def _confirmed(self) -> Self:
        if not self.confirm:
            raise ValueError("confirm must be true")
        return self


class AgentQuery(InNamespace):
    """Which agent calls, where its mode matters."""

    agent_id: Name | None = None


class PageQuery(InNamespace):
    """Which turns to return, oldest first."""

    limit: Annotated[QueryWhole, Field(ge=1, le=1_000)] = 100
    offset: Annotated[QueryWhole, Field(ge=0, le=10_000_000)] = 0


class ThreadAnswer(Answer):
    """A thread without its turns. redactions: secrets removed from the initial context, by kind.

    policy: its policy in the policy file; null where there is none for its resource: 50 turns, 3 hours.
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
    initial_context: str | None
    summary: str | None
    last_flush_at: str | None
    ttl_s: int
    created_at: Instant
    redactions: Redactions = None

    @classmethod
    def of(cls, threads: Threads, thread: Thread) -> Self:
        """The answer for `thread`."""
        members: dict[str, Any] = {name: getattr(thread, name, None) for name in cls.model_fields}
        policy = threads.policies.name(thread.resource)
        return cls(**{**members, "summary": thread.summary or None, "policy": policy})

    @classmethod
    def opened(cls, threads: Threads, opened: OpenedThread) -> Self:
        """The answer for a thread that was created or found."""
        return cls.of(threads, opened.thread).model_copy(update={"redactions": opened.redactions})


class ReferenceAnswer(Answer):
    """A thread of an agent and the agent's mode for it."""

    resource: str
    mode: AccessMode
    thread: ThreadAnswer


class ReferencesAnswer(Answer):
    """The threads of an agent's references."""

    threads: list[ReferenceAnswer]


class PageAnswer(Answer):
    """A thread and some of its turns, oldest first."""

    thread: ThreadAnswer
    turns: Sequence[Turn]
    total: int


class SaidAnswer(Answer):
    """An appended turn. flushed, evicted: how many others left for it. redactions: secrets removed from it, by kind."""

    turn: Turn
    version: int
    flushed: int
    evicted: int
    redactions: Redactions = None


class VersionAnswer(Answer):
    """The version after a change. redactions: secrets removed from the new turns, by kind."""

    version: int
    redactions: Redactions = None


class ThreadChainAnswer(Answer):
    """A chain, oldest first. gap: an ancestor has expired."""

    threads: list[ThreadAnswer]
    gap: bool
    cycle: bool


class TurnPlace(Answer):
    """A turn of a chain."""

    thread_id: str
    index: int


class OmittedCounts(Answer):
    """How many turns and files were left out."""

    turns: int
    files: int


class ThreadContextMetadata(Answer):
    """The cost of a context. allocation: tokens of each part, with its heading."""

    total_tokens: int
    budget: int
    tokenizer: str
    allocation: dict[str, int]
    gap: bool


class ContextAnswer(Answer):
    """A context and what is in it."""

    context: str
    turns: list[TurnPlace]
    files: Sequence[FileMention]
    images: Sequence[FileMention]
    omitted: OmittedCounts
    metadata: ThreadContextMetadata


class FlushAnswer(Answer):
    """What a flush removed: turns, tokens before and after, the summary, and ids of the memories made."""

    flushed: int
    tokens_before: int
    tokens_after: int
    summary: OmittedIfNone[str] = None
    memory_ids: list[str]


class ThreadCleared(Answer):
    """How many turns there were."""

    cleared: int
    backup_id: OmittedIfNone[str] = None


class BackupAnswer(Answer):
    """The turns of a backup."""

    turns: Sequence[Turn]


class ThreadStatsAnswer(Answer):
    """The load of a thread. utilization: of the nearest limit. distance_to_flush: in tokens, else in messages.

    waiting: groups of turns evicted from threads of this namespace and not yet stored as memories. set_aside: groups
    of this thread that could not be stored; they are retried at next_try_at, later each time, and at a start.
    """

    turns: int
    tokens: int
    max_tokens: int | None
    max_messages: int | None
    max_turns: int
    utilization: float
    distance_to_flush: int | None
    last_flush_at: str | None
    ttl_s: int
    resource: str | None
    policy: str | None
    waiting: int
    set_aside: int
    next_try_at: str | None

    @classmethod
    def of(cls, threads: Threads, thread: Thread, backlog: EvictedBacklog) -> Self:
        """The answer for `thread`, of which `backlog` is not yet stored."""
        policy = threads.policies.of(thread.resource)
        limits = threads.policies.limits(policy)
        bounds = [(thread.tokens, limits.tokens), (thread.turns, limits.messages), (thread.turns, limits.turns)]
        threshold = policy.flush.threshold
        distances = [max(0, math.ceil(threshold * limit) - used) for used, limit in bounds[:2] if limit is not None]
        flushes = policy.type is not PolicyType.BUFFER and bool(distances)
        return cls(
            turns=thread.turns,
            tokens=thread.tokens,
            max_tokens=limits.tokens,
            max_messages=limits.messages,
            max_turns=limits.turns,
            utilization=max(used / limit for used, limit in bounds if limit),
            distance_to_flush=distances[0] if flushes else None,
            last_flush_at=thread.last_flush_at,
            ttl_s=thread.ttl_left_s,
            resource=thread.resource,
            policy=threads.policies.name(thread.resource),
            waiting=backlog.waiting,
            set_aside=len(backlog.set_aside),
            next_try_at=None if backlog.retry_at is None else rfc3339(backlog.retry_at),
        )


class ThreadCheck(Answer):
    """One check of a thread. detail: what could not be stored, why, and when it is retried."""

    name: str
    ok: bool
    detail: OmittedIfNone[str] = None


class ThreadHealthAnswer(Answer):
    """Whether all checks pass."""

    ok: bool
    checks: list[ThreadCheck]

    @classmethod
    def of(cls, threads: Threads, content: ThreadContent, backlog: EvictedBacklog) -> Self:
        """One check for each limit, for the token count, for the time to live, and for evicted turns."""
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
    """Which turns could not be stored, why, and when they are retried."""
    indices = ", ".join(str(turn.index) for turn in batch.turns)
    retry = "" if batch.retry_at is None else f"; tried again at {rfc3339(batch.retry_at)}"
    return f"turns {indices}: {batch.reason}{retry}"
