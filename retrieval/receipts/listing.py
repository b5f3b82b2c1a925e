"""Lists stored receipts in short: those of a namespace, of a session, or with a memory.

Receipts are not indexed by what is in them. So those of a session or a memory are searched for among the newest of the
namespace, at most MAX_SCANNED at a time, and a page says how far it has looked.
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
"""Receipts that one page looks at: some 15 MB of JSON, read in a tenth of a second."""

_BATCH = 50


class ListedCandidate(msgspec.Struct, frozen=True):
    """A candidate of a receipt, without its signals."""

    id: str
    type: MemoryType
    outcome: CandidateOutcome
    tokens: int
    rank: int | None = None


class ListedReceipt(msgspec.Struct, frozen=True):
    """A receipt without the details of its scores and budgets."""

    id: str
    created_at: datetime
    request: dict[str, Any]
    degraded: list[str]
    total_tokens: int
    candidates: list[ListedCandidate]

    @property
    def included(self) -> list[ListedCandidate]:
        """The candidates that are in the context."""
        return [candidate for candidate in self.candidates if candidate.outcome is CandidateOutcome.INCLUDED]

    @property
    def budget(self) -> int:
        """Tokens that the request allowed for long-term memories."""
        budget = self.request["budget"]
        return int(budget["total"] if isinstance(budget, dict) else budget)

    def candidate(self, memory_id: str) -> ListedCandidate | None:
        """The candidate with this id; None for a memory that the receipt does not list."""
        return next((candidate for candidate in self.candidates if candidate.id == memory_id), None)


@dataclass(frozen=True, slots=True)
class ReceiptPage:
    """Receipts, newest first. scanned: how many were looked at. since: when the oldest of these was made.

    next_before: id to continue with; None if all receipts of the namespace were looked at.
    """

    receipts: tuple[ListedReceipt, ...]
    scanned: int = 0
    since: datetime | None = None
    next_before: str | None = None


Wanted: TypeAlias = Callable[[ListedReceipt], bool]
_DECODER = msgspec.json.Decoder(ListedReceipt)


async def list_receipts(
    store: ReceiptStore, scope: Scope, limit: int, before: str | None = None, wanted: Wanted | None = None
) -> ReceiptPage:
    """The newest receipts that `wanted` accepts (None: all), at most `limit`, among MAX_SCANNED older than `before`.

    A scope that is bound to agents has only the receipts of retrievals by them. Raises Unavailable.
    """
    listed: list[ListedReceipt] = []
    scanned, since = 0, None
    while len(listed) < limit and scanned < MAX_SCANNED:
        batch = await _read(store, scope, min(_BATCH, limit) if wanted is None else _BATCH, before)
        if not batch:
            return ReceiptPage(tuple(listed), scanned, since)
        for receipt in batch:
            before, since, scanned = receipt.id, receipt.created_at, scanned + 1
            if scope.reaches(receipt.request.get("agent_id")) and (wanted is None or wanted(receipt)):
                listed.append(receipt)
                if len(listed) == limit:
                    break
    return ReceiptPage(tuple(listed), scanned, since, before)


async def _read(store: ReceiptStore, scope: Scope, limit: int, before: str | None) -> list[ListedReceipt]:
    texts = await store.latest(scope, limit, before)
    return await to_thread.run_sync(lambda: [_DECODER.decode(text) for text in texts])
