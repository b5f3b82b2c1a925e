"""Answers of the calls on memories: a memory, and the results of writing, listing, classifying and
reviewing them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """Base of all answers: immutable. Members of a response that this client version does not know
    are ignored.
    """


class Memory(Answer, frozen=True):
    """A memory of any type. Fields that only some types have are None for the others.

    type: episodic, semantic, prospective, procedural or working. state: current, contested (another
    memory contradicts it) or replaced (a newer memory took its place).
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
    restated_at: datetime | None
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
    """Where a memory comes from: turns of a thread, a line of a file, or a program.

    turns: indexes of the turns in the thread. caller: name that the program gave itself. captured:
    whether it is a message that was stored because its session ended.
    """

    thread_id: str | None = None
    turns: list[int] = []
    file: str | None = None
    line: int | None = None
    caller: str | None = None
    captured: bool = False


class Rewording(Answer, frozen=True):
    """A text that was merged into a memory at the time `at`, because it says the same in other
    words.

    id: id with which `undo` stores the text as a separate memory. reason: why the texts were
    merged.
    """

    id: str
    content: str
    at: datetime
    reason: str
    session_id: str | None = None


class Link(Answer, frozen=True):
    """A link to the memory with the id `to`. type: how both are related, such as `extends`.
    strength: 0 to 1.
    """

    to: str
    type: str
    strength: float = 1.0


class TokenCount(Answer, frozen=True):
    """Size of a memory in tokens. count: tokens of its content. line: tokens of its entry in a
    context.
    """

    count: int
    tokenizer: str
    line: int = 0


class UpkeepMark(Answer, frozen=True):
    """A decision of an upkeep job about a memory: which job, when, and why.

    into: id of the memory into which the job merged this memory. undone: whether a caller undid the
    decision, so that upkeep does not repeat it.
    """

    job: str
    at: datetime
    reason: str
    into: str | None = None
    undone: bool = False


class SpokenTurn(Answer, frozen=True):
    """A turn of a conversation whose text is part of an episodic memory's content.

    characters: length of the turn's text in that content. index: number of the turn in its thread.
    The other fields have the values of the thread's turn, such as its role.
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
    """The results of the items of a batch, in their order, and how many items ended with each
    status.
    """

    results: list[BatchItem]
    counts: StatusCounts


class WriteResult(Answer, frozen=True):
    """The outcome of writing a text. status: stored, merged, rejected or failed.

    id: id of the memory that has the text; None for a rejected or failed text. merged_into: id of
    the stored memory that says the same. changed: fields of that memory that the merge changed.
    supersedes, contests: ids of memories that the text replaces or contradicts. redactions: number
    of secrets removed from the text, by kind. classified: how the memory type was chosen. review:
    the reviewers' decision and votes.
    """

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
    """The outcome of writing one memory. memory: the stored memory; None if nothing was stored."""

    memory: Memory | None = None


class BatchItem(WriteResult, frozen=True, kw_only=True):
    """The outcome of writing one item of a batch. index: position of the item in the batch, from
    0.
    """

    index: int


class ClassifyAnswer(Answer, frozen=True):
    """The memory type of a text, with the reason. alternatives: the other types. All confidences
    sum to 1.
    """

    type: str
    confidence: float
    reason: str
    alternatives: list[Alternative]
    parts: list[TextPart] = []


class Alternative(Answer, frozen=True):
    """Another memory type that a text may have, with its probability."""

    type: str
    confidence: float


class TextPart(Answer, frozen=True):
    """A sentence of a classified text, with its memory type, which differs from the type of the
    whole text.
    """

    type: str
    content: str


class Reviewed(Answer, frozen=True):
    """The result of a review, in which several models (reviewers) vote whether a text is worth
    storing.

    importance, relevance, novelty: mean of this score over the valid votes; None if no valid vote
    has the score. tier: reliability by the number of valid votes: consensus (two or three), partial
    (one) or fallback (none).
    """

    decision: str
    reason: str
    tier: str
    importance: float | None = None
    relevance: float | None = None
    novelty: float | None = None
    votes: list[Vote] = []


class Vote(Answer, frozen=True):
    """The vote of one reviewer, a model that judges whether a text is worth storing.

    ok: whether the vote is valid and came in time. scores: 1 to 10, by aspect of the text, such as
    importance. stand_in: whether a local reviewer cast this vote because the previous vote in the
    list failed. ms: duration in milliseconds.
    """

    reviewer: str
    ok: bool
    reason: str
    stand_in: bool = False
    scores: dict[str, float] = {}
    trivial: bool | None = None
    ms: float = 0.0


class StatusCounts(Answer, frozen=True):
    """Number of texts that were stored, merged into a memory that says the same, rejected, or
    failed.
    """

    stored: int
    merged: int
    rejected: int
    failed: int


class DecisionsAnswer(Answer, frozen=True):
    """Decisions that the service made by itself, newest first. Pass the id of a decision to `undo`
    to take it back.
    """

    decisions: list[DecidedText]


class DecidedText(Answer, frozen=True):
    """A decision about a memory or a rejected text. id, content: the id and text of the memory or
    rejected text.

    by: id of the memory that replaced this memory or into which it was merged; None if there is
    none.
    """

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
    """How many memories were deleted, and how many that match the call's conditions remain."""

    deleted: int
    remaining: int


class HistoryAnswer(Answer, frozen=True):
    """The history of a memory, oldest first: its texts, and those of memories that replaced,
    preceded or contest it.
    """

    versions: list[HistoryVersion]


class HistoryVersion(Answer, frozen=True):
    """An entry of a memory's history: a text of this memory, or of a related memory.

    A related memory replaced it, was replaced by it, or contradicts it. memory: the memory that has
    the text. since (`from` in JSON), to: period in which the text was valid. replaced_by: id of the
    memory with the newer text, which is this memory's own id if its text was edited or reworded.
    """

    memory: Memory
    since: datetime = msgspec.field(name="from")
    to: datetime | None = None
    replaced_by: str | None = None
    reason: str | None = None


class UndoneAnswer(Answer, frozen=True):
    """Ids of the memories that the call `undo` restored. If it undid a rejection, the id of the
    newly stored memory.
    """

    restored: list[str]


class DueAnswer(Answer, frozen=True):
    """The intentions (such as tasks and reminders) that are due, the longest overdue first."""

    due: list[Memory]


class ReviewAnswer(Reviewed, frozen=True, kw_only=True):
    """The result of a review of a text that was not stored. redactions: number of secrets removed
    from it, by kind.
    """

    redacted: bool
    redactions: dict[str, int]


class StatsAnswer(Answer, frozen=True):
    """Number of memories that still hold in a namespace, and of their tokens, by type and in total.

    past: number of memories that were replaced or have expired. items: number of JSON values under
    keys.
    """

    namespace: str
    types: dict[str, TypeStats]
    total: TypeStats
    past: int = 0
    items: int = 0


class TypeStats(Answer, frozen=True):
    """Number of memories of a type, and of tokens in their contents."""

    count: int
    tokens: int


class UploadAnswer(Answer, frozen=True):
    """How many lines of an upload ended with each status.

    refused: the results of the lines that were rejected or failed; their `index` counts the lines
    of the whole upload.
    """

    counts: StatusCounts
    refused: list[BatchItem]
