"""Lists stored receipts in short form: all of a namespace, or those that a filter accepts.

Receipts are not indexed, so a filter reads them one by one: at most MAX_SCANNED for a page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from anyio import to_thread

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.receipts import ReceiptStore
from retrieval.ranking.ranked import CandidateOutcome

MAX_SCANNED = 300
"""Maximum receipts that are read for one page: some 15 MB of JSON, read in a tenth of a second."""

_BATCH = 50


class ListedCandidate(msgspec.Struct, frozen=True):
    """A candidate of a receipt, without its signals and score."""

    id: str
    type: MemoryType
    outcome: CandidateOutcome
    tokens: int
    rank: int | None = None


class ListedReceipt(msgspec.Struct, frozen=True):
    """A receipt in short form, without the details of its scores and budgets."""

    id: str
    created_at: datetime
    request: dict[str, Any]
    degraded: list[str]
    total_tokens: int
    candidates: list[ListedCandidate]

    @property
    def included(self) -> list[ListedCandidate]:
        """The candidates whose memories are in the context."""
        return [
            candidate
            for candidate in self.candidates
            if candidate.outcome is CandidateOutcome.INCLUDED
        ]

    @property
    def budget(self) -> int:
        """Tokens that the request allowed for long-term memories, without working memory."""
        budget = self.request["budget"]
        return int(budget["total"] if isinstance(budget, dict) else budget)

    def candidate(self, memory_id: str) -> ListedCandidate | None:
        """The candidate with the id `memory_id`; None if the receipt does not list it."""
        return next((candidate for candidate in self.candidates if candidate.id == memory_id), None)


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """A page of receipts, newest first.

    scanned: number of receipts that were read. since: time of the oldest of these; None if there
    are none. next_before: id to pass as `before` for the next page; None if all receipts of the
    namespace were read.
    """

    receipts: tuple[ListedReceipt, ...]
    scanned: int = 0
    since: datetime | None = None
    next_before: str | None = None


ReceiptFilter: TypeAlias = Callable[[ListedReceipt], bool]
_DECODER = msgspec.json.Decoder(ListedReceipt)


async def list_receipts(
    store: ReceiptStore,
    scope: Scope,
    limit: int,
    before: str | None = None,
    matches: ReceiptFilter | None = None,
) -> ReceiptPage:
    """The newest receipts of a namespace that `matches` accepts, at most `limit`; None accepts all.

    At most MAX_SCANNED receipts are read. before: id of a receipt; only older ones are listed. If
    the caller may act only as certain agents, only receipts of these agents' retrievals are listed.
    Raises Unavailable.
    """
    listed: list[ListedReceipt] = []
    scanned = 0
    since = None
    while len(listed) < limit and scanned < MAX_SCANNED:
        texts = await store.latest(scope, min(_BATCH, limit) if matches is None else _BATCH, before)
        batch = await to_thread.run_sync(list, map(_DECODER.decode, texts))
        if not batch:
            return ReceiptPage(tuple(listed), scanned, since)
        for receipt in batch:
            before = receipt.id
            since = receipt.created_at
            scanned = scanned + 1
            if scope.reaches(receipt.request.get("agent_id")) and (
                matches is None or matches(receipt)
            ):
                listed.append(receipt)
                if len(listed) == limit:
                    break
    return ReceiptPage(tuple(listed), scanned, since, before)
