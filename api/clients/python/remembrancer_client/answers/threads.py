"""Answers about threads, working memory and hooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from remembrancer_client.answers.memories import Answer, StatusCounts


class TurnPlace(Answer, frozen=True):
    """Where a turn is: its thread in the chain, and its index in that thread. cut: only its beginning is shown."""

    thread_id: str
    index: int
    cut: bool = False


class OmittedParts(Answer, frozen=True):
    """What a context leaves out. turns, files, images: how many. summary, initial_context: whether this is incomplete.

    Only turns that are still in a thread are counted. The summary or initial context is that of the thread or an
    ancestor.
    """

    turns: int = 0
    files: int = 0
    images: int = 0
    summary: bool = False
    initial_context: bool = False


class SessionStopAnswer(Answer, frozen=True):
    """A result for each message, in order, and how many ended with each status."""

    results: list[MessageResult]
    counts: StatusCounts


class MessageResult(Answer, frozen=True):
    """The outcome of storing one message of a session.

    index: the message's index. ids, types: those of the memories that store it. reason: why it was rejected, merged or
    changed, or failed. redactions: secrets removed, by kind.
    """

    index: int
    status: str
    ids: list[str] = []
    types: list[str] = []
    reason: str | None = None
    redactions: dict[str, int] = {}


class TodoCompletedAnswer(Answer, frozen=True):
    """How many working items were cleared, and the procedure stored for a to-do of more than 5 steps.

    redactions: secrets removed from the steps, by kind.
    """

    cleared: int
    procedural_id: str | None
    redactions: dict[str, int] = {}


class TodoCreatedAnswer(Answer, frozen=True):
    """The id of the new working item. redactions: secrets removed from its content, by kind."""

    working_id: str
    redactions: dict[str, int] = {}


class ThreadsAnswer(Answer, frozen=True):
    """Threads, the last used first. next_cursor: null on the last page."""

    threads: list[ThreadAnswer]
    next_cursor: str | None


class ThreadAnswer(Answer, frozen=True):
    """A thread without its turns.

    redactions: secrets removed from its initial context, by kind. policy: name of the policy that the policy file has
    for its resource. Without one it is None, and the limits are 50 turns and 3 hours.
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
    last_flush_at: datetime | None
    ttl_s: int
    created_at: datetime
    used_at: datetime | None
    redactions: dict[str, int] = {}


class ReferencesAnswer(Answer, frozen=True):
    """The threads that the policy file gives an agent: one for each resource (named thread policy) that it lists."""

    threads: list[ReferenceAnswer]


class ReferenceAnswer(Answer, frozen=True):
    """A thread that the policy file gives an agent. resource: name of the thread's policy. mode: the agent's access."""

    resource: str
    mode: str
    thread: ThreadAnswer


class BackupAnswer(Answer, frozen=True):
    """The turns that a thread had before it was cleared."""

    turns: list[Turn]


class Turn(Answer, frozen=True):
    """A turn of a thread. index: its number, never reused; -1 before it is appended. tokens: size of its content."""

    role: str
    content: str
    tokens: int
    at: datetime
    files: list[str]
    images: list[str]
    metadata: dict[str, Any]
    agent_id: str | None = None
    tool: str | None = None
    model: str | None = None
    pinned: bool = False
    index: int = -1


class PageAnswer(Answer, frozen=True):
    """A thread and a page of its turns, oldest first. total: number of all its turns."""

    thread: ThreadAnswer
    turns: list[Turn]
    total: int


class ThreadChainAnswer(Answer, frozen=True):
    """A thread preceded by the threads that it continues, oldest first. gap: whether one of those has expired."""

    threads: list[ThreadAnswer]
    gap: bool
    cycle: bool


class ThreadCleared(Answer, frozen=True):
    """How many turns were removed. backup_id: id of their backup, if one was asked for."""

    cleared: int
    backup_id: str | None = None


class ContextAnswer(Answer, frozen=True):
    """A context, the turns, files and images in it, and what was left out."""

    context: str
    turns: list[TurnPlace]
    files: list[FileMention]
    images: list[FileMention]
    omitted: OmittedParts
    metadata: ThreadContextMetadata


class FileMention(Answer, frozen=True):
    """Newest mention of a file or an image. turn: index of the turn that mentions it, in the thread `thread_id`."""

    path: str
    thread_id: str
    turn: int


class ThreadContextMetadata(Answer, frozen=True):
    """The size of a thread's context.

    allocation: tokens of each of its parts, headings included. model_tokens: the count of the model's provider, where
    one is configured. degraded: parts that did not answer.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    allocation: dict[str, int]
    gap: bool
    model_tokens: int | None = None
    degraded: list[str] = []


class FlushAnswer(Answer, frozen=True):
    """The result of a flush, which removes turns from a thread and stores them as memories.

    flushed: number of turns removed. tokens_before, tokens_after: size of the thread. summary: text that replaces the
    turns in the thread. memory_ids: ids of the memories made.
    """

    flushed: int
    tokens_before: int
    tokens_after: int
    memory_ids: list[str]
    summary: str | None = None


class ThreadHealthAnswer(Answer, frozen=True):
    """The checks of a thread, and whether all passed."""

    ok: bool
    checks: list[ThreadCheck]


class ThreadCheck(Answer, frozen=True):
    """One check of a thread. detail: which turns could not be stored, why, and when they are retried."""

    name: str
    ok: bool
    detail: str | None = None


class ThreadStatsAnswer(Answer, frozen=True):
    """The size of a thread.

    utilization: its size as a share of the limit that it is nearest to. distance_to_flush: tokens until a flush starts;
    messages, if tokens are not limited. turns_to_flush: turns until the limits of messages and turns start a flush.
    Both are None for a thread that is not flushed automatically. waiting: number of batches of turns that were evicted
    from threads of this namespace and are not stored as memories yet. set_aside: number of batches of this thread that
    could not be stored; they are retried at next_try_at, then at growing intervals, and when a service starts.
    """

    turns: int
    tokens: int
    max_tokens: int | None
    max_messages: int | None
    max_turns: int
    utilization: float
    distance_to_flush: int | None
    turns_to_flush: int | None
    last_flush_at: datetime | None
    ttl_s: int
    resource: str | None
    policy: str | None
    waiting: int
    set_aside: int
    next_try_at: datetime | None


class TurnsAnswer(Answer, frozen=True):
    """Turns of a thread in order. next_after: `after` of the next page; null on the last one."""

    turns: list[ListedTurn]
    next_after: int | None


class ListedTurn(Turn, frozen=True, kw_only=True):
    """A turn of a thread. flushed: whether it has left the thread. memory_id: id of the memory that stores it."""

    flushed: bool
    memory_id: str | None = None


class VersionAnswer(Answer, frozen=True):
    """The version of a thread after a change. redactions: secrets removed from the new turns, by kind."""

    version: int
    redactions: dict[str, int] = {}


class SaidAnswer(Answer, frozen=True):
    """An appended turn. flushed, evicted: how many other turns left the thread because of it.

    version: of the thread afterwards, which the next call may send as expected_version. redactions: secrets removed
    from the turn, by kind.
    """

    turn: Turn
    version: int
    flushed: int
    evicted: int
    redactions: dict[str, int] = {}


class ItemsAnswer(Answer, frozen=True):
    """The working items of a session, oldest first."""

    items: list[WorkingItemAnswer]


class WorkingItemAnswer(Answer, frozen=True):
    """A working item of a session, live or cleared."""

    id: str
    namespace: str
    session_id: str | None
    agent_id: str | None
    todo_id: str | None
    workflow_id: str | None
    content: str
    context_type: str
    scope: str
    priority: int
    created_at: datetime
    accessed_at: datetime | None
    expires_at: datetime | None
    cleared_at: datetime | None
    tokens: ItemTokens


class ItemTokens(Answer, frozen=True):
    """How many tokens the content has, and the tokenizer that counted them."""

    count: int
    tokenizer: str


class WorkingCreated(WorkingItemAnswer, frozen=True):
    """A working item that was created. redactions: secrets removed from its content, by kind."""

    redactions: dict[str, int] = {}


class WorkingCleared(Answer, frozen=True):
    """How many working items were cleared."""

    cleared: int
