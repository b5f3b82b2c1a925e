"""Answers about memories: a memory, and the outcomes of writing, changing and judging memories."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """Base of all answers: immutable; members of an answer that this client does not know are ignored."""


class Memory(Answer, frozen=True):
    """A memory of any type. Fields that only some types have are None for the others.

    type: episodic, semantic, prospective, procedural or working. state: current, contested or replaced.
    """

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
    state_reason: str | None
    dated: bool
    content_hash: str
    tokens: TokenCount
    gives_value: bool | None
    evidence_count: int
    source_sessions: list[str]
    reviewed: Reviewed | None
    upkeep: UpkeepMark | None
    rewordings: list[Rewording] = []
    event_type: str | None = None
    title: str | None = None
    context: str | None = None
    emotional_valence: int | None = None
    speaker: str | None = None
    turns: list[SpokenTurn] | None = None
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
    fired_at: datetime | None = None
    completed_at: datetime | None = None
    procedure_name: str | None = None
    steps: list[str] | None = None
    prerequisites: list[str] | None = None
    success_conditions: list[str] | None = None
    failure_patterns: list[str] | None = None
    usage_count: int | None = None
    success_rate: float | None = None
    last_used_at: datetime | None = None
    todo_id: str | None = None
    context_type: str | None = None
    scope: str | None = None
    cleared_at: datetime | None = None
    live: bool | None = None
    fence: int | None = None
    workflow_id: str | None = None


class Source(Answer, frozen=True):
    """Where a memory comes from: a thread and its turns, a file and line, or a caller."""

    thread_id: str | None = None
    turns: list[int] = []
    file: str | None = None
    line: int | None = None
    caller: str | None = None


class Rewording(Answer, frozen=True):
    """A text that was merged into a memory at the time `at`, because it said the same in other words.

    id: the id with which `undo` stores the text as a memory of its own.
    """

    id: str
    content: str
    at: datetime
    reason: str
    session_id: str | None = None


class Link(Answer, frozen=True):
    """A link from a memory to the memory `to` in its namespace. strength: how sure or close the relation is."""

    to: str
    type: str
    strength: float = 1.0


class TokenCount(Answer, frozen=True):
    """Token counts of a memory by `tokenizer`. count: tokens of its content. line: tokens of its entry in a context."""

    count: int
    tokenizer: str
    line: int = 0


class UpkeepMark(Answer, frozen=True):
    """What an upkeep job decided about a memory: which job, when, and why.

    into: id of the memory that it was merged into. undone: whether a caller undid the decision; upkeep then does not
    repeat it.
    """

    job: str
    at: datetime
    reason: str
    into: str | None = None
    undone: bool = False


class SpokenTurn(Answer, frozen=True):
    """A turn of a conversation whose text is part of an episodic memory's content.

    characters: length of the turn's text in that content. The other fields are those of the turn; fields that the turn
    did not have are left out.
    """

    index: int
    role: str
    at: datetime
    tokens: int
    characters: int
    agent_id: str | None = None
    files: list[str] = []
    images: list[str] = []
    tool: str | None = None
    model: str | None = None
    metadata: dict[str, Any] = {}
    pinned: bool | None = None


class BatchAnswer(Answer, frozen=True):
    """The results of the items, in order, and how many ended with each status."""

    results: list[BatchItem]
    counts: StatusCounts


class WriteResult(Answer, frozen=True):
    """The outcome of writing a text."""

    id: str | None
    status: str
    reason: str | None = None
    merged_into: str | None = None
    supersedes: list[str] = []
    contests: list[str] = []
    changed: list[str] = []
    redactions: dict[str, int] = {}
    classified: ClassifyAnswer | None = None
    review: Reviewed | None = None


class WriteAnswer(WriteResult, frozen=True):
    """The outcome of writing one memory, and the memory."""

    memory: Memory | None = None


class BatchItem(WriteResult, frozen=True, kw_only=True):
    """The outcome of writing one item of a batch. index: the item's index in the batch."""

    index: int


class ClassifyAnswer(Answer, frozen=True):
    """The memory type of a text and the reason for it. The confidences of all types sum to 1."""

    type: str
    confidence: float
    reason: str
    alternatives: list[Alternative]
    parts: list[TextPart] = []


class Alternative(Answer, frozen=True):
    """Another memory type that a text may have, and how likely."""

    type: str
    confidence: float


class TextPart(Answer, frozen=True):
    """A part of a text, with the memory type of that part."""

    type: str
    content: str


class Reviewed(Answer, frozen=True):
    """The result of a review: whether a text is worth storing, and why.

    importance, relevance, novelty: mean of the score over the valid votes that have it; None if none has it.
    """

    decision: str
    reason: str
    tier: str
    importance: float | None = None
    relevance: float | None = None
    novelty: float | None = None
    votes: list[Vote] = []


class Vote(Answer, frozen=True):
    """Vote of one reviewer on a text.

    ok: whether the vote is valid and came in time. scores: 1-10, by aspect of the text. stand_in: whether it is a local
    reviewer's vote that replaces the failed vote before it.
    """

    reviewer: str
    ok: bool
    reason: str
    stand_in: bool = False
    scores: dict[str, float] = {}
    trivial: bool | None = None
    ms: float = 0.0


class StatusCounts(Answer, frozen=True):
    """How many items ended with each status."""

    stored: int
    merged: int
    rejected: int
    failed: int


class DecisionsAnswer(Answer, frozen=True):
    """What the service decided by itself, newest first. With a rejected text's or wording's id, `undo` stores it."""

    decisions: list[DecidedText]


class DecidedText(Answer, frozen=True):
    """A decision about the memory or rejected text `id`. by: id of the memory that replaced or absorbed it."""

    id: str
    kind: str
    at: datetime
    reason: str
    content: str
    by: str | None = None


class ListAnswer(Answer, frozen=True):
    """A page of memories, newest first. total: number of memories on all pages."""

    memories: list[Memory]
    next_cursor: str | None
    total: int


class DeletedAnswer(Answer, frozen=True):
    """How many memories were deleted, and how many still match."""

    deleted: int
    remaining: int


class HistoryAnswer(Answer, frozen=True):
    """The versions of a memory, oldest first: its other texts, what it replaced, what replaced it, what contests it."""

    versions: list[HistoryVersion]


class HistoryVersion(Answer, frozen=True):
    """An entry of a memory's history: one of its texts, or a memory that it replaced, was replaced by, or contests.

    from, to: when the text held. replaced_by: id of the memory whose text took its place; of an earlier text, or of
    another wording, the id of the memory itself.
    """

    memory: Memory
    since: datetime = msgspec.field(name="from")
    to: datetime | None = None
    replaced_by: str | None = None
    reason: str | None = None


class UndoneAnswer(Answer, frozen=True):
    """Ids of the memories that an undo brought back."""

    restored: list[str]


class DueAnswer(Answer, frozen=True):
    """The intentions that are due, those due for longest first."""

    due: list[Memory]


class ReviewAnswer(Reviewed, frozen=True, kw_only=True):
    """The decision on a text and each reviewer's vote. redacted: whether secrets were removed before the review."""

    redacted: bool
    redactions: dict[str, int]


class StatsAnswer(Answer, frozen=True):
    """Number of memories and tokens in a namespace, by type and in total. items: number of values stored under keys."""

    namespace: str
    types: dict[str, TypeStats]
    total: TypeStats
    items: int = 0


class TypeStats(Answer, frozen=True):
    """Number of memories of a type, and of tokens in their contents."""

    count: int
    tokens: int


class UploadAnswer(Answer, frozen=True):
    """How many lines of an upload ended with each status.

    refused: the results of the lines that were rejected or failed; their `index` counts the lines of the whole upload.
    """

    counts: StatusCounts
    refused: list[BatchItem]
