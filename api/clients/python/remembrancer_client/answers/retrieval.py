"""Answers of search and retrieval, receipts, the contexts of agents, and models."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from remembrancer_client.answers.memories import Answer, Memory
from remembrancer_client.answers.threads import OmittedParts, TurnPlace


class AgentContextAnswer(Answer, frozen=True):
    """An agent's whole context as text, its parts, and its size."""

    context: str
    parts: AgentContextParts
    metadata: AgentContextMetadata


class AgentContextParts(Answer, frozen=True):
    """The parts of an agent's context: what each shows, and how many tokens it takes.

    working: working memory. due: tasks that are due. memory: other memories; its tokens include the headings of `due`.
    """

    memory: MemoryPart
    threads: ThreadsPart
    working: MemoryPart
    due: MemoryPart


class MemoryPart(Answer, frozen=True):
    """A part of an agent's context that consists of memories, and its tokens."""

    tokens: int
    items: list[ContextItem]


class ContextItem(Answer, frozen=True):
    """A memory in the context of an answer.

    tokens: tokens of its entry. content: the text that is shown. cut: whether `content` is only a part of the memory's
    text. excerpt: whether that part is the relevant passages and not the beginning. state: None if the memory is
    current.
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
    """The agent's threads, and the tokens of those in its context."""

    tokens: int
    items: list[AgentThreadItem]


class AgentThreadItem(Answer, frozen=True):
    """A thread of an agent. turns: the turns that are shown; empty if there was no room. omitted: what was left out."""

    thread_id: str
    resource: str
    key: str | None
    mode: str
    tokens: int
    turns: list[TurnPlace]
    omitted: OmittedParts


class AgentContextMetadata(Answer, frozen=True):
    """Size of an agent's context and where it comes from.

    total_tokens: the tokenizer's count of the context plus `margin`, a share such as 0.1 by which the model may count
    more; at most the budget. model_tokens: the count of the model's provider, where one is configured. allocation:
    tokens that each part was allotted. degraded: parts of the service that did not answer.
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
    """Tokens of a model's context window for each part of a call; together they are at most the window."""

    system: int = 0
    history: int = 0
    files: int = 0
    memory: int = 0
    response: int = 0


class ModelsAnswer(Answer, frozen=True):
    """The language models that the service knows: first those of the operator's file, then its own list."""

    models: list[ModelAnswer]


class ModelAnswer(Answer, frozen=True):
    """A language model, or a family of models, that the service knows.

    context_window: tokens of input and output; None for an unknown model. max_output: None if only the window limits
    it. tokenizer: counts for the model. margin: share by which the model's own count may exceed the tokenizer's.
    source: where the numbers come from, with the date.
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
    """The chosen model, and how its context window is divided; `allocation` is None if the window is unknown."""

    model: ModelAnswer
    allocation: Allocation | None


class ReceiptAnswer(Answer, frozen=True):
    """A receipt. contents: the entries and the context, if the query asks for them."""

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
    """The tokenizer of a retrieval: name of its encoding, and hash of its rank file."""

    name: str
    sha256: str


class ReceiptBudgets(Answer, frozen=True):
    """Tokens for each memory type.

    initial: by the default shares of the types. shifted: after tokens were moved to the types that the query asks for.
    final: after tokens that a type did not use went to other types.
    """

    initial: dict[str, int]
    shifted: dict[str, int]
    final: dict[str, int]


class FillTerms(Answer, frozen=True):
    """How a budget was filled: its limits, the tokens of headings and wrapper, and the tokens `used` by each type.

    The tokens that a type needs are computed from the best candidates. sight: how many of these the receipt lists.
    unlisted: tokens, by type, of those that it does not list. due_tokens: tokens of the tasks that were due. first:
    ranks of the tasks that were offered to the budget before better hits, in this order.
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


class ReceiptCandidate(Answer, frozen=True):
    """A candidate of the retrieval and its outcome.

    rank: None if it is not a hit. tokens: size of its entry. counted: whether its entry was counted; if not, `tokens`
    is the stored count. whole: if the entry was cut to at most `allowed` tokens, its tokens before that. group: heading
    of its group. place: its place among the working items. due: whether it is a task that is overdue or due that day.
    of: id of the hit that it duplicates. since: when it was superseded or expired. certainty: probability that it
    helps; None without a relevance floor.
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
    """Candidates that a receipt counts but does not list."""

    count: int
    outcomes: dict[str, int]
    access_counts: AccessCounts


class AccessCounts(Answer, frozen=True):
    """How often memories were accessed; zeros are left out. ids: the first 13 characters of each id, concatenated."""

    ids: str
    counts: list[int]


class ReplayAnswer(Answer, frozen=True):
    """The result of a replay.

    identical: whether the context is the same to the byte; if not, `changes` say why. behind: differences that did not
    change the context, such as the score of a memory that is not in it.
    """

    identical: bool
    changes: list[ReceiptChange] = []
    behind: list[ReceiptChange] = []


class ReceiptChange(Answer, frozen=True):
    """A difference between a receipt and its replay. id: the memory's id. what: field that differs. why: the reason."""

    id: str
    what: str
    why: str
    before: Any = None
    after: Any = None


class ReceiptVerdict(Answer, frozen=True):
    """Whether a receipt is valid, with the result of each check."""

    valid: bool
    checks: list[ReceiptCheck]


class ReceiptCheck(Answer, frozen=True):
    """Result of one check of a receipt."""

    name: str
    ok: bool
    detail: str | None = None


ContextT = TypeVar("ContextT")


class RetrieveAnswer(Answer, Generic[ContextT], frozen=True):
    """A context within its token budget: a text, or a list of messages.

    receipt_id: id of its receipt; None if none was recorded.
    """

    context: ContextT
    items: list[ContextItem]
    metadata: ContextMetadata
    receipt_id: str | None = None


class ContextMessage(Answer, frozen=True):
    """A chat message of a context; recalled text never has a system role."""

    content: str
    role: str = "user"


class ContextMetadata(Answer, frozen=True):
    """Size of a context and the settings behind it.

    total_tokens: of the whole context. budget: tokens for its long-term part. utilization: used share of that budget.
    trimmed_count: number of hits that are not in the context. candidates: number of hits. tokenizer: name of the one
    used. floor: the relevance floor of the hits. working_excerpted: ids of the working items that are shown in part.
    working_left_out: ids of those that are not shown. duplicates: ids of memories left out because one in the context
    has the same text or contains theirs. thread_tokens: tokens of the thread's part, if a thread was named; they count
    towards the budget. margin: share by which the model's own count may be higher than the tokenizer's without
    exceeding the budget. model_tokens: the count of the model's provider, where one is configured.
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
    """The relevance floor: memories that help with a probability below `value` are left out. dropped: how many were."""

    value: float
    dropped: int


class SearchAnswer(Answer, frozen=True):
    """The best memories for a query."""

    hits: list[SearchHit]
    profile: str
    weights: dict[str, float]
    as_of: datetime
    floor: FloorAnswer
    degraded: list[str] = []


class SearchHit(Answer, frozen=True):
    """A ranked memory. signals: only when the request asked to explain."""

    rank: int
    id: str
    type: str
    score: float
    memory: Memory
    signals: dict[str, float] = {}
