"""Has the receipt of each retrieval kept, behind its answer.

The one place of this package that may degrade: when the store of receipts is away the answer goes out without one, and
says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from memtypes.model.errors import Overloaded, Unavailable
from memtypes.model.filters import AnyOf, Compare, Op, all_of, parse_filter
from memtypes.model.policy import LONG_TERM, MemoryType
from memtypes.model.times import Clock, rfc3339
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import CandidateSearch, MemoryStore
from memtypes.ports.receipts import UnsealedReceipt, receipt_id
from memtypes.search.candidates import Candidate
from retrieval.answer import RetrieveAnswer
from retrieval.context.outcome import Outcome
from retrieval.context.working import AWAY
from retrieval.context.written import Passed, Retrieval
from retrieval.receipts.build import receipt_body
from retrieval.receipts.queue import ReceiptQueue

PASSED_DEPTH = 8
"""Memories a type that are no longer current and are told of: the nearest, because a namespace may have many."""

DEGRADED = "receipts"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Past:
    """Finds what would have been found, had it been current."""

    memories: MemoryStore
    embedder: Embedder

    async def of(self, retrieval: Retrieval) -> tuple[Passed, ...]:
        """The nearest memories that were superseded or had expired at its clock; none told without an embedder."""
        request, as_of = retrieval.request, retrieval.as_of
        ended = AnyOf((Compare("valid_to", Op.LTE, as_of), Compare("expires_at", Op.LTE, as_of)))
        where = all_of(ended, None if request.filters is None else parse_filter(request.filters))
        kinds = [kind for kind in request.types or LONG_TERM if kind is not MemoryType.WORKING]
        try:
            query = (await self.embedder.embed_query(request.query)).dense
            search = CandidateSearch(dict.fromkeys(kinds, where), query, None, PASSED_DEPTH)
            (candidates,) = await self.memories.candidates(retrieval.scope, [search])
        except (Unavailable, Overloaded):
            return ()
        of_type = ([candidate for candidate in candidates if candidate.type is kind] for kind in kinds)
        nearest = [candidate for same in of_type for candidate in sorted(same, key=_nearest)[:PASSED_DEPTH]]
        return tuple(_passed(candidate, as_of) for candidate in nearest)


def _nearest(candidate: Candidate) -> tuple[float, str]:
    return (-(candidate.dense or 0.0), candidate.id)


def _passed(candidate: Candidate, as_of: datetime) -> Passed:
    """Superseded where it was followed by another, else expired."""
    ended = _time(candidate.payload.get("valid_to"))
    if ended is not None and ended <= as_of:
        return Passed(candidate, Outcome.SUPERSEDED, ended)
    return Passed(candidate, Outcome.EXPIRED, _time(candidate.payload.get("expires_at")) or as_of)


def _time(text: Any) -> datetime | None:
    return None if text is None else datetime.fromisoformat(str(text))


@dataclass(frozen=True, slots=True)
class ReceiptRecorder:
    """Sends receipts on their way."""

    receipts: ReceiptQueue
    past: Past
    clock: Clock

    async def record(self, retrieval: Retrieval) -> RetrieveAnswer:
        """The answer with the id of its receipt; or as degraded, when the receipt can't be kept."""
        answer, now = retrieval.written.answer, self.clock()
        if AWAY in answer.metadata.degraded:  # receipts are in the same place: it is not asked twice for one answer
            return degraded(answer, (DEGRADED,))
        name = receipt_id(now)

        async def make() -> UnsealedReceipt:
            whole = replace(retrieval, passed=await self.past.of(retrieval))
            return UnsealedReceipt.of(retrieval.scope.namespace, receipt_body(whole, name, rfc3339(now)))

        try:
            await self.receipts.put(retrieval.scope.tenant, name, make)
        except Unavailable as error:
            _log.warning("no receipt was kept: %s", error)
            return degraded(answer, (DEGRADED,))
        return answer.model_copy(update={"receipt_id": name})


def degraded(answer: RetrieveAnswer, parts: Iterable[str]) -> RetrieveAnswer:
    """`answer` that says that these parts did not answer."""
    metadata = answer.metadata
    told = metadata.model_copy(update={"degraded": [*metadata.degraded, *parts]})
    return answer.model_copy(update={"metadata": told})
