"""Models of the HTTP contract: receipts, which record how a context was made, and answers about
receipts.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import Any, Literal

from pydantic import ConfigDict, Field

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.times import Instant
from retrieval.answer import Answer, OmittedIfNone
from retrieval.context.budget import Oversize
from retrieval.query.request import AnyBudget
from retrieval.ranking.ranked import CandidateOutcome

VERSION = 4
"""Version of the receipt format."""

EARLIER_VERSIONS = tuple(range(1, VERSION))
"""Versions of the format of which only the hash can be verified."""

SHORT_ID = 13
"""Number of characters of an id by which a receipt names memories that it does not list: distinct
among thousands.
"""


class ReceiptPart(Answer):
    """Base class of the parts of a receipt, which are immutable and have no unknown members."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenizerName(ReceiptPart):
    """The tokenizer that a retrieval used. sha256: hash of the file with its vocabulary."""

    name: str
    sha256: str


class ReceiptBudgets(ReceiptPart):
    """Tokens of each memory type at three steps of filling a budget.

    initial: fixed shares. shifted: shares after tokens were moved to the types that the query asks
    for. final: used.
    """

    initial: dict[MemoryType, int]
    shifted: dict[MemoryType, int]
    final: dict[MemoryType, int]


class FillTerms(ReceiptPart):
    """The values by which `fill` filled a token budget, besides its offers: a `BudgetPlan` and
    `Overheads`; and the tokens used by each type.
    """

    total: int
    types: list[MemoryType]
    caps: dict[MemoryType, int]
    task_like: bool
    how_to: bool
    oversize: Oversize
    due_tokens: int = 0
    finished: bool = False
    newest_first: bool = False
    keeps_shares: bool = False
    wrapper: int
    headings: dict[MemoryType, int]
    groups: dict[str, int]
    used: dict[MemoryType, int]


class FirstBudgets(ReceiptPart):
    """The budgets of a first choice, whose context had too many tokens by the count of the model's
    provider. Members as in a request.
    """

    budget: AnyBudget
    working_budget: int


class ReceiptCandidate(ReceiptPart):
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
    type: MemoryType
    rank: int | None
    signals: dict[str, float]
    score: float
    tokens: int
    outcome: CandidateOutcome
    of: str | None = None
    since: Instant | None = None
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


class AccessCounts(ReceiptPart):
    """Use counts of memories, without unused ones. ids: first SHORT_ID characters of each memory's
    id, joined.
    """

    ids: str
    counts: list[int]

    def by_short_id(self) -> dict[str, int]:
        """Map the first SHORT_ID characters of each memory's id to its use count."""
        return {
            self.ids[SHORT_ID * index :][:SHORT_ID]: count
            for index, count in enumerate(self.counts)
        }


class UnlistedCandidates(ReceiptPart):
    """Summary of the candidates that a receipt does not list one by one."""

    count: int
    outcomes: dict[CandidateOutcome, int]
    access_counts: AccessCounts


class Receipt(ReceiptPart):
    """Record of how the context of one retrieval was made, with its hash and that of the tenant's
    previous receipt. reader: fingerprint of the model that read the best hits, if they were read.
    first: set if memories were chosen again, among those of a first choice.
    """

    id: str
    version: Literal[4]
    created_at: Instant
    request: dict[str, Any]
    as_of: Instant
    degraded: list[str]
    embedder: str
    reader: str | None = None
    tokenizer: TokenizerName
    weights: dict[str, float]
    budgets: ReceiptBudgets
    long_term: FillTerms
    working: FillTerms
    first: FirstBudgets | None = None
    candidates: list[ReceiptCandidate]
    unlisted: UnlistedCandidates
    total_tokens: int
    context_sha256: str
    previous_id: str | None
    previous_sha256: str
    sha256: str

    @classmethod
    def read(cls, text: bytes) -> Receipt:
        """The receipt in its JSON text. Raises InvalidRequest if an earlier version of the service
        made it, in another form.
        """
        if json.loads(text).get("version") in EARLIER_VERSIONS:
            raise InvalidRequest(
                "this receipt was made by an earlier version of the service", path="receipt_id"
            )
        return cls.model_validate_json(text)

    def offered(self, *, working: bool) -> list[ReceiptCandidate]:
        """The hits that were offered to the budget of working memory or to the other one, in the
        order in which they were offered.
        """
        hits = [
            (hit.place, hit)
            for hit in self.candidates
            if hit.place is not None and (hit.type is MemoryType.WORKING) is working
        ]
        return [hit for _, hit in sorted(hits, key=itemgetter(0))]


class ReceiptCheck(Answer):
    """Result of one check of a receipt. ok: whether it passed. detail: the faults, or a remark on a
    passed check.
    """

    name: str
    ok: bool
    detail: str | None = None


class ReceiptVerdict(Answer):
    """Whether a receipt is valid, that is, whether it passed every check."""

    valid: bool
    checks: list[ReceiptCheck]


class ReceiptChange(Answer):
    """A difference between a receipt and its replay.

    id: id of the memory, empty for the context as a whole. what: name of the field that differs,
    such as "score". before, after: the values of this field. why: the reason, as a sentence.
    """

    id: str
    what: str
    before: Any = None
    after: Any = None
    why: str


class ReplayAnswer(Answer):
    """The result of repeating the retrieval that a receipt records.

    identical: whether the context is byte-identical. changes: the differences if it is not. behind:
    differences without effect on an identical context, such as another score.
    """

    identical: bool
    changes: list[ReceiptChange] = Field(default_factory=list)
    behind: OmittedIfNone[list[ReceiptChange]] = None
