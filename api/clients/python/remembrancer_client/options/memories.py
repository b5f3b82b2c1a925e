"""Keyword arguments of the calls on memories, as typed dictionaries. The service has a default for
each of them.

Every call that works in a namespace takes `namespace`, which replaces the client's. Times are
datetimes with an offset.
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


class Scoped(TypedDict, total=False):
    """Options for a call in a namespace. namespace: by default the namespace of the client."""

    namespace: str


class LinkTo(TypedDict, total=False):
    """A link to the memory with the id `to`. type: how it relates to that memory. strength:
    0..1.
    """

    to: str
    type: Literal["reinforces", "contradicts", "extends", "refines", "derived_from"]
    strength: float


class MemoryChanges(TypedDict, total=False):
    """Fields of a memory that can be changed: first the fields of all memory types, then the fields
    of each type.
    """

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
    """Fields of a new memory other than its content. type: by default, the service chooses it by
    the content.
    """

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
    """Options for `remember`: fields of the new memory, and the namespace."""


class UpdateOptions(MemoryChanges, Scoped, total=False):
    """Options for `update`. valid_to: time until which the memory is valid; None makes an expired
    one valid again.

    superseded_by: id of the memory that replaces this one.
    """

    content: str
    valid_to: datetime | None
    superseded_by: str


class BatchOptions(Scoped, total=False):
    """Options for `batch`. idempotency_key: by default, each call gets a new random key."""

    idempotency_key: str


class ListOptions(Scoped, total=False):
    """Options for `page` and `all`: conditions that all have to match, and the page. limit: page
    size, at most 500.
    """

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
    """Options for searches and retrievals. filters: conditions in the API's filter language.

    profile: name of a set of weights for the parts of a score. weights: used instead of the
    profile's. as_of: find what was valid at this time. floor: leave out memories whose probability
    of helping to answer the query is below this. explain: return the parts of the scores.
    """

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
    """Options for `search`. top_k: maximum number of hits."""

    top_k: int


class BudgetParts(TypedDict, total=False):
    """Maximum tokens of a context without working memory: in total, and by type; 0 leaves out a
    type's memories.
    """

    total: int
    per_type: dict[MemoryType, int] | None


class RecallOptions(RankOptions, total=False):
    """Options for `recall`. budget: tokens for long-term memory. working_budget: more tokens, for
    working memory.
    """

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
    """Options for `forget_all`: which memories to delete. By default, all memories of the
    namespace.
    """

    type: MemoryType
    session_id: str


class DueOptions(Scoped, total=False):
    """Options for `due`. mark: mark the tasks and reminders in the answer as fired; later calls do
    not return them.
    """

    at: datetime
    event: str
    context: str
    session_id: str
    mark: bool


class DecisionOptions(Scoped, total=False):
    """Options for `decisions`, which lists automatic changes. kind: by default, all kinds. limit:
    maximum number.
    """

    kind: Literal["replaced", "contested", "merged", "promoted", "forgotten", "rejected"]
    limit: int


class AgentOptions(Scoped, total=False):
    """Options for `agent_context`. variables: values for placeholders in threads' keys, such as `{{
    user.id }}`.
    """

    query: str | None
    session_id: str | None
    variables: dict[str, Any]
    model: str | None
    budget: int | None
    floor: float
