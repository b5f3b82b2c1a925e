"""The stages of a write, each a step from one list of entries to the next. Knows the ports only.

An entry that has ended on the way (rejected, failed) is an Outcome and passes through the later stages as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ingest.screening.gates import Gate, Rejection, through_gates
from ingest.screening.prefilter import Recent
from ingest.screening.review.stage import ReviewStage
from ingest.writing.outcome import Outcome, Status
from ingest.writing.prepare import Arrival, Prepared, Preparer
from ingest.writing.submission import Submission, UntypedDraft
from ingest.writing.writer import Encoded, Keeper
from memtypes.conversation_context import Call, Preceding
from memtypes.model.errors import InvalidRequest
from memtypes.model.scope import Scope
from memtypes.offload import offload
from memtypes.ports.encoders import Embedder
from memtypes.ports.memory_store import MemoryStore

Arriving: TypeAlias = tuple[Submission, Arrival]


@dataclass(frozen=True, slots=True)
class Stages:
    """gate, prepare, look up, hear, embed, review, keep: in this order. reviews, recent: None where nothing is."""

    gates: tuple[Gate, ...]
    preparer: Preparer
    store: MemoryStore
    embedder: Embedder
    keeper: Keeper
    reviews: ReviewStage | None = None
    recent: Recent | None = None

    async def gate(self, scope: Scope, entries: list[Arriving]) -> list[Arriving | Outcome]:
        """Each draft as the gates let it through, or why it is rejected."""
        return [await self._gate_one(scope, entry) for entry in entries]

    async def _gate_one(self, scope: Scope, entry: Arriving) -> Arriving | Outcome:
        submission, arrival = entry
        verdict = await through_gates(self.gates, scope, submission)
        if isinstance(verdict, Rejection):
            return Outcome(Status.REJECTED, reason=verdict.reason)
        return verdict, arrival

    async def prepare(self, entries: list[Arriving | Outcome]) -> list[Prepared | Outcome]:
        """Each draft as a memory; counting tokens and terms of many or long ones is done beside the event loop."""
        texts = (entry[0].draft.content for entry in entries if not isinstance(entry, Outcome))
        return await offload(texts, lambda: self._prepare_all(entries))

    def _prepare_all(self, entries: list[Arriving | Outcome]) -> list[Prepared | Outcome]:
        return [entry if isinstance(entry, Outcome) else self._prepare_one(*entry) for entry in entries]

    def _prepare_one(self, submission: Submission, arrival: Arrival) -> Prepared:
        draft = submission.draft
        if isinstance(draft, UntypedDraft):
            raise InvalidRequest("is required: nothing here finds the type of a text", path="type")
        return replace(self.preparer.prepare(draft, arrival), submission=submission)

    async def look_up(self, scope: Scope, entries: list[Prepared | Outcome]) -> list[Prepared | Outcome]:
        """Each prepared memory, marked as known where the store has it, or the list has it before."""
        prepared = {index: entry for index, entry in enumerate(entries) if isinstance(entry, Prepared)}
        types = {entry.memory.id: entry.memory.type for entry in prepared.values()}
        known = set(await self.store.get(scope, types))
        looked_up = list(entries)
        for index, entry in prepared.items():
            looked_up[index] = replace(entry, known=entry.memory.id in known)
            known.add(entry.memory.id)
        return looked_up

    async def hear(self, scope: Scope, entries: list[Prepared | Outcome], call: Call) -> list[Prepared | Outcome]:
        """Each prepared memory with what was said before it; those of the same call count, even those known already."""
        prepared = [entry for entry in entries if isinstance(entry, Prepared)]
        call.add(entry.memory for entry in prepared)
        heard = iter(await self._heard(scope, prepared, call))
        return [next(heard) if isinstance(entry, Prepared) else entry for entry in entries]

    async def hear_again(
        self, scope: Scope, before: list[Encoded | Outcome], after: list[Encoded | Outcome], call: Call
    ) -> list[Prepared | Encoded | Outcome]:
        """The entries after a review; those that had heard what it rejected are to be embedded anew."""
        pairs = zip(before, after, strict=True)
        call.drop(one.memory for one, now in pairs if isinstance(one, Encoded) and isinstance(now, Outcome))
        misheard = {
            place: entry.prepared
            for place, entry in enumerate(after)
            if isinstance(entry, Encoded) and entry.embedding is not None and call.misheard(entry.memory)
        }
        heard = dict(zip(misheard, await self._heard(scope, list(misheard.values()), call), strict=True))
        return [heard.get(place, entry) for place, entry in enumerate(after)]

    async def _heard(self, scope: Scope, prepared: list[Prepared], call: Call) -> list[Prepared]:
        found = await Preceding(self.store).in_context(scope, [one.memory for one in prepared], call.said)
        return [replace(one, before=given.before) for one, given in zip(prepared, found, strict=True)]

    async def embed(self, entries: Sequence[Prepared | Encoded | Outcome]) -> list[Encoded | Outcome]:
        """Each prepared memory with its embedding, which is left out for what is known."""
        texts = [entry.in_context for entry in entries if isinstance(entry, Prepared) and not entry.known]
        made = iter(await self.embedder.embed_in_context(texts) if texts else [])
        return [
            Encoded(entry, None if entry.known else next(made)) if isinstance(entry, Prepared) else entry
            for entry in entries
        ]

    async def review(self, scope: Scope, entries: list[Encoded | Outcome]) -> list[Encoded | Outcome]:
        """Each memory with the reviewers' decision where one was asked for, or why it is rejected."""
        return entries if self.reviews is None else await self.reviews.review(scope, entries)

    async def keep(self, scope: Scope, entries: list[Encoded | Outcome]) -> list[Outcome]:
        """Each memory's outcome, after it was read back, with what was found out about it on the way."""
        arriving = [entry for entry in entries if isinstance(entry, Encoded)]
        outcomes = await self.keeper.keep(scope, arriving)
        self._remember(scope, arriving, outcomes)
        kept = iter(outcomes)
        return [entry if isinstance(entry, Outcome) else _told(entry.prepared, next(kept)) for entry in entries]

    def _remember(self, scope: Scope, arriving: list[Encoded], outcomes: list[Outcome]) -> None:
        """Note what was captured and is kept, for the pre-filter; what failed may come again."""
        if self.recent is None:
            return
        for encoded, outcome in zip(arriving, outcomes, strict=True):
            submission = encoded.prepared.submission
            if submission is not None and submission.captured and outcome.status is not Status.FAILED:
                self.recent.add(scope, encoded.memory.content)


def _told(prepared: Prepared, outcome: Outcome) -> Outcome:
    submission = prepared.submission
    if submission is None:
        return outcome
    return replace(
        outcome,
        redactions=submission.redactions,
        classified=submission.classified,
        reviewed=prepared.memory.reviewed,
    )
