"""What a receipt says: its shape, with the names of the HTTP contract."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant
from retrieval.answer import Answer, Given
from retrieval.context.outcome import Outcome

SHORT = 13
"""Characters by which an id is known among those that are only counted: 48 bits tell some thousands apart."""


class _Part(Answer):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenizerName(_Part):
    """The encoding that counted, with the hash of its ranks file."""

    name: str
    sha256: str


class Budgets(_Part):
    """Tokens of each type: by the table, after the question shifted them, and as they were handed on."""

    initial: dict[MemoryType, int]
    shifted: dict[MemoryType, int]
    final: dict[MemoryType, int]


class FillTerms(_Part):
    """What a fill went by: its plan, and the cost of everything that is no entry.

    sight: how many of the first candidates stood for what the types need. unlisted: tokens that others which did so
    would have taken, by type; these are only counted below.
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


class ReceiptCandidate(_Part):
    """A candidate and what became of it.

    rank: None when it was no hit. tokens: of its entry as it is shown, or as it would be. whole: of its whole entry,
    where less is shown, in at most `allowed`. of: the hit that it repeats. since: when it ceased to be current.
    counted: whether a fill looked at its entry; else tokens are those stored. place: among the working items offered.
    """

    id: str
    type: MemoryType
    rank: int | None
    signals: dict[str, float]
    score: float
    tokens: int
    outcome: Outcome
    of: str | None = None
    since: Instant | None = None
    group: str | None = None
    whole: int | None = None
    allowed: int | None = None
    entry_sha256: str | None = None
    access_count: int = 0
    counted: bool = True
    place: int | None = None


class Uses(_Part):
    """How often memories had been used. ids: the first SHORT characters of each, one id after the other."""

    ids: str
    counts: list[int]

    def by_id(self) -> dict[str, int]:
        """The uses by those characters."""
        return {self.ids[SHORT * place :][:SHORT]: count for place, count in enumerate(self.counts)}


class Unlisted(_Part):
    """The candidates that a receipt only counts: how many, by outcome, and the uses of those that had any."""

    count: int
    outcomes: dict[Outcome, int]
    access_counts: Uses


class Receipt(_Part):
    """How one retrieval's answer came to be."""

    id: str
    version: Literal[1]
    created_at: Instant
    request: dict[str, Any]
    as_of: Instant
    degraded: list[str]
    embedder: str
    tokenizer: TokenizerName
    weights: dict[str, float]
    budgets: Budgets
    long_term: FillTerms
    working: FillTerms
    candidates: list[ReceiptCandidate]
    unlisted: Unlisted
    total_tokens: int
    context_sha256: str
    previous_id: str | None
    previous_sha256: str
    sha256: str


class ReceiptCheck(Answer):
    """One thing that was checked."""

    name: str
    ok: bool
    detail: str | None = None


class ReceiptVerdict(Answer):
    """Whether a receipt holds, and what was checked."""

    valid: bool
    checks: list[ReceiptCheck]


class ReceiptChange(Answer):
    """What a replay gave otherwise: of which memory, what, and why."""

    id: str
    what: str
    before: Any = None
    after: Any = None
    why: str


class ReplayAnswer(Answer):
    """identical: whether the context is the same to the byte; only where it is not there are `changes`.

    behind: what moved behind the same context, such as the score of a memory that it does not show.
    """

    identical: bool
    changes: list[ReceiptChange] = Field(default_factory=list)
    behind: Given[list[ReceiptChange]] = None
