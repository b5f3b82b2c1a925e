"""Answers of searches and retrievals, and of the calls on receipts, on agents' contexts, and on
language models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from remembrancer_client.answers.memories import Answer, Memory
from remembrancer_client.answers.threads import OmittedParts, TurnPlace


class AgentContextAnswer(Answer, frozen=True):
    """An agent's whole context as text, with the parts that it consists of and its size."""

    context: str
    parts: AgentContextParts
    metadata: AgentContextMetadata


class AgentContextParts(Answer, frozen=True):
    """The parts of an agent's context. working: working memory. due: due tasks. memory: all other
    memories.

    The headings above the due tasks count among the tokens of `memory`.
    """

    memory: MemoryPart
    threads: ThreadsPart
    working: MemoryPart
    due: MemoryPart


class MemoryPart(Answer, frozen=True):
    """A part of an agent's context that consists of memories. tokens: size of the part."""

    tokens: int
    items: list[ContextItem]


class ContextItem(Answer, frozen=True):
    """A memory that a context shows. tokens: size of its entry. content: the text that the entry
    shows.

    cut: whether `content` is only a part of the memory's text. excerpt: whether this part is the
    most relevant sentences instead of the beginning. state: contested or replaced; None for a
    current memory.
    """

    id: str
    type: str
    rank: int
    score: float
    tokens: int
    content: str
    signals: dict[str, float] = {}
    cut: bool = False
    excerpt: bool = False
    state: str | None = None


class ThreadsPart(Answer, frozen=True):
    """The part of an agent's context that shows the agent's threads. tokens: size of this part."""

    tokens: int
    items: list[AgentThreadItem]


class AgentThreadItem(Answer, frozen=True):
    """A thread in an agent's context. turns: the turns that it shows; empty if the budget has no
    room for them.

    resource: name of the thread's policy in the policy file. mode: the agent's access to the
    thread: read-write or read-only. omitted: what the context leaves out of the thread.
    """

    thread_id: str
    resource: str
    key: str | None
    mode: str
    tokens: int
    turns: list[TurnPlace]
    omitted: OmittedParts


class AgentContextMetadata(Answer, frozen=True):
    """Size of an agent's context, and the settings with which it was built.

    total_tokens: the tokenizer's count, increased by `margin`, a share such as 0.1 by which the
    model's own count may be higher. It does not exceed `budget`. model_tokens: the count by the
    model's provider; None if no provider is configured. allocation: tokens allotted to each part.
    as_of: time at which the memories are valid. degraded: parts of the service that did not
    respond, so that their data are missing. receipt_id: id of the retrieval's receipt.
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
    receipt_id: str | None = None


class Allocation(Answer, frozen=True):
    """Tokens of a language model's context window for each part of a call; together they are at
    most the window.
    """

    system: int = 0
    history: int = 0
    files: int = 0
    memory: int = 0
    response: int = 0


class ModelsAnswer(Answer, frozen=True):
    """The language models that the service knows: first those of the operator's models file, then
    the built-in ones.
    """

    models: list[ModelAnswer]


class ModelAnswer(Answer, frozen=True):
    """A language model, or a family of models, that the service knows.

    context_window: tokens of input and output together; None for an unknown model. max_output:
    maximum tokens of an answer; None if only the window limits it. tokenizer: name of the tokenizer
    that stands in for the model's own. margin: share by which the model's own count may exceed the
    tokenizer's. source: where the numbers come from.
    """

    name: str
    provider: str
    context_window: int | None
    max_output: int | None
    categories: list[str]
    tokenizer: str
    margin: float
    source: str | None


class ResolvedModel(Answer, frozen=True):
    """The chosen model. allocation: how its context window is divided; None if the window is
    unknown.
    """

    model: ModelAnswer
    allocation: Allocation | None


class ReceiptAnswer(Answer, frozen=True):
    """The receipt of a retrieval: a record of its request, its candidates and why each is in the
    context or not.

    contents: the text of the context, and of each memory's entry in it; None unless the call asked
    for them. embedder: name of the embedding model. long_term, working: how the budgets for
    memories and for working memory were filled. previous_id, previous_sha256: id and hash of the
    receipt before this one in the service's chain of receipts. sha256: hash of all other fields,
    including previous_sha256, but without `contents`.
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
    contents: dict[str, Any] | None = None


class TokenizerName(Answer, frozen=True):
    """The tokenizer of a retrieval: name of its encoding, and SHA-256 of the encoding's rank
    file.
    """

    name: str
    sha256: str


class ReceiptBudgets(Answer, frozen=True):
    """Tokens for each memory type in the context of a retrieval.

    initial: default share of each type. shifted: tokens after some were moved to the types that the
    query asks for. final: tokens after each type's unused tokens were given to other types.
    """

    initial: dict[str, int]
    shifted: dict[str, int]
    final: dict[str, int]


class FillTerms(Answer, frozen=True):
    """How the token budget of a context was filled. With it, a check of the receipt can repeat the
    filling.

    total: tokens of the budget. caps: maximum tokens of each memory type. task_like: whether the
    query asks for tasks. how_to: whether it asks for a procedure. cut, excerpt: whether a memory
    that is too long is cut at its end, or reduced to its most relevant sentences. wrapper: tokens
    of the tags around the context. headings, groups: tokens of the headings of types and of days.
    used: tokens that each type took. due_tokens: tokens of due tasks. first: ranks of the hits that
    were tried before better hits, in this order. by_due: whether tasks stand by due time.

    The share of each type depends on the tokens of the best candidates. sight: number of these
    candidates that the receipt lists. unlisted: tokens, by type, of these candidates that it does
    not list.
    """

    total: int
    types: list[str]
    caps: dict[str, int]
    task_like: bool
    how_to: bool
    cut: bool
    excerpt: bool
    wrapper: int
    headings: dict[str, int]
    groups: dict[str, int]
    used: dict[str, int]
    sight: int
    unlisted: dict[str, int]
    due_tokens: int = 0
    first: list[int] = []
    by_due: bool = False


class ReceiptCandidate(Answer, frozen=True):
    """A memory that a retrieval considered, and why it is in the context or not (`outcome`).

    rank: its place in the ranking, from 1; None if it is not ranked, such as an expired memory.
    signals: parts of the score. tokens: size of its entry in the context. counted: False if
    `tokens` was not counted for this context but stored with the memory. whole: tokens of the entry
    before it was cut. allowed: maximum tokens after the cut. group: heading of the day above the
    entry. place: index among the working items; None for other types. due: whether it is a task
    that is overdue or due that day. of: id of the memory that it duplicates. since: when it was
    replaced or expired. certainty: probability that it helps to answer; None if the request has no
    relevance floor.
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


class UnlistedCandidates(Answer, frozen=True):
    """Candidates of a retrieval that its receipt only counts. outcomes: number by outcome, such as
    "over_total".
    """

    count: int
    outcomes: dict[str, int]
    access_counts: AccessCounts


class AccessCounts(Answer, frozen=True):
    """How often memories were used; memories that were never used are left out.

    ids: the first 13 characters of each memory's id, joined to one text. counts: the counts in the
    same order.
    """

    ids: str
    counts: list[int]


class ReplayAnswer(Answer, frozen=True):
    """The result of a replay, which repeats the retrieval of a receipt and compares the contexts.

    identical: whether the contexts are equal to the byte. changes: if not, how the candidates
    differ and why. behind: if the contexts are equal, differences without an effect, such as a new
    score of a memory that is not in the context.
    """

    identical: bool
    changes: list[ReceiptChange] = []
    behind: list[ReceiptChange] = []


class ReceiptChange(Answer, frozen=True):
    """A difference between a receipt and its replay. what: name of the differing field. why: the
    reason.

    id: id of the memory. before, after: the field's value in the receipt and in the replay.
    """

    id: str
    what: str
    why: str
    before: Any = None
    after: Any = None


class ReceiptVerdict(Answer, frozen=True):
    """The result of verifying a receipt. valid: whether it is consistent and unaltered. checks:
    their results.
    """

    valid: bool
    checks: list[ReceiptCheck]


class ReceiptCheck(Answer, frozen=True):
    """Result of one check of a receipt, the record of a retrieval. ok: whether it passed. detail:
    faults, or a note.
    """

    name: str
    ok: bool
    detail: str | None = None


ContextT = TypeVar("ContextT")


class RetrieveAnswer(Answer, Generic[ContextT], frozen=True):
    """A context within its token budget, as a text or a list of chat messages. items: the memories
    in it.

    receipt_id: id of the receipt, which tells how the context was made; None if no receipt was
    recorded.
    """

    context: ContextT
    items: list[ContextItem]
    metadata: ContextMetadata
    receipt_id: str | None = None


class ContextMessage(Answer, frozen=True):
    """A chat message that contains a part of a context. role: always `user`, never a system
    role.
    """

    content: str
    role: str = "user"


class ContextMetadata(Answer, frozen=True):
    """Size of a context, and the settings with which it was built.

    total_tokens: size of the whole context. budget: tokens allowed for the context without working
    memory. utilization: used share of that budget. candidates: number of hits. trimmed_count:
    number of hits that are not in the context. tokenizer: name of the tokenizer. working_excerpted,
    working_left_out: ids of the working items that are shown in part, or not shown. duplicates: ids
    of memories left out because a memory in the context has or contains the same text.
    thread_tokens: tokens of the part that shows a thread, which the budget includes; None if the
    call named no thread. margin: share by which the count of the model's own tokenizer may exceed
    the count of `tokenizer`. model_tokens: the count by the model's provider; None if no provider
    is configured. degraded: parts of the service that did not respond.
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
    working_excerpted: list[str] = []
    working_left_out: list[str] = []
    duplicates: list[str] = []
    thread_tokens: int | None = None
    model: str | None = None
    margin: float = 0.0
    model_tokens: int | None = None
    degraded: list[str] = []


class FloorAnswer(Answer, frozen=True):
    """The relevance floor: memories less likely than `value` to help are left out. dropped: how
    many were left out.
    """

    value: float
    dropped: int


class SearchAnswer(Answer, frozen=True):
    """The best memories for a query, best first. as_of: time at which the memories are valid.

    profile: name of the set of weights for the parts of a score. weights: the weights used, by
    part.
    """

    hits: list[SearchHit]
    profile: str
    weights: dict[str, float]
    as_of: datetime
    floor: FloorAnswer
    degraded: list[str] = []


class SearchHit(Answer, frozen=True):
    """A memory that a search found. signals: parts of its score, empty unless the call set
    `explain`.
    """

    rank: int
    id: str
    type: str
    score: float
    memory: Memory
    signals: dict[str, float] = {}
