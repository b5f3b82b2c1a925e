"""Answers of the calls on threads (stored conversations), working memory and hooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from remembrancer_client.answers.memories import Answer, StatusCounts


class TurnPlace(Answer, frozen=True):
    """A turn shown in a context: its thread, and its index there. cut: whether only the turn's
    beginning is shown.
    """

    thread_id: str
    index: int
    cut: bool = False


class OmittedParts(Answer, frozen=True):
    """The parts of a thread, and of the threads that it continues, that the thread's context leaves
    out.

    turns, files, images: how many turns, files and images of the threads the context does not show.
    summary, initial_context: whether the summary of older turns or the text with which the thread
    was opened is left out or cut.
    """

    turns: int = 0
    files: int = 0
    images: int = 0
    summary: bool = False
    initial_context: bool = False


class SessionStopAnswer(Answer, frozen=True):
    """A result for each message that was sent, in order, and how many messages ended with each
    status.
    """

    results: list[MessageResult]
    counts: StatusCounts


class MessageResult(Answer, frozen=True):
    """The outcome of storing one message of a session.

    index: the message's index in the call. ids, types: ids and types of the memories that store the
    message. reason: why it was rejected, merged, changed or failed. redactions: number of secrets
    removed from it, by kind.
    """

    index: int
    status: str
    ids: list[str] = []
    types: list[str] = []
    reason: str | None = None
    redactions: dict[str, int] = {}


class TodoCompletedAnswer(Answer, frozen=True):
    """How many working items (notes in working memory) of a completed to-do were cleared.

    procedural_id: id of the memory that stores the steps taken; None unless there were more than 5.
    redactions: number of secrets removed from the steps, by kind.
    """

    cleared: int
    procedural_id: str | None
    redactions: dict[str, int] = {}


class TodoCreatedAnswer(Answer, frozen=True):
    """Id of the working item (note) for a new to-do. redactions: number of secrets removed from its
    text, by kind.
    """

    working_id: str
    redactions: dict[str, int] = {}


class ThreadsAnswer(Answer, frozen=True):
    """A page of threads, the last changed first. next_cursor: `cursor` of the next page; None on
    the last page.
    """

    threads: list[ThreadAnswer]
    next_cursor: str | None


class ThreadAnswer(Answer, frozen=True):
    """A thread without its turns.

    tokens, turns: size of the thread. resource: name of the thread's policy. policy: equal to
    `resource` if the policy file has a policy of this name; None otherwise, so that the default
    limits of 50 turns and 3 hours apply. ttl_s: seconds without use after which the thread expires.
    redactions: number of secrets removed from its initial context, by kind.
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
    """The threads of an agent: one for each thread policy that the service's policy file lists for
    the agent.
    """

    threads: list[ReferenceAnswer]


class ReferenceAnswer(Answer, frozen=True):
    """A thread that an agent may use. resource: name of the thread's policy. mode: read-write or
    read-only.
    """

    resource: str
    mode: str
    thread: ThreadAnswer


class BackupAnswer(Answer, frozen=True):
    """The backup of a thread: the turns that it had before it was cleared."""

    turns: list[Turn]


class Turn(Answer, frozen=True):
    """A turn of a thread. index: its number in the thread, never reused. tokens: size of its
    content. at: its time.
    """

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
    """A thread and a page of its turns, oldest first. total: number of turns on all pages."""

    thread: ThreadAnswer
    turns: list[Turn]
    total: int


class ThreadChainAnswer(Answer, frozen=True):
    """The threads that a thread continues, oldest first, and the thread itself at the end.

    gap: whether a thread is missing, because it has expired or may not be read. cycle: always
    False, because the service refuses a thread that would continue itself.
    """

    threads: list[ThreadAnswer]
    gap: bool
    cycle: bool


class ThreadCleared(Answer, frozen=True):
    """How many turns were removed from a thread. backup_id: id of their backup; None if no backup
    was requested.
    """

    cleared: int
    backup_id: str | None = None


class ContextAnswer(Answer, frozen=True):
    """The context of a thread as text, with the turns, files and images that it shows, and what it
    leaves out.
    """

    context: str
    turns: list[TurnPlace]
    files: list[FileMention]
    images: list[FileMention]
    omitted: OmittedParts
    metadata: ThreadContextMetadata


class FileMention(Answer, frozen=True):
    """The newest mention of a file or an image in a thread. turn: index of the turn with the
    mention.
    """

    path: str
    thread_id: str
    turn: int


class ThreadContextMetadata(Answer, frozen=True):
    """The size of a thread's context.

    allocation: tokens of each part of the context, headings included. gap: whether a thread that
    this thread continues is missing. model_tokens: the count by the model's provider; None if no
    provider is configured. degraded: "token_count" if the provider did not respond, else empty.
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

    flushed: number of turns removed. tokens_before, tokens_after: size of the thread before and
    after. summary: text that replaces the turns in the thread; None if the policy asks for no
    summary. memory_ids: ids of the memories that store the turns.
    """

    flushed: int
    tokens_before: int
    tokens_after: int
    memory_ids: list[str]
    summary: str | None = None


class ThreadHealthAnswer(Answer, frozen=True):
    """Results of a thread's health checks. ok: whether all checks passed."""

    ok: bool
    checks: list[ThreadCheck]


class ThreadCheck(Answer, frozen=True):
    """Result of one health check of a thread. detail: the turns that could not be stored, why, and
    their next retry.
    """

    name: str
    ok: bool
    detail: str | None = None


class ThreadStatsAnswer(Answer, frozen=True):
    """The size of a thread.

    A flush moves turns to memories when the thread reaches a threshold. utilization: the largest
    share of a limit that the thread's tokens, messages or turns take. distance_to_flush: tokens
    that may be added before a flush starts; messages, if the policy does not limit tokens.
    turns_to_flush: turns that may be added before the limits of messages and turns start a flush.
    Both are None if the thread is not flushed automatically. waiting: number of batches of turns,
    evicted from threads of this namespace, that are not yet stored as memories. set_aside: number
    of this thread's batches that could not be stored. They are retried at next_try_at, then at
    growing intervals, and when the service starts.
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
    """A page of a thread's turns, oldest first. next_after: `after` of the next page; None on the
    last page.
    """

    turns: list[ListedTurn]
    next_after: int | None


class ListedTurn(Turn, frozen=True, kw_only=True):
    """A turn of a thread. flushed: whether it was moved out of the thread. memory_id: memory that
    stores it, if any.
    """

    flushed: bool
    memory_id: str | None = None


class VersionAnswer(Answer, frozen=True):
    """A thread's version after its turns were replaced. redactions: secrets removed from the new
    turns, by kind.
    """

    version: int
    redactions: dict[str, int] = {}


class SaidAnswer(Answer, frozen=True):
    """The turn that was appended to a thread, and what it did to the thread.

    flushed: number of older turns moved to memories, because the thread reached the threshold of
    its policy. evicted: number of older turns removed to make room for this turn; they become
    memories later. version: the thread's new version, which the next call may send as
    expected_version. redactions: number of secrets removed from the turn, by kind.
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
    """A working item: a note on a session's current task. cleared_at: when it was cleared; None
    while it is live.
    """

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
    """Number of tokens in a working item's content, and the name of the tokenizer that counted
    them.
    """

    count: int
    tokenizer: str


class WorkingCreated(WorkingItemAnswer, frozen=True):
    """A working item that was created. redactions: number of secrets removed from its content, by
    kind.
    """

    redactions: dict[str, int] = {}


class WorkingCleared(Answer, frozen=True):
    """How many working items a call cleared."""

    cleared: int
