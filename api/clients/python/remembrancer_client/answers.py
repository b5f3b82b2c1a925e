"""Answers of the service.

Generated from the service's OpenAPI document by `make client-types`; not to be edited.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, field


class AccessCounts(Struct, frozen=True):
    """Use counts of memories, without unused ones. ids: first SHORT_ID characters of each memory's
    id, joined.
    """

    ids: str
    counts: list[int]


class AgentContextAnswer(Struct, frozen=True):
    """An agent's whole context as text, its parts, and its size."""

    context: str
    parts: AgentContextParts
    metadata: AgentContextMetadata


class AgentContextMetadata(Struct, frozen=True):
    """Size of an agent's context and the settings behind it.

    total_tokens: the tokenizer's count of the context, increased by the share `margin` (such as
    0.1), because the model may count more; or what its provider counted. model_tokens: the count of
    the model's provider; left out if no provider counts for the model. local_tokens: the count of
    `tokenizer`, where total_tokens is the provider's. unknown_model: true for a model whose window
    is unknown; then the budget is the default unless the request gives one. allocation: tokens that
    each part was allotted. degraded: parts of the service that did not answer.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    margin: float
    allocation: Allocation
    as_of: datetime
    degraded: list[str]
    model: str | None = None
    model_tokens: int | None = None
    local_tokens: int | None = None
    unknown_model: bool = False
    receipt_id: str | None = None


class AgentContextParts(Struct, frozen=True):
    """The parts of an agent's context. due: due tasks. memory: other memories, and headings of due
    tasks.
    """

    memory: MemoryPart
    threads: ThreadsPart
    working: MemoryPart
    due: MemoryPart


class AgentThreadItem(Struct, frozen=True):
    """A thread in an agent's context. tokens: size of its text. turns: the turns shown; empty if
    none fit.
    """

    thread_id: str
    resource: str
    key: str | None
    mode: str
    tokens: int
    turns: list[TurnPlace]
    omitted: OmittedParts


class Allocation(Struct, frozen=True):
    """Tokens of a model's context window for each part of a call, such as history; their sum is at
    most the window.
    """

    system: int = 0
    history: int = 0
    files: int = 0
    memory: int = 0
    response: int = 0


class Alternative(Struct, frozen=True):
    """A less likely memory type of a classified text. confidence: 0 to 1."""

    type: str
    confidence: float


class BackupAnswer(Struct, frozen=True):
    """A backup: the turns that a thread had before it was cleared."""

    turns: list[Turn]


class BatchAnswer(Struct, frozen=True):
    """The outcome of each memory of a batch, in order, and the number of outcomes with each
    status.
    """

    results: list[BatchItem]
    counts: StatusCounts


class BatchItem(Struct, frozen=True):
    """The outcome of writing one memory of a batch. index: its position in the batch, from 0."""

    id: str | None
    status: str
    index: int
    reason: str | None = None
    merged_into: str | None = None
    supersedes: list[str] = field(default_factory=list)
    contests: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    retracted: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    redactions: dict[str, int] = field(default_factory=dict)
    classified: ClassifyAnswer | None = None
    review: Reviewed | None = None


class BegunAnswer(Struct, frozen=True):
    """A workflow that was created. ttl_s: seconds until it expires if no event follows. redactions:
    number of secrets removed from its data, by kind.
    """

    workflow_id: str
    version: int
    ttl_s: int
    redactions: dict[str, int] = field(default_factory=dict)


class Budget(Struct, frozen=True):
    """A token budget of a context. total: for all long-term memories. per_type: maximum per type; 0
    leaves it out.
    """

    total: int = 8000
    per_type: dict[str, int] | None = None


class ClassifyAnswer(Struct, frozen=True):
    """The memory type of a text, and why it was chosen. The confidences of all types sum to 1.

    parts: sentences that clearly have another type than the whole text. Only POST /v1/classify
    answers with them.
    """

    type: str
    confidence: float
    reason: str
    alternatives: list[Alternative]
    parts: list[TextPart] = field(default_factory=list)


class ContextAnswer(Struct, frozen=True):
    """A thread's context as text, the turns, files and images in it, and what did not fit."""

    context: str
    turns: list[TurnPlace]
    files: list[FileMention]
    images: list[FileMention]
    omitted: OmittedParts
    metadata: ThreadContextMetadata


class ContextItem(Struct, frozen=True):
    """A memory in the context of an answer.

    tokens: size of its rendered entry. content: the text that is shown. cut: whether only a part of
    the memory is shown. excerpt: whether this part consists of the most relevant sentences instead
    of the beginning.
    """

    id: str
    type: str
    rank: int
    score: float
    tokens: int
    content: str
    signals: dict[str, float] = field(default_factory=dict)
    cut: bool = False
    excerpt: bool = False
    state: str | None = None


class ContextMessage(Struct, frozen=True):
    """A chat message with a part of a context. Its role is never system, because recalled text is
    no instruction.
    """

    content: str
    role: str = "user"


class ContextMetadata(Struct, frozen=True):
    """Size of a context and the settings behind it.

    total_tokens: size of the whole context: by the model's provider, if it counted, else by
    `tokenizer`. budget: tokens allowed for its long-term part.
    utilization: used share of that budget. shares: tokens of the budget for each memory type.
    shifts: tokens that types gained, or lost if negative, because of what the query asks for.
    handed_on: tokens that each type took beyond its share or, if negative, left to others.
    trimmed_count: number of hits that are not in the
    context. candidates: number of hits. tokenizer: name of the tokenizer that counted.
    working_excerpted, working_left_out: ids of working items that are shown in part, or not shown.
    duplicates: ids of memories left out because one in the context has the same text, or is the
    message of which they are a sentence. thread_tokens: size of the thread's context, if a thread
    was named; included in total_tokens and budget. margin: share by which the model's own count may
    exceed the tokenizer's; the context fits the budget by both counts. model_tokens: the context's
    size as the model's provider counts it, if one is configured. local_tokens: its size by
    `tokenizer`, where total_tokens is the provider's; the sizes of parts and items are always by
    `tokenizer`. unknown_model: true for a model whose window is unknown; then the budget is the
    default unless the request gives one.
    """

    total_tokens: int
    budget: int
    utilization: float
    per_type: dict[str, int]
    working_tokens: int
    trimmed_count: int
    candidates: int
    tokenizer: str
    outcome: str
    floor: FloorAnswer
    as_of: datetime
    shares: dict[str, int] = field(default_factory=dict)
    shifts: dict[str, int] = field(default_factory=dict)
    handed_on: dict[str, int] = field(default_factory=dict)
    working_excerpted: list[str] = field(default_factory=list)
    working_left_out: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    thread_tokens: int | None = None
    model: str | None = None
    margin: float = 0.0
    model_tokens: int | None = None
    local_tokens: int | None = None
    unknown_model: bool = False
    degraded: list[str] = field(default_factory=list)


class ContinueAnswer(Struct, frozen=True):
    """The answer to a call that continued a workflow: the call appended an input as the workflow's
    next event.

    history: text of the history before this event. version: number of this event. redactions:
    number of secrets removed from the input, by kind.
    """

    history: str
    version: int
    omitted: OmittedFromHistory
    metadata: HistoryMetadata
    redactions: dict[str, int] = field(default_factory=dict)


class CountAnswer(Struct, frozen=True):
    """Tokens of a text or a chat.

    tokens: the count. source: who counted: the model's provider, or this service with `tokenizer`.
    margin: share by which the model's own count may exceed `tokens`; 0 if these are exact. at_most:
    tokens with this margin. model: the model as the registry names it. unknown_model: true for one
    whose window is unknown, which gets the widest margin. local_tokens: the count of `tokenizer`,
    where the provider counted. degraded: "token_count" if the provider failed to count, else empty.
    """

    tokens: int
    tokenizer: str
    margin: float
    at_most: int
    source: str
    model: str | None = None
    unknown_model: bool = False
    local_tokens: int | None = None
    degraded: list[str] = field(default_factory=list)


class DecidedText(Struct, frozen=True):
    """A decision about the memory or rejected text with this `id`, and the text itself (`content`).

    at: when it was decided; of what a text did to a task, when it was said. by: id of the memory
    that replaced or contests the text, into which it was merged, or that ended the task; otherwise
    None. by_content: the text of that memory, if it still exists.
    """

    id: str
    kind: str
    at: datetime
    reason: str
    content: str
    by: str | None
    by_content: str | None


class DecisionsAnswer(Struct, frozen=True):
    """Automatic decisions, newest first.

    A text that was rejected, or merged into a memory, has an id too: POST /v1/memories/{id}/undo
    stores it as a memory.
    """

    decisions: list[DecidedText]


class DeletedAnswer(Struct, frozen=True):
    """How many memories were deleted. remaining: number of matching memories that exist
    afterwards.
    """

    deleted: int
    remaining: int


class DueAnswer(Struct, frozen=True):
    """The due tasks (prospective memories), the longest overdue first."""

    due: list[Memory]


class Erased(Struct, frozen=True):
    """How many entries were erased from each store and how many are left; "rejected" are rejected
    texts.
    """

    erased: dict[str, int]
    remaining: dict[str, int]
    checked_at: datetime


class EventAnswer(Struct, frozen=True):
    """The version of an appended event. redactions: number of secrets removed from the event, by
    kind.

    The other fields are empty or 0 unless the event ended the workflow. memories: ids of the
    memories that record the workflow, by memory type. threads: how many of its threads were flushed
    or deleted. items: how many of its working memory items ended.
    """

    version: int
    memories: dict[str, str]
    threads: int
    items: int
    redactions: dict[str, int] = field(default_factory=dict)


class EventsAnswer(Struct, frozen=True):
    """A page of a workflow's events, oldest first. next_after: `after` of the next page; null on
    the last page.
    """

    events: list[LoggedEvent]
    next_after: int | None


class FileMention(Struct, frozen=True):
    """The newest mention of a file or an image, by the turn `turn` of a thread. content: "whole" or
    "part" if the context shows the file's content; left out if not.
    """

    path: str
    thread_id: str
    turn: int
    content: str | None = None


class FillTerms(Struct, frozen=True):
    """The values by which `fill` filled a token budget, besides its offers: a `BudgetPlan` and
    `Overheads`; and the tokens used by each type.
    """

    total: int
    types: list[str]
    caps: dict[str, int]
    task_like: bool
    how_to: bool
    oversize: str
    wrapper: int
    headings: dict[str, int]
    groups: dict[str, int]
    used: dict[str, int]
    due_tokens: int = 0
    finished: bool = False
    newest_first: bool = False
    keeps_shares: bool = False


class FirstBudgets(Struct, frozen=True):
    """The budgets of a first choice, whose context had too many tokens by the count of the model's
    provider. Members as in a request.
    """

    budget: int | Budget
    working_budget: int


class FloorAnswer(Struct, frozen=True):
    """The relevance floor. value: minimum probability that a hit answers the query. dropped:
    candidates below it.
    """

    value: float
    dropped: int


class FlushAnswer(Struct, frozen=True):
    """The result of a flush, which removes turns from a thread and stores them as memories.

    flushed: number of turns removed, or that a dry run would remove. tokens_before, tokens_after:
    size of the thread. summary: text that replaces the removed turns in the thread. memory_ids: ids
    of the memories that store these turns.
    """

    flushed: int
    tokens_before: int
    tokens_after: int
    memory_ids: list[str]
    summary: str | None = None


class HealthAnswer(Struct, frozen=True):
    """Whether the service is alive or ready. checks: results by resource; only in the answer about
    readiness.
    """

    status: str
    checks: dict[str, HealthCheck] = field(default_factory=dict)


class HealthCheck(Struct, frozen=True):
    """Whether a check of a resource or configuration file passed, and how many milliseconds it
    took. detail: why it failed, or what to know although it passed.
    """

    ok: bool
    ms: float
    detail: str | None = None


class HistoryAnswer(Struct, frozen=True):
    """A memory's history, oldest first: its texts, and those of memories that precede, replace or
    contradict it.
    """

    versions: list[HistoryVersion]


class HistoryMetadata(Struct, frozen=True):
    """The size of a workflow's history. total_tokens: `tokenizer`'s count plus a margin, as a model
    may count more; or what its provider counted.

    model_tokens: the count of the model's provider; left out if no provider counts for the model.
    local_tokens: the count of `tokenizer`, where total_tokens is the provider's. unknown_model:
    true for a model whose window is unknown; then the budget is the default unless the request
    gives one.
    degraded: "token_count" if the provider failed to count, else empty.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    degraded: list[str]
    model_tokens: int | None = None
    local_tokens: int | None = None
    unknown_model: bool = False


class HistoryVersion(Struct, frozen=True):
    """A text in a memory's history: its own, or that of a memory that it replaced, that replaced it
    or contradicts it.

    memory: the memory with this text as its content. from, to: when the text was valid.
    replaced_by: id of the memory whose text took its place. This is the id of `memory` if its text
    was edited or merged with another wording.
    """

    memory: Memory
    since: datetime = field(name="from")
    to: datetime | None = None
    replaced_by: str | None = None
    reason: str | None = None


class ItemAnswer(Struct, frozen=True):
    """A JSON value stored under a path and a key.

    score: cosine similarity of the search's query and the most similar text in the value; left out
    without a query, or if the item has no texts to search.
    """

    path: list[str]
    key: str
    value: Any
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    agent_id: str | None = None
    score: float | None = None


class ItemStored(Struct, frozen=True):
    """When a keyed item was first put at its address, when it was last put, and when it expires."""

    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None


class ItemTokens(Struct, frozen=True):
    """How many tokens the content of an item has, and the tokenizer that counted them."""

    count: int
    tokenizer: str


class ItemsAnswer(Struct, frozen=True):
    """The items of a session's working memory, oldest first."""

    items: list[WorkingItemAnswer]


class ItemsFound(Struct, frozen=True):
    """Keyed items that a search found, ordered by similarity to the query or, without a query,
    latest put first.
    """

    items: list[ItemAnswer]


class JobReport(Struct, frozen=True):
    """Changes that a job made, or would make in a dry run. counts: memories removed, changed, made.
    reasons: by id.
    """

    job: str
    dry_run: bool
    ids: list[str]
    counts: dict[str, int]
    reasons: dict[str, str]


class KeysAnswer(Struct, frozen=True):
    """All API keys that the service knows, without the secret keys themselves."""

    keys: list[KnownKey]


class KnownKey(Struct, frozen=True):
    """An API key as lists show it, without the secret. id: start of its hash, also used in limits
    and logs.

    created_at: None for a key from the keys file.
    """

    tenant: str
    role: str
    id: str
    agents: list[str] = field(default_factory=list)
    namespace: str | None = None
    created_at: datetime | None = None


class Link(Struct, frozen=True):
    """A link from a memory to `to`, another memory of its namespace. strength: how certain or close
    the relation is.
    """

    to: str
    type: str
    strength: float = 1.0


class ListAnswer(Struct, frozen=True):
    """A page of memories, newest first. total: number of memories on all pages."""

    memories: list[Memory]
    next_cursor: str | None
    total: int


class ListedTurn(Struct, frozen=True):
    """A turn. flushed: whether it has left its thread, by flush or eviction. memory_id: memory that
    then stores it.
    """

    index: int
    role: str
    content: str
    tokens: int
    at: datetime
    agent_id: str | None
    files: list[str]
    images: list[str]
    tool: str | None
    model: str | None
    metadata: dict[str, Any]
    pinned: bool
    flushed: bool
    memory_id: str | None = None


class ListedWorkflow(Struct, frozen=True):
    """A workflow in a list of workflows. updated_at: time of its last event, or of its creation if
    it has none.
    """

    workflow_id: str
    parent_id: str | None
    status: str
    version: int
    on_end: str
    created_at: datetime
    updated_at: datetime


class LoggedEvent(Struct, frozen=True):
    """An event of a workflow's log. Fields that the event does not have are left out."""

    version: int
    type: str
    at: datetime
    step_id: str | None = None
    agent: str | None = None
    input: Any = None
    output: Any = None
    error: Any = None
    resources: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None


class Memory(Struct, frozen=True):
    """A memory of any type."""

    id: str
    type: str
    namespace: str
    session_id: str | None
    agent_id: str | None
    content: str
    importance: int
    tags: list[str]
    source: Source | None
    sources: list[Source]
    """
    Sources of repetitions that were merged into it.
    """
    metadata: dict[str, Any]
    links: list[Link]
    pinned: bool
    visibility: str
    seq: int
    created_at: datetime
    updated_at: datetime
    accessed_at: datetime | None
    access_count: int
    valid_from: datetime
    valid_to: datetime | None
    expires_at: datetime | None
    superseded_by: str | None
    state: str
    state_until: datetime | None
    """
    When the memory is current again: what replaced or contests it expires then.
    """
    state_reason: str | None
    """
    Why the memory was replaced or is contested.
    """
    retracted_at: datetime | None
    """
    When a caller said that the memory is wrong.
    """
    dated: bool
    """
    Whether contexts say since when it holds: it replaced or contests another.
    """
    rewordings: list[Rewording]
    """
    Repetitions in other words that were merged into it.
    """
    content_hash: str
    tokens: TokenCount
    gives_value: bool | None
    evidence_count: int
    restated_at: datetime | None
    """
    When a fact was last said again.
    """
    source_sessions: list[str]
    from_message: str | None
    reviewed: Reviewed | None
    upkeep: UpkeepMark | None
    event_type: str | None = None
    title: str | None = None
    context: str | None = None
    emotional_valence: int | None = None
    speaker: str | None = None
    turns: list[SpokenTurn] | None = None
    """
    The turns of a thread that became this event.
    """
    concept: str | None = None
    category: str | None = None
    confidence: float | None = None
    related: list[str] | None = None
    intention_type: str | None = None
    trigger_type: str | None = None
    trigger_condition: str | None = None
    priority: int | None = None
    status: str | None = None
    due_at: datetime | None = None
    due_text: str | None = None
    lapses_at: datetime | None = None
    fired_at: datetime | None = None
    completed_at: datetime | None = None
    ended: TaskAct | None = None
    said: TaskAct | None = None
    history: list[TaskAct] | None = None
    kept_from: list[str] | None = None
    closed_at: datetime | None = None
    reopened_at: datetime | None = None
    procedure_name: str | None = None
    steps: list[str] | None = None
    prerequisites: list[str] | None = None
    success_conditions: list[str] | None = None
    failure_patterns: list[str] | None = None
    usage_count: int | None = None
    success_rate: float | None = None
    last_used_at: datetime | None = None
    todo_id: str | None = None
    todo_status: str | None = None
    context_type: str | None = None
    scope: str | None = None
    cleared_at: datetime | None = None
    cleared_reason: str | None = None
    workflow_id: str | None = None


class MemoryPart(Struct, frozen=True):
    """The memories in one part of an agent's context. tokens: size of this part."""

    tokens: int
    items: list[ContextItem]


class MessageResult(Struct, frozen=True):
    """The outcome of storing one message of a session.

    index: position of the message in the request, from 0. ids, types: ids and types of the memories
    that store it. ended, moved: ids of the tasks that it ended or moved, whether or not it is
    stored. retracted: ids of the facts that it says were wrong. reason: why it was rejected, merged
    or changed, or why storing it failed. review: the reviewers' decision, with its tier, the mean
    scores and each vote; the tier is `prefilter` if the message was trivial. redactions: secrets
    removed, by kind.
    """

    index: int
    status: str
    ids: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    retracted: list[str] = field(default_factory=list)
    reason: str | None = None
    review: Reviewed | None = None
    redactions: dict[str, int] = field(default_factory=dict)


class MessagesAnswer(Struct, frozen=True):
    """A context of memories within a token budget. receipt_id: id of its receipt; None if none was
    recorded.
    """

    context: list[ContextMessage]
    items: list[ContextItem]
    metadata: ContextMetadata
    receipt_id: str | None = None


class ModelAnswer(Struct, frozen=True):
    """A language model, or a family of models, that the service knows.

    context_window: tokens of input and output; null for an unknown model. max_output: null if only
    the window limits it. tokenizer: name of the tokenizer that counts tokens for the model. margin:
    share by which the model's own count may exceed the tokenizer's. source: where these numbers
    come from, with the date.
    """

    name: str
    provider: str
    context_window: int | None
    max_output: int | None
    categories: list[str]
    tokenizer: str
    margin: float
    source: str | None


class ModelTask(Struct, frozen=True):
    """A task for which a model can be chosen. needs: categories that a model must have. window:
    least context window; null for any. prefer: models in the order in which they are chosen.
    """

    name: str
    needs: list[str]
    window: int | None
    prefer: list[str]


class ModelsAnswer(Struct, frozen=True):
    """The language models that the service knows, and the tasks that its registry describes. Models
    of the operator's file precede the built-in ones.
    """

    models: list[ModelAnswer]
    tasks: list[ModelTask]


class NewKey(Struct, frozen=True):
    """A new API key. Only this answer shows the key itself. agents: ids of the agents that the key
    is bound to.
    """

    id: str
    key: str
    tenant: str
    role: str
    agents: list[str]
    namespace: str | None


class OmittedFromHistory(Struct, frozen=True):
    """Numbers of entries that the text of a workflow's history leaves out or cuts.

    resources: values of resources. data: values in the workflow's `data`. older_values: how many of
    the values of resources had been replaced by newer values. The parameter `versions=all` asks for
    them.
    """

    events: int
    resources: int
    data: int
    older_values: int


class OmittedParts(Struct, frozen=True):
    """What a thread's context leaves out: numbers of turns, files and images, and whether texts are
    incomplete.

    turns: turns that the context does not show, those that have left the threads included. flushed:
    of these, turns that a flush or an eviction moved to memories. contents: of files, that are cut
    or missing. summary, initial_context: whether
    a summary, or the context given at a thread's start, is cut or missing.
    """

    turns: int
    flushed: int
    files: int
    contents: int
    images: int
    summary: bool
    initial_context: bool


class PageAnswer(Struct, frozen=True):
    """A thread and a page of its turns, oldest first. total: number of the turns on all pages."""

    thread: ThreadAnswer
    turns: list[Turn]
    total: int


class PathsAnswer(Struct, frozen=True):
    """Paths that have keyed items, sorted. A path is a list of labels."""

    paths: list[list[str]]


class ReceiptAnswer(Struct, frozen=True):
    """A receipt of a retrieval. contents: the texts of its memories and its context; absent unless
    requested.
    """

    id: str
    version: int
    created_at: datetime
    request: dict[str, Any]
    as_of: datetime
    degraded: list[str]
    embedder: str
    tokenizer: TokenizerName
    weights: dict[str, float]
    budgets: ReceiptBudgets
    long_term: FillTerms
    working: FillTerms
    candidates: list[ReceiptCandidate]
    unlisted: UnlistedCandidates
    total_tokens: int
    context_sha256: str
    previous_id: str | None
    previous_sha256: str
    sha256: str
    reader: str | None = None
    first: FirstBudgets | None = None
    contents: dict[str, Any] | None = None


class ReceiptBudgets(Struct, frozen=True):
    """Tokens of each memory type at three steps of filling a budget.

    initial: fixed shares. shifted: shares after tokens were moved to the types that the query asks
    for. final: used.
    """

    initial: dict[str, int]
    shifted: dict[str, int]
    final: dict[str, int]


class ReceiptCandidate(Struct, frozen=True):
    """A candidate of the retrieval and its outcome.

    rank: position among the hits, from 1; None if it is not a hit. tokens: size of its entry in a
    context. counted: False if `tokens` is the count stored with the memory, because the entry was
    not offered to a budget. allowed, whole: if the entry was cut, its maximum tokens and its tokens
    before the cut. group: day heading above its entry. place: its index among the hits that were
    offered to its budget. part_of: id of the listed hit of which it is a sentence. due: whether it
    is a task that is overdue or due that day. of: id of the hit that it duplicates. since: when it
    was superseded or expired. certainty: probability that it helps to answer.
    """

    id: str
    type: str
    rank: int | None
    signals: dict[str, float]
    score: float
    tokens: int
    outcome: str
    of: str | None = None
    since: datetime | None = None
    certainty: float | None = None
    group: str | None = None
    whole: int | None = None
    allowed: int | None = None
    entry_sha256: str | None = None
    access_count: int = 0
    counted: bool = True
    due: bool = False
    place: int | None = None
    part_of: str | None = None


class ReceiptChange(Struct, frozen=True):
    """A difference between a receipt and its replay.

    id: id of the memory, empty for the context as a whole. what: name of the field that differs,
    such as "score". before, after: the values of this field. why: the reason, as a sentence.
    """

    id: str
    what: str
    why: str
    before: Any = None
    after: Any = None


class ReceiptCheck(Struct, frozen=True):
    """Result of one check of a receipt. ok: whether it passed. detail: the faults, or a remark on a
    passed check.
    """

    name: str
    ok: bool
    detail: str | None = None


class ReceiptVerdict(Struct, frozen=True):
    """Whether a receipt is valid, that is, whether it passed every check."""

    valid: bool
    checks: list[ReceiptCheck]


class ReembedAnswer(Struct, frozen=True):
    """How many entries of all tenants were embedded again: memories by type, keyed items (items),
    and all together.
    """

    types: dict[str, int]
    items: int
    total: int


class ReferenceAnswer(Struct, frozen=True):
    """A thread of an agent. resource: name of the thread's policy. mode: whether the agent may
    change the thread.
    """

    resource: str
    mode: str
    thread: ThreadAnswer


class ReferencesAnswer(Struct, frozen=True):
    """The threads of an agent: one for each thread policy (resource) that the policy file lists for
    the agent.
    """

    threads: list[ReferenceAnswer]


class ReplayAnswer(Struct, frozen=True):
    """The result of repeating the retrieval that a receipt records.

    identical: whether the context is byte-identical. changes: the differences if it is not. behind:
    differences without effect on an identical context, such as another score.
    """

    identical: bool
    changes: list[ReceiptChange] = field(default_factory=list)
    behind: list[ReceiptChange] = field(default_factory=list)


class ResolvedModel(Struct, frozen=True):
    """The language model that was chosen, and how its context window is divided among the parts of
    a call to it.

    alternatives: names of the next best models for the task, at most MAX_ALTERNATIVES, for when the
    chosen one does not answer; empty if a name was asked for.
    """

    model: ModelAnswer
    alternatives: list[str]
    allocation: Allocation | None
    """
    Tokens for each part; null if the window is unknown.
    """


class ResourceAnswer(Struct, frozen=True):
    """The latest value of a resource (a named value). workflow_id, version: the workflow and the
    event that set it.
    """

    id: str
    value: Any
    version: int
    workflow_id: str


class ResourcesAnswer(Struct, frozen=True):
    """The resources (named values) of a workflow and of the workflows that it continues, latest
    change first.
    """

    resources: list[ResourceAnswer]


class RetrieveAnswer(Struct, frozen=True):
    """A context of memories within a token budget. receipt_id: id of its receipt; None if none was
    recorded.
    """

    context: str
    items: list[ContextItem]
    metadata: ContextMetadata
    receipt_id: str | None = None


class ReviewAnswer(Struct, frozen=True):
    """The decision whether to store a text, and each reviewer's vote.

    redacted: whether secrets were removed before the review. redactions: their number by kind.
    """

    decision: str
    importance: float | None
    relevance: float | None
    novelty: float | None
    reason: str
    tier: str
    votes: list[Vote]
    redacted: bool
    redactions: dict[str, int]


class Reviewed(Struct, frozen=True):
    """Result of a review of a text. importance, relevance, novelty: means of the votes' scores;
    None without scores. cause: why it was rejected: as trivial, or for its importance or relevance.
    """

    decision: str
    reason: str
    tier: str
    importance: float | None = None
    relevance: float | None = None
    novelty: float | None = None
    cause: str | None = None
    votes: list[Vote] = field(default_factory=list)


class Rewording(Struct, frozen=True):
    """A repetition of a memory in other words that was merged into it. id: identifies it in a
    request to undo this.
    """

    id: str
    content: str
    at: datetime
    reason: str
    session_id: str | None = None


class SaidAnswer(Struct, frozen=True):
    """An appended turn, and how the thread changed.

    kept, reason: whether the turn is stored, and why not; then turn is null, and the status is 200.
    version: the thread's new version, which the next call may send as expected_version. flushed:
    number of older turns removed because the thread had reached the size at which its policy starts
    a flush. evicted: number of older turns removed to make room for this turn. redactions: number
    of secrets removed from this turn, by kind.
    """

    kept: bool
    turn: Turn | None
    version: int
    flushed: int
    evicted: int
    reason: str | None = None
    redactions: dict[str, int] = field(default_factory=dict)


class SearchAnswer(Struct, frozen=True):
    """The memories that match a query best, with the settings that ranked them."""

    hits: list[SearchHit]
    profile: str
    weights: dict[str, float]
    as_of: datetime
    floor: FloorAnswer
    degraded: list[str] = field(default_factory=list)


class SearchHit(Struct, frozen=True):
    """A memory that a search found. signals: the parts of its score, if the request has
    `explain`.
    """

    rank: int
    id: str
    type: str
    score: float
    memory: Memory
    signals: dict[str, float] = field(default_factory=dict)


class SessionStopAnswer(Struct, frozen=True):
    """The outcome of each message of a session, in order, and the number of outcomes with each
    status.
    """

    results: list[MessageResult]
    counts: StatusCounts


class Source(Struct, frozen=True):
    """Where a memory comes from: turns of a thread, a line of a file, or a caller (by a name that
    it chooses).

    captured: whether it is a message that was stored because its session ended.
    """

    thread_id: str | None = None
    turns: list[int] = field(default_factory=list)
    file: str | None = None
    line: int | None = None
    caller: str | None = None
    captured: bool = False


class SpokenTurn(Struct, frozen=True):
    """A turn of a thread that became part of an event, without its text, which is part of the
    event's content.

    characters: length of the text. The other fields are those of `Turn`; fields without a value are
    left out.
    """

    index: int
    role: str
    at: datetime
    tokens: int
    characters: int
    agent_id: str | None = None
    files: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    tool: str | None = None
    model: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    pinned: bool = False


class StatsAnswer(Struct, frozen=True):
    """Numbers of a namespace's memories that still hold, and of their tokens, by type and in total.

    past: number of memories that were replaced or have expired. items: number of keyed items.
    """

    namespace: str
    types: dict[str, TypeStats]
    total: TypeStats
    past: int
    items: int


class StatusAnswer(Struct, frozen=True):
    """A status that a workflow had, and the event that set it.

    at: time of the event. version: number of the event. actor: agent that reported the event; null
    if unknown. reason: reason that the agent gave.
    """

    status: str
    at: datetime
    version: int
    actor: str | None
    reason: str | None


class StatusCounts(Struct, frozen=True):
    """Numbers of writes by outcome: stored, merged into another memory, rejected or failed."""

    stored: int
    merged: int
    rejected: int
    failed: int


class TaskAct(Struct, frozen=True):
    """What a later text, or a caller, did to an intention.

    at: when the text was said. reason: how the service knows. by: id of the memory that tells it;
    None if a caller did it, or if the text was not kept. text: the words of a text that was not
    kept. due_at, status: those that the intention had before. earlier: id of the intention that a
    moved one continues. sure: the reader's probability, 1 for what a caller or time alone did; left
    out where it is not known.

    Written as JSON, `how` is `as`. It was `how` in earlier data folders, which had no `sure`.
    """

    as_: str = field(name="as")
    at: datetime
    reason: str
    sure: float | None = None
    by: str | None = None
    text: str | None = None
    due_at: datetime | None = None
    status: str | None = None
    earlier: str | None = None


class TextPart(Struct, frozen=True):
    """A sentence of a classified text that has another memory type than the whole text."""

    type: str
    content: str


class ThreadAnswer(Struct, frozen=True):
    """A thread without its turns.

    redactions: number of secrets removed from its initial context, by kind. policy: the thread's
    resource, if it is the name of a policy in the policy file. Null if not: then the default limits
    of 50 turns and 3 hours apply.
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
    redactions: dict[str, int] = field(default_factory=dict)


class ThreadChainAnswer(Struct, frozen=True):
    """A thread and the threads that it continues, oldest first. gap: whether one of them expired or
    may not be read.
    """

    threads: list[ThreadAnswer]
    gap: bool
    cycle: bool


class ThreadCheck(Struct, frozen=True):
    """One check of a thread's health. detail: which turns could not be stored, why, and when they
    are retried.
    """

    name: str
    ok: bool
    detail: str | None = None


class ThreadCleared(Struct, frozen=True):
    """How many turns were removed from a thread. backup_id: id of their backup; left out if none
    was requested.
    """

    cleared: int
    backup_id: str | None = None


class ThreadContextMetadata(Struct, frozen=True):
    """The size of a thread's context in tokens. allocation: tokens of each part (such as short_term
    or files).

    total_tokens: what the model counts at most, or what its provider counted. model_tokens: the
    count of the model's provider; left out if no provider counts for the model. local_tokens: the
    count of `tokenizer`, where total_tokens is the provider's. unknown_model: true for a model
    whose window is unknown; then the budget is the default unless the request or the policy sets
    one. gap: whether a thread that this one continues is missing. degraded: "token_count" if the
    provider failed to count, else empty.
    """

    total_tokens: int
    budget: int
    tokenizer: str
    allocation: dict[str, int]
    gap: bool
    model_tokens: int | None = None
    local_tokens: int | None = None
    unknown_model: bool = False
    degraded: list[str] = field(default_factory=list)


class ThreadHealthAnswer(Struct, frozen=True):
    """The results of a thread's health checks. ok: whether all passed."""

    ok: bool
    checks: list[ThreadCheck]


class ThreadStatsAnswer(Struct, frozen=True):
    """The size of a thread and its limits. utilization: its size as a share of the limit that it is
    nearest to.

    distance_to_flush: tokens (or turns, if tokens are not limited) that can be added before an
    automatic flush moves turns to memories. turns_to_flush: turns that can be added before their
    number starts such a flush. Both are null for a thread that is not flushed automatically.
    waiting: number of batches of removed turns, of all threads of the namespace, that wait to be
    stored as memories. set_aside: number of batches of this thread's removed turns that could not
    be stored. Storing them is tried again at next_try_at and whenever a service starts.
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


class ThreadsAnswer(Struct, frozen=True):
    """A page of threads, the last changed first. next_cursor: `cursor` of the next page; null on
    the last page.
    """

    threads: list[ThreadAnswer]
    next_cursor: str | None


class ThreadsPart(Struct, frozen=True):
    """The agent's threads in its context. tokens: size of all the threads together."""

    tokens: int
    items: list[AgentThreadItem]


class TodoCompletedAnswer(Struct, frozen=True):
    """What was done for a completed to-do.

    cleared: number of its working memory items that were cleared. procedural_id: id of the memory
    that stores its steps if there were more than 5, else null. redactions: number of secrets
    removed from the steps, by kind.
    """

    cleared: int
    procedural_id: str | None
    redactions: dict[str, int] = field(default_factory=dict)


class TodoCreatedAnswer(Struct, frozen=True):
    """The id of the working memory item for a to-do. redactions: number of secrets removed from it,
    by kind.
    """

    working_id: str
    redactions: dict[str, int] = field(default_factory=dict)


class TokenCount(Struct, frozen=True):
    """Token counts of a memory by `tokenizer`. count: tokens of its content. line: tokens of its
    entry in a context.

    renderer: version of the rendering of that entry; empty in memories of earlier versions. `line`
    holds for this tokenizer and this rendering alone.
    """

    count: int
    tokenizer: str
    line: int = 0
    renderer: str = ""


class TokenizerName(Struct, frozen=True):
    """The tokenizer that a retrieval used. sha256: hash of the file with its vocabulary."""

    name: str
    sha256: str


class Turn(Struct, frozen=True):
    """A turn of a thread. tokens: number of tokens of its content.

    index: its number in the thread, which no other turn ever gets; -1 before it is appended.
    """

    role: str
    content: str
    tokens: int
    at: datetime
    agent_id: str | None
    files: list[str]
    images: list[str]
    tool: str | None
    model: str | None
    metadata: dict[str, Any]
    pinned: bool
    index: int


class TurnPlace(Struct, frozen=True):
    """A turn that a context shows, by its thread and its index in it. cut: true if the context
    shows only a part.
    """

    thread_id: str
    index: int
    cut: bool = False


class TurnsAnswer(Struct, frozen=True):
    """A page of a thread's turns, oldest first. next_after: `after` of the next page; null on the
    last page.
    """

    turns: list[ListedTurn]
    next_after: int | None


class TypeStats(Struct, frozen=True):
    """Statistics of one type of memory. count: number of memories. tokens: number of tokens in
    their contents.
    """

    count: int
    tokens: int


class UndoneAnswer(Struct, frozen=True):
    """Ids of the memories that undoing a decision brought back."""

    restored: list[str]


class UnlistedCandidates(Struct, frozen=True):
    """Summary of the candidates that a receipt does not list one by one."""

    count: int
    outcomes: dict[str, int]
    access_counts: AccessCounts


class UpkeepMark(Struct, frozen=True):
    """A decision about a memory by upkeep, the service's background jobs that promote, forget and
    merge memories.

    into: id of the memory that it was merged into. added: sessions that a fact got by a promotion;
    empty if the promotion made the fact. undone: a caller reversed the decision, so it is not made
    again.
    """

    job: str
    at: datetime
    reason: str
    into: str | None = None
    added: list[str] = field(default_factory=list)
    undone: bool = False


class VersionAnswer(Struct, frozen=True):
    """The new version of a changed thread. redactions: number of secrets removed from the new
    turns, by kind. not_kept: number of turns that were left out because their role is never kept.
    """

    version: int
    redactions: dict[str, int] = field(default_factory=dict)
    not_kept: int | None = None


class Vote(Struct, frozen=True):
    """Vote of one reviewer on whether to remember a text. ok: whether the vote is valid and came in
    time.

    stand_in: whether a local reviewer voted in place of a language model that failed, whose vote is
    listed before. scores: a score from 1 to 10 for each aspect that the reviewer rates, such as
    novelty.
    """

    reviewer: str
    ok: bool
    reason: str
    stand_in: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    trivial: bool | None = None
    ms: float = 0.0


class WorkflowAnswer(Struct, frozen=True):
    """A workflow and its state. version: number of the last event that the state includes. ttl_s:
    seconds until it expires if no event of it or of a descendant follows.
    """

    workflow_id: str
    parent_id: str | None
    on_end: str
    version: int
    ttl_s: int
    state: WorkflowStateAnswer


class WorkflowChainAnswer(Struct, frozen=True):
    """A workflow and the workflows that it continues, oldest first. gap: whether any of them has
    expired.
    """

    workflows: list[WorkflowLink]
    gap: bool
    cycle: bool


class WorkflowHistoryAnswer(Struct, frozen=True):
    """The history of a workflow and its ancestors as text. version: number of the workflow's newest
    event.
    """

    history: str
    version: int
    omitted: OmittedFromHistory
    metadata: HistoryMetadata


class WorkflowLink(Struct, frozen=True):
    """A workflow in a chain of workflows, each of which continues the one before.

    actor, reason: which agent reported its current status, and why. states: every status that it
    had, oldest first.
    """

    workflow_id: str
    parent_id: str | None
    status: str
    version: int
    actor: str | None
    reason: str | None
    states: list[StatusAnswer]


class WorkflowStateAnswer(Struct, frozen=True):
    """The state of a workflow that results from its events. changes: every status that it had,
    oldest first.
    """

    status: str
    steps: dict[str, dict[str, Any]]
    resources: dict[str, Any]
    data: dict[str, Any]
    output: Any
    error: Any
    started_at: datetime | None
    ended_at: datetime | None
    changes: list[StatusAnswer]


class WorkflowsAnswer(Struct, frozen=True):
    """A page of workflows, latest created first, maybe fewer than `limit`. next_cursor: null on the
    last page only.
    """

    workflows: list[ListedWorkflow]
    next_cursor: str | None


class WorkingCleared(Struct, frozen=True):
    """How many items of working memory were cleared."""

    cleared: int


class WorkingCreated(Struct, frozen=True):
    """An item of working memory that was created. redactions: number of secrets removed from its
    content, by kind.
    """

    id: str
    namespace: str
    session_id: str | None
    agent_id: str | None
    todo_id: str | None
    todo_status: str | None
    workflow_id: str | None
    content: str
    context_type: str
    scope: str
    priority: int
    created_at: datetime
    accessed_at: datetime | None
    expires_at: datetime | None
    cleared_at: datetime | None
    cleared_reason: str | None
    tokens: ItemTokens
    redactions: dict[str, int] = field(default_factory=dict)


class WorkingItemAnswer(Struct, frozen=True):
    """An item of working memory.

    todo_status: the status of the to-do that it stands for. cleared_at, cleared_reason: when and
    why it ended; null while it is shown.
    """

    id: str
    namespace: str
    session_id: str | None
    agent_id: str | None
    todo_id: str | None
    todo_status: str | None
    workflow_id: str | None
    content: str
    context_type: str
    scope: str
    priority: int
    created_at: datetime
    accessed_at: datetime | None
    expires_at: datetime | None
    cleared_at: datetime | None
    cleared_reason: str | None
    tokens: ItemTokens


class WriteAnswer(Struct, frozen=True):
    """The outcome of writing one memory, and the memory as it is stored."""

    id: str | None
    status: str
    reason: str | None = None
    merged_into: str | None = None
    supersedes: list[str] = field(default_factory=list)
    contests: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    retracted: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    redactions: dict[str, int] = field(default_factory=dict)
    classified: ClassifyAnswer | None = None
    review: Reviewed | None = None
    memory: Memory | None = None
