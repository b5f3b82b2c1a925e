"""Keyword arguments of the calls on working memory, hooks and threads; what is left out keeps the service's default."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from remembrancer_client.options.memories import BudgetParts, Oversize, Review, Scoped, Tokenizer


class WorkingOptions(Scoped, total=False):
    """Options of a new working item."""

    todo_id: str | None
    workflow_id: str | None
    context_type: Literal["task_context", "variables", "state", "references"]
    scope: Literal["task", "subtask", "session"]
    priority: int
    ttl_s: int | None
    agent_id: str | None


class WorkingListOptions(Scoped, total=False):
    """Options of a list of working items."""

    agent_id: str
    todo_id: str
    include_cleared: bool


class ClearOptions(Scoped, total=False):
    """Options of clearing working memory: a to-do's items, one item, or all of the session."""

    agent_id: str | None
    todo_id: str | None
    id: str | None


class TodoEntry(TypedDict):
    """An entry of an agent's list of to-dos."""

    id: str
    content: str
    status: Literal["pending", "in_progress", "completed"]


class PromptOptions(Scoped, total=False):
    """Options of `prompt_submit`. todos: the agent's to-dos. thread_id: thread to include in the context."""

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
    """Options of `todo_created`."""

    agent_id: str | None
    ttl_s: int | None


class DoneOptions(Scoped, total=False):
    """Options of `todo_completed`. steps: what was done, in order; more than five become a procedure."""

    agent_id: str | None
    steps: list[str]


class ChatMessage(TypedDict, total=False):
    """A message of a conversation; `role` and `content` are required. timestamp: RFC 3339."""

    role: str
    content: str
    timestamp: str | None


class SaidBefore(TypedDict, total=False):
    """What a session said before the messages of a call. count: how many messages. messages: the last of them."""

    count: int
    messages: list[ChatMessage]


class StopOptions(Scoped, total=False):
    """Options of `session_stop`. review: "skip" keeps every message. ended: False if the session goes on."""

    review: Review
    before: SaidBefore
    ended: bool


class ThreadOptions(Scoped, total=False):
    """Options of opening a thread. variables: values for the template of its key."""

    key: str | None
    parent_id: str | None
    resource: str | None
    agent_id: str | None
    initial_context: str | None
    workflow_id: str | None
    variables: dict[str, Any]


class ReferenceOptions(Scoped, total=False):
    """Options of opening all threads of an agent."""

    variables: dict[str, Any]


class ThreadScope(Scoped, total=False):
    """Options of a call on a thread. agent_id: the calling agent, if the key is bound to several."""

    agent_id: str


class ThreadListOptions(ThreadScope, total=False):
    """Options of a list of threads."""

    key_prefix: str
    resource: str
    parent_id: str
    workflow_id: str
    limit: int
    cursor: str


class ThreadPageOptions(ThreadScope, total=False):
    """Options of a page of a thread's turns."""

    limit: int
    offset: int


class TurnListOptions(ThreadScope, total=False):
    """Options of a list of turns. include_flushed: return turns that have left the thread, too."""

    include_flushed: bool
    after: int
    limit: int


class TurnFields(TypedDict, total=False):
    """Fields of a turn, besides its role and content. pinned: whether to keep it from being evicted or flushed."""

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
    """Options of `append`. expected_version: refuse the turn unless this is the thread's version."""

    expected_version: int | None
    idempotency_key: str


class ReplaceOptions(ThreadScope, total=False):
    """Options of `replace`. expected_version: refuse the turns unless this is the thread's version."""

    expected_version: int | None


class ThreadContextOptions(ThreadScope, total=False):
    """Options of a thread's context. budget: by default part of the model's window."""

    budget: int | None
    tokenizer: Tokenizer | None
    model: str | None
    include_files: bool


class FlushOptions(ThreadScope, total=False):
    """Options of `flush`. force: flush even below the threshold."""

    strategy: Literal["simple_fifo", "lru", "token_aware_lru", "hybrid_summary"] | None
    dry_run: bool
    force: bool


class ThreadClearOptions(ThreadScope, total=False):
    """Options of clearing a thread. backup: keep the turns for 24 hours."""

    backup: bool
