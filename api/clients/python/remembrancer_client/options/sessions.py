"""Keyword arguments of the calls on working memory, hooks and threads. The service has a default
for each of them.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from remembrancer_client.options.memories import BudgetParts, Oversize, Review, Scoped, Tokenizer


class WorkingOptions(Scoped, total=False):
    """Options for a new working item, a note on the current task. ttl_s: seconds until it
    expires.
    """

    todo_id: str | None
    workflow_id: str | None
    context_type: Literal["task_context", "variables", "state", "references"]
    scope: Literal["task", "subtask", "session"]
    priority: int
    ttl_s: int | None
    agent_id: str | None


class WorkingListOptions(Scoped, total=False):
    """Options for listing a session's working items. include_cleared: return cleared items, too."""

    agent_id: str
    todo_id: str
    include_cleared: bool


class ClearOptions(Scoped, total=False):
    """Options for clearing the working items of a to-do, the item `id`, or with neither, all of the
    session.
    """

    agent_id: str | None
    todo_id: str | None
    id: str | None


class TodoEntry(TypedDict):
    """An entry of an agent's to-do list."""

    id: str
    content: str
    status: Literal["pending", "in_progress", "completed"]


class PromptOptions(Scoped, total=False):
    """Options for `prompt_submit`. todos: the agent's to-do list. thread_id: thread to include in
    the context.
    """

    todo_id: str | None
    todos: list[TodoEntry]
    agent_id: str | None
    thread_id: str | None
    profile: str | None
    budget: int | BudgetParts
    working_budget: int
    oversize: Oversize | None
    floor: float


class TodoOptions(Scoped, total=False):
    """Options for `todo_created`. ttl_s: seconds until the to-do's working item expires."""

    agent_id: str | None
    ttl_s: int | None


class DoneOptions(Scoped, total=False):
    """Options for `todo_completed`. steps: what was done, in order; more than five steps are stored
    as a procedure.
    """

    agent_id: str | None
    steps: list[str]


class ChatMessage(TypedDict, total=False):
    """A message of a conversation; `role` and `content` are required. timestamp: its time, in RFC
    3339.
    """

    role: str
    content: str
    timestamp: str | None


class SaidBefore(TypedDict, total=False):
    """The earlier messages of a session whose messages are sent in several calls.

    count: number of all earlier messages. messages: the last of them, which are used as context and
    not stored again.
    """

    count: int
    messages: list[ChatMessage]


class StopOptions(Scoped, total=False):
    """Options for `session_stop`. review: "skip" stores messages unreviewed. ended: False if the
    session goes on.
    """

    review: Review
    before: SaidBefore
    ended: bool


class ThreadOptions(Scoped, total=False):
    """Options for creating or finding a thread.

    key: with `resource` (a policy name), identifies the thread; by default the policy's key
    template. variables: values for placeholders in it, such as `{{ user.id }}`. parent_id: thread
    that the new thread continues.
    """

    key: str | None
    parent_id: str | None
    resource: str | None
    agent_id: str | None
    initial_context: str | None
    workflow_id: str | None
    variables: dict[str, Any]


class ReferenceOptions(Scoped, total=False):
    """Options for `open_all`. variables: values for placeholders, such as `{{ user.id }}`, in the
    threads' keys.
    """

    variables: dict[str, Any]


class ThreadScope(Scoped, total=False):
    """Options for a call on a thread. agent_id: the calling agent; needed if the API key is bound
    to several agents.
    """

    agent_id: str


class ThreadListOptions(ThreadScope, total=False):
    """Options for listing threads: conditions that all have to match, and the page. key_prefix:
    start of the key.
    """

    key_prefix: str
    resource: str
    parent_id: str
    workflow_id: str
    limit: int
    cursor: str


class ThreadPageOptions(ThreadScope, total=False):
    """Options for reading a page of a thread's turns. offset: number of turns to skip, from the
    oldest.
    """

    limit: int
    offset: int


class TurnListOptions(ThreadScope, total=False):
    """Options for listing turns. include_flushed: also return turns that were removed to become
    memories.
    """

    include_flushed: bool
    after: int
    limit: int


class TurnFields(TypedDict, total=False):
    """Fields of a turn other than role and content. pinned: keep the turn when others are moved to
    memories.
    """

    agent_id: str | None
    files: list[str]
    images: list[str]
    tool: str | None
    model: str | None
    metadata: dict[str, Any]
    pinned: bool


class TurnText(TurnFields, total=False):
    """A turn of a thread; `role` and `content` are required."""

    role: str
    content: str


class AppendOptions(TurnFields, Scoped, total=False):
    """Options for `append`. expected_version: refuse the turn if the thread now has another
    version.
    """

    expected_version: int | None
    idempotency_key: str


class ReplaceOptions(ThreadScope, total=False):
    """Options for `replace`. expected_version: refuse the new turns if the thread now has another
    version.
    """

    expected_version: int | None


class ThreadContextOptions(ThreadScope, total=False):
    """Options for a thread's context. budget: maximum tokens; by default a share of the model's
    context window.
    """

    budget: int | None
    tokenizer: Tokenizer | None
    model: str | None
    include_files: bool


class FlushOptions(ThreadScope, total=False):
    """Options for `flush`. force: move turns to memories even below the policy's threshold.
    dry_run: change nothing.
    """

    strategy: Literal["simple_fifo", "lru", "token_aware_lru", "hybrid_summary"] | None
    dry_run: bool
    force: bool


class ThreadClearOptions(ThreadScope, total=False):
    """Options for clearing a thread. backup: keep a copy of the turns for 24 hours."""

    backup: bool
