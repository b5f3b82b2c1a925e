"""The shape of a receipt, and of the answers about receipts, with the names of the HTTP contract."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant
from retrieval.answer import Answer, OmittedIfNone
from retrieval.ranking.ranked import CandidateOutcome

SHORT_ID = 13
"""Characters of the ids of unlisted candidates: 48 bits distinguish some thousands."""


class ReceiptPart(Answer):
    """Base of the parts of a receipt: frozen, without other members."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenizerName(ReceiptPart):
    """The encoding that counted, with the hash of its ranks file."""

    name: str
    sha256: str


class ReceiptBudgets(ReceiptPart):
    """Tokens of each type: by the policy table, after the shift by intent, and after hand-on."""

    initial: dict[MemoryType, int]
    shifted: dict[MemoryType, int]
    final: dict[MemoryType, int]


class FillTerms(ReceiptPart):
    """The terms of a fill: its plan, and the overheads of headings and wrapper.

    sight: number of listed candidates that count towards demand. unlisted: demand of the candidates that do so and are
    not listed, by type.
    """

    total: int
    types: list[MemoryType]
    caps: dict[MemoryType, int]
    task_like: bool
    how_to: bool
    cut: bool
    excerpt: bool
    wrapper: int
    headings: dict[MemoryType, int]
    groups: dict[str, int]
    used: dict[MemoryType, int]
    sight: int
    unlisted: dict[MemoryType, int]


class ReceiptCandidate(ReceiptPart):
    """A candidate and what became of it.

    rank: None when it is no hit. tokens: of its entry. counted: whether a fill counted its entry; else tokens are those
    stored. whole: tokens of its whole entry where less is shown, in at most `allowed`. group: its group heading. place:
    among the working items. of: the hit that it duplicates. since: when it was superseded or expired.
    """

    id: str
    type: MemoryType
    rank: int | None
    signals: dict[str, float]
    score: float
    tokens: int
    outcome: CandidateOutcome
    of: str | None = None
    since: Instant | None = None
    group: str | None = None
    whole: int | None = None
    allowed: int | None = None
    entry_sha256: str | None = None
    access_count: int = 0
    counted: bool = True
    place: int | None = None


class AccessCounts(ReceiptPart):
    """Access counts of memories that had any. ids: the first SHORT_ID characters of each id, concatenated."""

    ids: str
    counts: list[int]

    def by_short_id(self) -> dict[str, int]:
        """The counts by the first SHORT_ID characters of the ids."""
        return {self.ids[SHORT_ID * index :][:SHORT_ID]: count for index, count in enumerate(self.counts)}


class UnlistedCandidates(ReceiptPart):
    """The candidates that a receipt only counts."""

    count: int
    outcomes: dict[CandidateOutcome, int]
    access_counts: AccessCounts


class Receipt(ReceiptPart):
    """How one retrieval's answer was made."""

    id: str
    version: Literal[1]
    created_at: Instant
    request: dict[str, Any]
    as_of: Instant
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


class ReceiptCheck(Answer):
    """The result of one check."""

    name: str
    ok: bool
    detail: str | None = None


class ReceiptVerdict(Answer):
    """Whether a receipt is valid, and the checks that say so."""

    valid: bool
    checks: list[ReceiptCheck]


class ReceiptChange(Answer):
    """A difference that a replay found: in which memory, what, and why."""

    id: str
    what: str
    before: Any = None
    after: Any = None
    why: str


class ReplayAnswer(Answer):
    """The result of a replay.

    identical: whether the context is the same to the byte; only otherwise are there `changes`. behind: changes that the
    context does not show, such as the score of a memory that is not in it.
    """

    identical: bool
    changes: list[ReceiptChange] = Field(default_factory=list)
    behind: OmittedIfNone[list[ReceiptChange]] = None
