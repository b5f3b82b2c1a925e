"""Keyword arguments of the calls, as typed dictionaries; what is not given keeps the service's default.

Every call that works in a namespace takes `namespace`, in place of the client's. Times are datetimes with an offset.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict

MemoryType: TypeAlias = Literal["episodic", "semantic", "prospective", "procedural", "working"]
Tokenizer: TypeAlias = Literal["cl100k_base", "o200k_base"]
Oversize: TypeAlias = Literal["skip", "cut", "excerpt"]
Outcome: TypeAlias = Literal["used", "helpful", "unhelpful", "success", "failure"]
Review: TypeAlias = Literal["auto", "skip"]
Status: TypeAlias = Literal["pending", "active", "completed", "cancelled"]
EventKind: TypeAlias = Literal[
    "started",
    "step_started",
    "step_completed",
    "step_failed",
    "resource_changed",
    "data_set",
    "note",
    "completed",
    "failed",
    "cancelled",
]


class Scoped(TypedDict, total=False):
    """Options of a call in a namespace. namespace: in place of the client's."""

    namespace: str


class LinkTo(TypedDict, total=False):
    """A link to the memory `to`. strength: 0..1."""

    to: str
    type: Literal["reinforces", "contradicts", "extends", "refines", "derived_from"]
    strength: float


class MemoryChanges(TypedDict, total=False):
    """Fields of a memory that can be changed: the common ones, then those that single types have."""

    importance: int
    tags: list[str]
    metadata: dict[str, Any]
    links: list[LinkTo]
    pinned: bool
    expires_at: datetime | None
    # episodic
    event_type: Literal["user_query", "agent_response", "decision", "error", "observation"]
    title: str | None
    context: str | None
    emotional_valence: int
    speaker: str | None
    turns: list[dict[str, Any]]
    # semantic
    concept: str | None
    category: str
    confidence: float
    source_sessions: list[str]
    evidence_count: int
    related: list[str]
    # prospective
    intention_type: Literal["todo", "reminder", "followup", "commitment"]
    trigger_type: Literal["time", "event", "context"]
    trigger_condition: str | None
    priority: int
    status: Status
    due_at: datetime | None
    due_text: str | None
    fired_at: datetime | None
    completed_at: datetime | None
    # procedural
    procedure_name: str | None
    steps: list[str]
    prerequisites: list[str]
    success_conditions: list[str]
    failure_patterns: list[str]
    usage_count: int
    success_rate: float | None
    last_used_at: datetime | None
    # working
    todo_id: str | None
    context_type: Literal["task_context", "variables", "state", "references"]
    scope: Literal["task", "subtask", "session"]
    cleared_at: datetime | None


class MemoryFields(MemoryChanges, total=False):
    """Fields of a new memory, besides its content. type: by default, the service classifies the content."""

    type: MemoryType | None
    session_id: str | None
    agent_id: str | None
    source: str | dict[str, Any] | None
    created_at: datetime | None
    visibility: Literal["session", "namespace"] | None
    seq: int | None
    review: Review | None


class NewMemory(MemoryFields, total=False):
    """A memory to write in a batch; `content` is required."""

    content: str


class RememberOptions(MemoryFields, Scoped, total=False):
    """Options of `remember`."""


class UpdateOptions(MemoryChanges, Scoped, total=False):
    """Options of `update`. valid_to: None brings back a memory that was replaced or has ended."""

    content: str
    valid_to: datetime | None


class BatchOptions(Scoped, total=False):
    """Options of `batch`. idempotency_key: by default a new one for each call."""

    idempotency_key: str


class ListOptions(Scoped, total=False):
    """Options of `page` and `all`: which memories, and how many on a page (at most 500)."""

    type: MemoryType
    session_id: str
    agent_id: str
    tag: str
    created_after: datetime
    created_before: datetime
    include_expired: bool
    state: Literal["current", "contested", "replaced"]
    limit: int
    cursor: str


class RankOptions(Scoped, total=False):
    """Options of search and retrieval. filters: as the API's filter language. floor: least certainty of a hit."""

    types: list[MemoryType] | None
    session_id: str | None
    agent_id: str | None
    filters: dict[str, Any] | None
    profile: str | None
    weights: dict[str, float] | None
    min_similarity: float | None
    min_score: float | None
    as_of: datetime | None
    floor: float
    explain: bool


class SearchOptions(RankOptions, total=False):
    """Options of `search`."""

    top_k: int


class BudgetParts(TypedDict, total=False):
    """A budget in tokens. per_type: caps of types; 0 leaves a type out."""

    total: int
    per_type: dict[MemoryType, int] | None


class RecallOptions(RankOptions, total=False):
    """Options of `recall`. working_budget: tokens for working memory, on top of `budget`."""

    todo_id: str | None
    budget: int | BudgetParts
    model: str | None
    tokenizer: Tokenizer
    include_working: bool
    include_due: bool
    working_budget: int
    oversize: Oversize | None
    receipt: bool


class EraseOptions(Scoped, total=False):
    """Options of `forget_all`: which memories of the namespace; without any, all."""

    type: MemoryType
    session_id: str


class DueOptions(Scoped, total=False):
    """Options of `due`. mark: make what is due active, so that it is due once."""

    at: datetime
    event: str
    context: str
    session_id: str
    mark: bool


class DecisionOptions(Scoped, total=False):
    """Options of `decisions`."""

    kind: Literal["replaced", "contested", "merged", "promoted", "forgotten", "rejected"]
    limit: int


class AgentOptions(Scoped, total=False):
    """Options of `agent_context`. variables: for the keys of the agent's threads."""

    query: str | None
    session_id: str | None
    variables: dict[str, Any]
    model: str | None
    budget: int | None
    floor: float


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
    """Options of `prompt_submit`. todos: the agent's list of to-dos. thread_id: whose turns are part of the context."""

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
    """What a session said before the messages of a call: their number, and the last of them as context."""

    count: int
    messages: list[ChatMessage]


class StopOptions(Scoped, total=False):
    """Options of `session_stop`. review: skip keeps every message. ended: False if the session goes on."""

    review: Review
    before: SaidBefore
    ended: bool


class ThreadOptions(Scoped, total=False):
    """Options of opening a thread. variables: for the template of its key."""

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
    """Options of a call on a thread. agent_id: the agent that calls, with a key of several agents."""

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
    """Options of a list of turns. include_flushed: also those that left the thread."""

    include_flushed: bool
    after: int
    limit: int


class TurnFields(TypedDict, total=False):
    """Fields of a turn, besides its role and content. pinned: it is never evicted or flushed."""

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
    """Options of a thread's context. budget: by default from the model's window."""

    budget: int | None
    tokenizer: Tokenizer | None
    model: str | None
    include_files: bool


class FlushOptions(ThreadScope, total=False):
    """Options of `flush`. force: also below the threshold."""

    strategy: Literal["simple_fifo", "lru", "token_aware_lru", "hybrid_summary"] | None
    dry_run: bool
    force: bool


class ThreadClearOptions(ThreadScope, total=False):
    """Options of clearing a thread. backup: keep the turns for 24 hours."""

    backup: bool


class WorkflowOptions(Scoped, total=False):
    """Options of a new workflow. on_end: what becomes of its threads and working items."""

    workflow_id: str | None
    parent_id: str | None
    agent: str | None
    data: dict[str, Any]
    on_end: Literal["keep", "flush", "delete"]


class EventOptions(Scoped, total=False):
    """Options of an event. expected_version: refuse it unless this is the workflow's version."""

    step_id: str | None
    agent: str | None
    input: Any
    output: Any
    error: Any
    resources: dict[str, Any] | None
    data: dict[str, Any] | None
    reason: str | None
    expected_version: int | None


class WorkflowListOptions(Scoped, total=False):
    """Options of a list of workflows."""

    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    parent_id: str
    limit: int
    cursor: str


class StateOptions(Scoped, total=False):
    """Options of a workflow's state. at_version: after this event."""

    at_version: int


class EventListOptions(Scoped, total=False):
    """Options of a list of events. after: above this version."""

    after: int
    limit: int


class HistoryOptions(Scoped, total=False):
    """Options of a workflow's history. versions: the newest value of each resource, or all."""

    budget: int
    model: str
    versions: Literal["newest", "all"]


class ResumeOptions(Scoped, total=False):
    """Options of `resume`. idempotency_key: by default a new one for each call."""

    agent: str | None
    budget: int | None
    model: str | None
    versions: Literal["newest", "all"]
    idempotency_key: str


class ItemScope(Scoped, total=False):
    """Options of a call on items. agent_id: the agent whose items they are; without it, those of no agent."""

    agent_id: str


class GetOptions(ItemScope, total=False):
    """Options of `get`. refresh_ttl: restart the item's time to live."""

    refresh_ttl: bool


class PutOptions(ItemScope, total=False):
    """Options of `put`.

    index: paths of the texts to search by, such as `title` or `parts[*].text`; False for none; without it, the whole
    value. ttl_s: seconds to live after the last put, and after a read that refreshes.
    """

    index: Literal[False] | list[str] | None
    ttl_s: float | None


class ItemSearchOptions(ItemScope, total=False):
    """Options of a search of items. filter: on members of the values, such as {"size": {"$gt": 3}}."""

    query: str | None
    filter: dict[str, Any] | None
    limit: int
    offset: int
    refresh_ttl: bool


class PathMatch(TypedDict):
    """A condition on paths: that they begin or end with `path`; `*` matches any label."""

    type: Literal["prefix", "suffix"]
    path: list[str]


class PathOptions(ItemScope, total=False):
    """Options of a list of paths. max_depth: cut longer paths to so many labels."""

    match: list[PathMatch]
    max_depth: int | None
    limit: int
    offset: int


class JobOptions(TypedDict, total=False):
    """Options of an upkeep job. dry_run: True by default. namespace: by default the client's; None means all."""

    namespace: str | None
    dry_run: bool
    types: list[MemoryType] | None
    min_sessions: int
    min_uses: int
    max_age_days: int | None
    inactive_days: int | None
    keep_top: int | None
    expired_days: int
    similarity: float
