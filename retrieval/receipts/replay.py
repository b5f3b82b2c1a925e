"""Two receipts of one question, compared: what came out otherwise the second time, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memtypes.model.memory import Memory
from memtypes.model.times import rfc3339
from memtypes.search.candidates import Candidates
from retrieval.context.outcome import Outcome
from retrieval.receipts.checks import TOLERANCE
from retrieval.receipts.model import SHORT, Receipt, ReceiptCandidate, ReceiptChange, ReplayAnswer


@dataclass(frozen=True, slots=True)
class Replayed:
    """before: the receipt. after: what the same question gives now. memories: those of either that exist now, by id."""

    before: Receipt
    after: Receipt
    memories: Mapping[str, Memory]


def compared(replayed: Replayed) -> ReplayAnswer:
    """Whether the contexts are the same to the byte, and every candidate that fared otherwise: in it or behind it."""
    before = {one.id: one for one in replayed.before.candidates}
    after = {one.id: one for one in replayed.after.candidates}
    changes = [
        ReceiptChange(id=one, what=what, before=then, after=now, why=_why(replayed, one))
        for one in dict.fromkeys([*before, *after])
        for what, then, now in _differences(before.get(one), after.get(one), gone=one not in replayed.memories)
    ]
    if replayed.before.context_sha256 == replayed.after.context_sha256:
        return ReplayAnswer(identical=True, behind=changes or None)
    return ReplayAnswer(identical=False, changes=changes or [_of_the_context(replayed)])


def _differences(
    then: ReceiptCandidate | None, now: ReceiptCandidate | None, *, gone: bool
) -> Iterator[tuple[str, Any, Any]]:
    """What differs; a candidate that was merely not listed once, because better ones were, is no difference."""
    if then is None or now is None:
        if gone or Outcome.INCLUDED in (then and then.outcome, now and now.outcome):
            yield "outcome", then and then.outcome, now and now.outcome
        return
    if then.outcome is not now.outcome:
        yield "outcome", then.outcome, now.outcome
    if abs(then.score - now.score) > TOLERANCE:
        yield "score", then.score, now.score
    if then.tokens != now.tokens:
        yield "tokens", then.tokens, now.tokens
    if Outcome.INCLUDED is then.outcome is now.outcome and then.entry_sha256 != now.entry_sha256:
        yield "text", then.entry_sha256, now.entry_sha256


def _why(replayed: Replayed, one: str) -> str:
    memory, then = replayed.memories.get(one), rfc3339(replayed.before.created_at)
    if memory is None:
        return "the memory is not there any more"
    if memory.updated_at > replayed.before.created_at:
        return f"the memory was written or changed after {then}, at {rfc3339(memory.updated_at)}"
    return _surroundings(replayed)


def _surroundings(replayed: Replayed) -> str:
    """Why an unchanged memory fares otherwise."""
    before, after = replayed.before, replayed.after
    if before.embedder != after.embedder:
        return "another embedder makes the vectors now"
    if before.tokenizer != after.tokenizer:
        return "another tokenizer counts now"
    if before.degraded != after.degraded:
        gone = [one for one in before.degraded if one not in after.degraded]
        return f"then it went without {', '.join(gone)}" if gone else f"now it goes without {', '.join(after.degraded)}"
    if before.weights != after.weights:
        return "the profile weighs otherwise now"
    return (
        "other memories came, went or changed, and with them the statistics of words or the room that is left;"
        " or another version of the service ranks now"
    )


def _of_the_context(replayed: Replayed) -> ReceiptChange:
    before, after = replayed.before.context_sha256, replayed.after.context_sha256
    return ReceiptChange(id="", what="context", before=before, after=after, why=_surroundings(replayed))


def recorded_uses(receipt: Receipt) -> Callable[[Candidates], Candidates]:
    """What gives candidates the use counts that `receipt` recorded, so that reading has changed nothing."""
    counts = {one.id[:SHORT]: one.access_count for one in receipt.candidates}
    counts |= receipt.unlisted.access_counts.by_id()

    def adjust(found: Candidates) -> Candidates:
        # Whatever is not named had no uses then, or was not there.
        ids = found.ids.astype(f"S{SHORT}").tolist()
        uses = np.array([counts.get(one.decode(), 0) for one in ids], dtype=np.int64)
        return replace(found, columns=found.columns.changed("access_count", uses))

    return adjust
