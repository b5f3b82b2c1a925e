"""Keyword arguments of the calls, as typed dictionaries.

Generated from the service's OpenAPI document by `make client-types`; not to be edited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from typing_extensions import Required


class AgentOptions(TypedDict, total=False):
    """A request for an agent's context. query: by default the beginning of the newest turn of the
    agent's threads.

    variables: values for placeholders in the keys of these threads, such as {"project": "x"}.
    session.id and agent.id are added. model: the model that reads the context. budget: maximum
    tokens of the whole context; by default the content part of the model's window (60 %, or 80 % of
    a large one), or 8,000 if the window is unknown. floor: a memory whose relevance (0 to 1) is
    lower is left out.
    """

    namespace: str
    query: str | None
    session_id: str | None
    variables: Mapping[str, Any]
    model: str | None
    budget: int | None
    floor: float
    """
    How sure it must be that a hit helps to answer the query for it to be shown; 0 shows all.
    """


class AppendOptions(TypedDict, total=False):
    """A turn to append to a thread. expected_version: answer 409 unless the thread has this
    version.
    """

    agent_id: str | None
    files: Sequence[str | FileReference]
    images: Sequence[str | ImageReference]
    tool: str | None
    model: str | None
    metadata: Mapping[str, Any]
    pinned: bool
    expected_version: int | None
    namespace: str
    idempotency_key: str
    """
    The same key and body within 24 hours append one turn; another body is a 409.
    """


class BatchOptions(TypedDict, total=False):
    """A batch of memories to write into one namespace."""

    namespace: str
    idempotency_key: str
    """
    The same key and body within 24 hours give the same answer; another body is a 409.
    """


class Budget(TypedDict, total=False):
    """A token budget of a context. total: for all long-term memories. per_type: maximum per type; 0
    leaves it out.
    """

    total: int
    per_type: Mapping[MemoryType, int] | None


Category: TypeAlias = Literal["pattern", "fact", "principle", "domain_knowledge"]


class ClearOptions(TypedDict, total=False):
    """Which items of working memory to clear: those of `todo_id`, the item `id`, or by default all
    of the session.

    agent_id: the calling agent, needed for an API key that is bound to several agents; only its
    items are cleared.
    """

    namespace: str
    agent_id: str | None
    todo_id: str | None
    id: str | None


ClearReason: TypeAlias = Literal[
    "completed",
    "cancelled",
    "deleted",
    "replaced",
    "cleared",
    "session_ended",
    "workflow_ended",
    "expired",
]


ContextType: TypeAlias = Literal["task_context", "variables", "state", "references"]


DecisionKind: TypeAlias = Literal[
    "replaced",
    "retracted",
    "contested",
    "merged",
    "promoted",
    "forgotten",
    "rejected",
    "lapsed",
    "ended",
    "said_ended",
    "moved",
    "reopened",
]


class DecisionOptions(TypedDict, total=False):
    """Which decisions of the service about memories to list: the newest `limit`. kind: by default
    any kind.
    """

    namespace: str
    kind: DecisionKind
    limit: int


class DoneOptions(TypedDict, total=False):
    """A to-do that was completed in a session. steps: the steps that were taken for it, in
    order.
    """

    namespace: str
    agent_id: str | None
    steps: Sequence[str]


class DueOptions(TypedDict, total=False):
    """Which tasks to list: those due at the time `at` (by default now), on `event`, or because of
    the text `context`.

    context: text that may meet a task's condition, such as a prompt. session_id: the calling
    session; tasks that only another session may see are left out. mark: mark the listed tasks as
    fired, so that they are not due again.
    """

    namespace: str
    at: datetime
    event: str
    context: str
    session_id: str
    mark: bool


class EraseOptions(TypedDict, total=False):
    """Which memories of a namespace to delete: by default all. confirm: must be `true`."""

    namespace: str
    type: MemoryType
    session_id: str


class EventListOptions(TypedDict, total=False):
    """Which events of a workflow to return: the `limit` oldest events whose version is above
    `after`.
    """

    namespace: str
    after: int
    limit: int


class EventOptions(TypedDict, total=False):
    """A workflow event as a caller sends it.

    input, output, error: of the step or the workflow, any JSON. resources, data: values to set in
    the workflow's state, by name. reason: why the agent reports the event. expected_version: the
    version of the workflow at which the event is accepted; None for any.
    """

    step_id: str | None
    agent: str | None
    input: Any
    output: Any
    error: Any
    resources: Mapping[str, Any] | None
    data: Mapping[str, Any] | None
    reason: str | None
    expected_version: int | None
    namespace: str


EventType: TypeAlias = Literal["user_query", "agent_response", "decision", "error", "observation"]


FeedbackOutcome: TypeAlias = Literal["used", "helpful", "unhelpful", "success", "failure"]


class FileReference(TypedDict, total=False):
    """A file that a conversation turn mentions, by its path. content: its text, as it is now.

    A thread keeps the newest content of each file, and contexts show it where it fits.
    """

    path: Required[str]
    content: str | None


class FlushOptions(TypedDict, total=False):
    """Options for flushing a thread.

    strategy: used instead of the strategy in the thread's policy. dry_run: report what a flush
    would remove, and change nothing. force: flush even if the thread is below the threshold of its
    policy.
    """

    strategy: FlushStrategy | None
    dry_run: bool
    force: bool
    namespace: str
    agent_id: str


FlushStrategy: TypeAlias = Literal["simple_fifo", "lru", "token_aware_lru", "hybrid_summary"]


class GetOptions(TypedDict, total=False):
    """The address of a keyed item to read. refresh_ttl: whether to restart its time to live."""

    namespace: str
    agent_id: str
    refresh_ttl: bool


class HistoryOptions(TypedDict, total=False):
    """How to write the history of a workflow as text.

    budget: maximum tokens; by default the part of the context window of `model` that is meant for
    history, or 8,000 if no model is named or its window is unknown. model: the model whose tokens
    are counted. versions: whether to show only the newest value of each resource, or all its
    values.
    """

    namespace: str
    budget: int
    model: str
    versions: Versions


class ImageReference(TypedDict, total=False):
    """An image that a conversation turn mentions, by its path."""

    path: Required[str]


IntentionType: TypeAlias = Literal["todo", "reminder", "followup", "commitment"]


class ItemScope(TypedDict, total=False):
    """The address of a keyed item. path: its labels, joined by dots, such as `users.ada`; the root
    if left out.
    """

    namespace: str
    agent_id: str


class ItemSearchOptions(TypedDict, total=False):
    """A search for keyed items. prefix: labels with which the paths of the items begin.

    query: text to compare with the items by meaning, most similar first. Without a query, items put
    last come first. filter: conditions on members of the values, such as {"color": "red", "size":
    {"$gt": 3}}, with the operators $eq, $ne, $gt, $gte, $lt and $lte. refresh_ttl: whether to
    restart the time to live of the items in the answer.
    """

    namespace: str
    agent_id: str | None
    query: str | None
    filter: Mapping[str, Any] | None
    limit: int
    offset: int
    refresh_ttl: bool


class JobOptions(TypedDict, total=False):
    """The options of an upkeep job. One that only a certain job has is annotated with this job.

    namespace: None for all namespaces of the tenant. dry_run: only report what would be done.
    types: of memories; None for all. min_sessions: sessions in which an event must occur to become
    a fact. max_age_days, inactive_days, keep_top (memories that are kept of each type in a
    namespace): each applies only if it is set.
    similarity: minimum cosine at which memories are merged. expired_days: days for which expired
    memories are kept to answer questions about the past; None for those of the service's settings.
    """

    namespace: str | None
    dry_run: bool
    types: Sequence[MemoryType] | None
    min_sessions: int
    max_age_days: int | None
    inactive_days: int | None
    keep_top: int | None
    expired_days: int | None
    similarity: float


class Link(TypedDict, total=False):
    """A link from a memory to `to`, another memory of its namespace. strength: how certain or close
    the relation is.
    """

    to: Required[str]
    type: Required[LinkType]
    strength: float


LinkType: TypeAlias = Literal["reinforces", "contradicts", "extends", "refines", "derived_from"]


class ListOptions(TypedDict, total=False):
    """Query parameters of a list of memories, all of which must match.

    created_after, created_before: only memories created at the first time or later, and before the
    second. state: only memories in this state; by default, all except replaced and expired
    memories. include_expired: list replaced and expired memories too; ignored if `state` is set.
    """

    namespace: str
    type: MemoryType
    session_id: str
    agent_id: str
    tag: str
    created_after: datetime
    created_before: datetime
    include_expired: bool
    state: State
    limit: int
    cursor: str


ListedStatus: TypeAlias = Literal["pending", "in_progress", "completed", "cancelled", "deleted"]


MatchType: TypeAlias = Literal["prefix", "suffix"]


MemoryType: TypeAlias = Literal["episodic", "semantic", "prospective", "procedural", "working"]


class NewMemory(TypedDict, total=False):
    """A memory to write in a batch."""

    content: Required[str]
    session_id: str | None
    agent_id: str | None
    importance: int
    tags: Sequence[str]
    source: str | Source | None
    metadata: Mapping[str, Any]
    links: Sequence[Link]
    pinned: bool
    created_at: datetime | None
    expires_at: datetime | None
    visibility: Visibility | None
    seq: int | None
    """
    Order in its session; by arrival if absent.
    """
    event_type: EventType
    title: str | None
    context: str | None
    emotional_valence: int
    speaker: str | None
    turns: Sequence[SpokenTurn]
    """
    The turns of a thread that became this event.
    """
    type: Literal["episodic", "semantic", "prospective", "procedural", "working"] | None
    review: Literal["auto", "skip"] | None
    concept: str | None
    category: Category | ProcedureCategory
    confidence: float
    source_sessions: Sequence[str]
    evidence_count: int
    related: Sequence[str]
    intention_type: IntentionType
    trigger_type: TriggerType
    trigger_condition: str | None
    priority: int
    status: Status
    due_at: datetime | None
    due_text: str | None
    lapses_at: datetime | None
    fired_at: datetime | None
    completed_at: datetime | None
    procedure_name: str | None
    steps: Sequence[str]
    prerequisites: Sequence[str]
    success_conditions: Sequence[str]
    failure_patterns: Sequence[str]
    usage_count: int
    success_rate: float | None
    last_used_at: datetime | None
    todo_id: str | None
    todo_status: TodoStatus | None
    context_type: ContextType
    scope: WorkingScope
    cleared_at: datetime | None
    cleared_reason: ClearReason | None


class NewTurn(TypedDict, total=False):
    """A conversation turn as a caller sends it. pinned: whether it always stays in its thread."""

    role: Required[str]
    content: Required[str]
    agent_id: str | None
    files: Sequence[str | FileReference]
    images: Sequence[str | ImageReference]
    tool: str | None
    model: str | None
    metadata: Mapping[str, Any]
    pinned: bool


OnEnd: TypeAlias = Literal["keep", "flush", "delete"]


class PathMatch(TypedDict, total=False):
    """A condition on the first or last labels (parts) of an item's path. The label `*` matches any
    single label.
    """

    type: Required[MatchType]
    path: Required[Sequence[str]]


class PathOptions(TypedDict, total=False):
    """Which paths of keyed items to list. match: conditions on their first or last labels, all of
    which must be met.

    max_depth: cut longer paths to this many labels.
    """

    namespace: str
    agent_id: str | None
    match: Sequence[PathMatch]
    max_depth: int | None
    limit: int
    offset: int


ProcedureCategory: TypeAlias = Literal["workflow", "pattern", "technique", "tool_usage"]


class PromptOptions(TypedDict, total=False):
    """A prompt that is about to be sent to a model.

    budget: maximum tokens of the context for the prompt, its thread included. todos: to-dos of the
    agent's list, with their status; to-dos left out stay as they are, but a list without ids is the
    whole list. todo_id: the to-do that the agent works on; by default the to-do in progress among
    `todos`. thread_id: a thread whose own
    context takes up to half of the budget.
    """

    namespace: str
    todo_id: str | None
    todos: Sequence[Todo]
    agent_id: str | None
    thread_id: str | None
    profile: str | None
    budget: int | Budget
    working_budget: int
    oversize: Literal["skip", "cut", "excerpt"] | None
    """
    For what is too large; by default long-term memories are skipped and working items excerpted.
    """
    floor: float
    """
    How sure it must be that a hit helps to answer the query for it to be shown; 0 shows all.
    """
    reader: Literal["off", "auto", "always"]
    """
    Whether a model reads the best hits: never, for small budgets, or always.
    """
    reader_ms: int
    """
    Milliseconds that reading may take; if it takes longer, it has no effect.
    """


class PutOptions(TypedDict, total=False):
    """A value to store under a path (a list of labels, such as ["users", "ada"]) and a key.

    index: where in the value to find the texts by which a search finds the item, such as `title` or
    `parts[*].text`; false for no texts; by default the whole value. ttl_s: seconds after which the
    item expires, counted from the last put or the last read with `refresh_ttl`; by default it does
    not expire.
    """

    namespace: str
    agent_id: str | None
    index: Literal[False] | Sequence[str] | None
    ttl_s: float | None


class RecallOptions(TypedDict, total=False):
    """A request for a context of memories within a token budget.

    working_budget: tokens for working memory, on top of `budget`. include_due: show due tasks even
    below the `floor`.
    """

    namespace: str
    types: Sequence[MemoryType] | None
    session_id: str | None
    agent_id: str | None
    filters: Mapping[str, Any] | None
    profile: str | None
    weights: Mapping[str, float] | None
    min_similarity: float | None
    min_score: float | None
    as_of: datetime | None
    floor: float
    """
    How sure it must be that a hit helps to answer the query for it to be shown; 0 shows all.
    """
    explain: bool
    reader: Literal["off", "auto", "always"]
    """
    Whether a model reads the best hits: never, for small budgets, or always.
    """
    reader_ms: int
    """
    Milliseconds that reading may take; if it takes longer, it has no effect.
    """
    include_due: bool
    todo_id: str | None
    budget: int | Budget
    model: str | None
    tokenizer: Literal["cl100k_base", "o200k_base"]
    include_working: bool
    working_budget: int
    oversize: Literal["skip", "cut", "excerpt"] | None
    """
    For what is too large; by default long-term memories are skipped and working items excerpted.
    """
    receipt: bool


class ReferenceOptions(TypedDict, total=False):
    """A thread (a conversation) to create or find. variables: values for the placeholders in its
    key.
    """

    variables: Mapping[str, Any]
    namespace: str


class RememberOptions(TypedDict, total=False):
    """A memory to write. Its type may be left out."""

    session_id: str | None
    agent_id: str | None
    importance: int
    tags: Sequence[str]
    source: str | Source | None
    metadata: Mapping[str, Any]
    links: Sequence[Link]
    pinned: bool
    created_at: datetime | None
    expires_at: datetime | None
    visibility: Visibility | None
    seq: int | None
    """
    Order in its session; by arrival if absent.
    """
    event_type: EventType
    title: str | None
    context: str | None
    emotional_valence: int
    speaker: str | None
    turns: Sequence[SpokenTurn]
    """
    The turns of a thread that became this event.
    """
    type: Literal["episodic", "semantic", "prospective", "procedural", "working"] | None
    review: Literal["auto", "skip"] | None
    namespace: str
    concept: str | None
    category: Category | ProcedureCategory
    confidence: float
    source_sessions: Sequence[str]
    evidence_count: int
    related: Sequence[str]
    intention_type: IntentionType
    trigger_type: TriggerType
    trigger_condition: str | None
    priority: int
    status: Status
    due_at: datetime | None
    due_text: str | None
    lapses_at: datetime | None
    fired_at: datetime | None
    completed_at: datetime | None
    procedure_name: str | None
    steps: Sequence[str]
    prerequisites: Sequence[str]
    success_conditions: Sequence[str]
    failure_patterns: Sequence[str]
    usage_count: int
    success_rate: float | None
    last_used_at: datetime | None
    todo_id: str | None
    todo_status: TodoStatus | None
    context_type: ContextType
    scope: WorkingScope
    cleared_at: datetime | None
    cleared_reason: ClearReason | None


class ReplaceOptions(TypedDict, total=False):
    """Turns that replace all turns of a thread. expected_version: answer 409 unless the thread has
    this version.
    """

    expected_version: int | None
    namespace: str
    agent_id: str


class ResumeOptions(TypedDict, total=False):
    """A request to continue a workflow: `input`, any JSON, becomes an event, and the history before
    it is returned.

    agent: the agent that continues the workflow. budget: maximum tokens of the history. model: the
    language model whose tokenizer counts them. versions: "newest" shows only the current value of
    each resource (a named value that events set), "all" also earlier values. idempotency_key: a
    repeated request with it gets the same answer.
    """

    agent: str | None
    budget: int | None
    model: str | None
    versions: Versions
    idempotency_key: str | None
    namespace: str


Role: TypeAlias = Literal["reader", "writer", "admin"]


class SaidBefore(TypedDict, total=False):
    """The earlier messages of a session that is sent in several calls.

    count: number of all earlier messages, which is the position of the next message. messages: the
    last earlier messages, oldest first; they are read as context and not written.
    """

    count: int
    messages: Sequence[SessionMessage]


class Scoped(TypedDict, total=False):
    """Options for `GET /v1/memories/{memory_id}`."""

    namespace: str


class SearchOptions(TypedDict, total=False):
    """A search for the memories that match a query best. top_k: maximum number of memories to
    return.
    """

    namespace: str
    types: Sequence[MemoryType] | None
    session_id: str | None
    agent_id: str | None
    filters: Mapping[str, Any] | None
    profile: str | None
    weights: Mapping[str, float] | None
    min_similarity: float | None
    min_score: float | None
    as_of: datetime | None
    floor: float
    """
    How sure it must be that a hit helps to answer the query for it to be shown; 0 shows all.
    """
    explain: bool
    reader: Literal["off", "auto", "always"]
    """
    Whether a model reads the best hits: never, for small budgets, or always.
    """
    reader_ms: int
    """
    Milliseconds that reading may take; if it takes longer, it has no effect.
    """
    top_k: int


class SessionMessage(TypedDict, total=False):
    """One message of a chat session. Its time is checked when it is written, so an invalid one
    fails only this message.

    timestamp: an ISO 8601 time; without an offset it is read as UTC. None stands for the time of
    writing. Other members that clients keep with a message are ignored.
    """

    role: Required[str]
    content: Required[str]
    timestamp: str | None


class Source(TypedDict, total=False):
    """Where a memory comes from: turns of a thread, a line of a file, or a caller (by a name that
    it chooses).

    captured: whether it is a message that was stored because its session ended.
    """

    thread_id: str | None
    turns: Sequence[int]
    file: str | None
    line: int | None
    caller: str | None
    captured: bool


class SpokenTurn(TypedDict, total=False):
    """A turn of a thread that became part of an event, without its text, which is part of the
    event's content.

    characters: length of the text. The other fields are those of `Turn`; fields without a value are
    left out.
    """

    index: Required[int]
    role: Required[str]
    at: Required[datetime]
    tokens: Required[int]
    characters: Required[int]
    agent_id: str
    files: Sequence[str]
    images: Sequence[str]
    tool: str
    model: str
    metadata: Mapping[str, Any]
    pinned: bool


State: TypeAlias = Literal["current", "contested", "replaced", "wrong"]


class StateOptions(TypedDict, total=False):
    """Which state of a workflow to return. at_version: number of the last event to include; by
    default the newest.
    """

    namespace: str
    at_version: int


Status: TypeAlias = Literal["pending", "active", "completed", "cancelled", "lapsed"]


class StopOptions(TypedDict, total=False):
    """The messages of an ended session, or of a part of the session, oldest first.

    review: `auto` stores only messages that filters and automatic reviewers accept; `skip` stores
    all messages, which suits imports. before: the number of messages that the session sent in
    earlier calls, and the last of them as context. ended: whether the session has ended, which
    ends its working items; false if the session goes on.
    """

    namespace: str
    review: Literal["auto", "skip"]
    before: SaidBefore
    ended: bool


class ThreadClearOptions(TypedDict, total=False):
    """A request to remove all turns of a thread. confirm: must be true. backup: keep a copy for 24
    hours.
    """

    backup: bool
    namespace: str
    agent_id: str


class ThreadContextOptions(TypedDict, total=False):
    """A request for a thread's context. model: the language model that reads the context.

    tokenizer: counts the tokens; by default the model's tokenizer. budget: maximum tokens; by
    default the maximum that the thread's policy sets for a context, or else the part of the model's
    context window that is meant for history.
    """

    budget: int | None
    tokenizer: Literal["cl100k_base", "o200k_base"] | None
    model: str | None
    include_files: bool
    namespace: str
    agent_id: str


class ThreadListOptions(TypedDict, total=False):
    """Filters for a list of threads, all of which must match. key_prefix: how the key of a thread
    begins.

    agent_id: id of the agent that opened the thread. parent_id: id of the thread that it continues.
    """

    namespace: str
    key_prefix: str
    agent_id: str
    resource: str
    parent_id: str
    workflow_id: str
    limit: int
    cursor: str


class ThreadOptions(TypedDict, total=False):
    """A thread (a conversation) to create or find. variables: values for the placeholders in its
    key.
    """

    key: str | None
    parent_id: str | None
    resource: str | None
    agent_id: str | None
    initial_context: str | None
    workflow_id: str | None
    variables: Mapping[str, Any]
    namespace: str


class ThreadPageOptions(TypedDict, total=False):
    """Which turns of a thread to return: the `limit` oldest turns after the first `offset`
    turns.
    """

    namespace: str
    agent_id: str
    limit: int
    offset: int


class ThreadScope(TypedDict, total=False):
    """Parameters of a call by an agent.

    agent_id: the calling agent. By default the agent that the API key is bound to, if it is bound
    to exactly one.
    """

    namespace: str
    agent_id: str


class Todo(TypedDict, total=False):
    """An entry of the list of to-dos that an agent keeps and sends with its prompts.

    id: by default made of the content. priority: 1 (low) to 5 (high), or one of the words low,
    medium and high. Other members that agents keep, such as `activeForm`, are ignored.
    """

    id: str | int | None
    content: Required[str]
    status: Required[ListedStatus]
    priority: Any


class TodoOptions(TypedDict, total=False):
    """A to-do that was created or changed in a session. Its content becomes an item of working
    memory.

    status: shown with it; `in_progress` says that the agent works on it. ttl_s: seconds that the
    item lives without use; by default until the to-do or its session ends.
    """

    namespace: str
    status: TodoStatus
    agent_id: str | None
    ttl_s: int | None


TodoStatus: TypeAlias = Literal["pending", "in_progress"]


TriggerType: TypeAlias = Literal["time", "event", "context"]


class TurnListOptions(TypedDict, total=False):
    """Which turns to list. include_flushed: also turns moved to memories. after: only turns with a
    higher index.
    """

    namespace: str
    agent_id: str
    include_flushed: bool
    after: int
    limit: int


class UpdateOptions(TypedDict, total=False):
    """Options for `PATCH /v1/memories/{memory_id}`."""

    category: Category | ProcedureCategory
    cleared_at: datetime | None
    cleared_reason: ClearReason | None
    completed_at: datetime | None
    concept: str | None
    confidence: float
    content: str
    context: str | None
    context_type: ContextType
    due_at: datetime | None
    due_text: str | None
    emotional_valence: int
    event_type: EventType
    evidence_count: int
    expires_at: datetime | None
    failure_patterns: Sequence[str]
    fired_at: datetime | None
    importance: int
    intention_type: IntentionType
    lapses_at: datetime | None
    last_used_at: datetime | None
    links: Sequence[Link]
    metadata: Mapping[str, Any]
    pinned: bool
    prerequisites: Sequence[str]
    priority: int
    procedure_name: str | None
    related: Sequence[str]
    scope: WorkingScope
    source_sessions: Sequence[str]
    speaker: str | None
    status: Status
    steps: Sequence[str]
    success_conditions: Sequence[str]
    success_rate: float | None
    tags: Sequence[str]
    title: str | None
    todo_id: str | None
    todo_status: TodoStatus | None
    trigger_condition: str | None
    trigger_type: TriggerType
    turns: Sequence[SpokenTurn]
    """
    The turns of a thread that became this event.
    """
    usage_count: int
    valid_to: datetime | None
    """
    When the memory ends; null brings back one that was replaced or ended.
    """
    superseded_by: str
    """
    Id of the memory that replaces this one.
    """
    namespace: str


Versions: TypeAlias = Literal["newest", "all"]


Visibility: TypeAlias = Literal["session", "namespace"]


WorkflowEventType: TypeAlias = Literal[
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
    "expired",
]


class WorkflowListOptions(TypedDict, total=False):
    """Filters for a list of workflows. parent_id: id of the workflow that the listed workflows
    continue.
    """

    namespace: str
    status: WorkflowStatus
    parent_id: str
    limit: int
    cursor: str


class WorkflowOptions(TypedDict, total=False):
    """A workflow to create in a namespace."""

    workflow_id: str | None
    parent_id: str | None
    agent: str | None
    data: Mapping[str, Any]
    on_end: OnEnd
    namespace: str


WorkflowStatus: TypeAlias = Literal[
    "pending", "running", "completed", "failed", "cancelled", "expired"
]


class WorkingListOptions(TypedDict, total=False):
    """Which items of working memory to list. todo_id: only items of this to-do; by default all
    items of the session.

    agent_id: the calling agent, needed for an API key that is bound to several agents; only its
    items are listed.
    """

    namespace: str
    agent_id: str
    todo_id: str
    include_cleared: bool


class WorkingOptions(TypedDict, total=False):
    """An item of working memory to create in a session."""

    namespace: str
    todo_id: str | None
    todo_status: TodoStatus | None
    workflow_id: str | None
    """
    The workflow that it belongs to, whose `on_end` says what happens to the item when it ends.
    """
    context_type: ContextType
    scope: WorkingScope
    priority: int
    ttl_s: int | None
    """
    Seconds that it lives without use: 300, or with a todo_id until the to-do or its session ends.
    """
    agent_id: str | None


WorkingScope: TypeAlias = Literal["task", "subtask", "session"]
