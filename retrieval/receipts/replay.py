"""Comparison of two receipts of one request: what differs the second time, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memtypes.model.memory import Memory
from memtypes.model.times import rfc3339
from memtypes.search.candidates import Candidates
from retrieval.ranking.ranked import CandidateOutcome
from retrieval.receipts.checks import TOLERANCE
from retrieval.receipts.model import SHORT_ID, Receipt, ReceiptCandidate, ReceiptChange, ReplayAnswer


@dataclass(frozen=True, slots=True)
class ReplayedReceipt:
    """before: the receipt. after: of the same request now. memories: the candidates that exist now, by id."""

    before: Receipt
    after: Receipt
    memories: Mapping[str, Memory]


def compare(replayed: ReplayedReceipt) -> ReplayAnswer:
    """Whether the contexts are identical, and every candidate that differs."""
    before = {candidate.id: candidate for candidate in replayed.before.candidates}
    after = {candidate.id: candidate for candidate in replayed.after.candidates}
    changes = [
        ReceiptChange(id=memory_id, what=what, before=then, after=now, why=_reason(replayed, memory_id))
        for memory_id in dict.fromkeys([*before, *after])
        for what, then, now in _differences(
            before.get(memory_id), after.get(memory_id), removed=memory_id not in replayed.memories
        )
    ]
    if replayed.before.context_sha256 == replayed.after.context_sha256:
        return ReplayAnswer(identical=True, behind=changes or None)
    return ReplayAnswer(identical=False, changes=changes or [_context_change(replayed)])


def _differences(
    then: ReceiptCandidate | None, now: ReceiptCandidate | None, *, removed: bool
) -> Iterator[tuple[str, Any, Any]]:
    """What differs. A candidate that is merely unlisted in one of them does not differ."""
    included = CandidateOutcome.INCLUDED
    if then is None or now is None:
        if removed or included in (then and then.outcome, now and now.outcome):
            yield "outcome", then and then.outcome, now and now.outcome
        return
    if then.outcome is not now.outcome:
        yield "outcome", then.outcome, now.outcome
    if abs(then.score - now.score) > TOLERANCE:
        yield "score", then.score, now.score
    if then.tokens != now.tokens:
        yield "tokens", then.tokens, now.tokens
    if included is then.outcome is now.outcome and then.entry_sha256 != now.entry_sha256:
        yield "text", then.entry_sha256, now.entry_sha256


def _reason(replayed: ReplayedReceipt, memory_id: str) -> str:
    memory, then = replayed.memories.get(memory_id), rfc3339(replayed.before.created_at)
    if memory is None:
        return "the memory was removed"
    if memory.updated_at > replayed.before.created_at:
        return f"the memory was written or changed after {then}, at {rfc3339(memory.updated_at)}"
    return _environment_reason(replayed)


def _environment_reason(replayed: ReplayedReceipt) -> str:
    """Why an unchanged memory differs."""
    before, after = replayed.before, replayed.after
    if before.embedder != after.embedder:
        return "the embedder is another one now"
    if before.tokenizer != after.tokenizer:
        return "the tokenizer is another one now"
    if before.degraded != after.degraded:
        missing = [part for part in before.degraded if part not in after.degraded]
        if missing:
            return f"the first retrieval was degraded: {', '.join(missing)}"
        return f"the replay is degraded: {', '.join(after.degraded)}"
    if before.weights != after.weights:
        return "the profile has other weights now"
    return (
        "other memories were added, removed or changed, and with them term statistics or the free budget;"
        " or another version of the service ranks now"
    )


def _context_change(replayed: ReplayedReceipt) -> ReceiptChange:
    before, after = replayed.before.context_sha256, replayed.after.context_sha256
    return ReceiptChange(id="", what="context", before=before, after=after, why=_environment_reason(replayed))


def with_recorded_access(receipt: Receipt) -> Callable[[Candidates], Candidates]:
    """A function that gives candidates the access counts in `receipt`, so that reading has changed nothing."""
    counts = {candidate.id[:SHORT_ID]: candidate.access_count for candidate in receipt.candidates}
    counts |= receipt.unlisted.access_counts.by_short_id()

    def adjust(candidates: Candidates) -> Candidates:
        ids = candidates.ids.astype(f"S{SHORT_ID}").tolist()
        access_counts = np.array([counts.get(short.decode(), 0) for short in ids], dtype=np.int64)
        return replace(candidates, columns=candidates.columns.changed("access_count", access_counts))

    return adjust
