"""A receipt's fill done again, from nothing but what it recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memtypes.model.policy import MemoryType
from retrieval.context.budget import Fill, Sight, fill
from retrieval.context.entries import Costs, Entry
from retrieval.context.outcome import Outcome
from retrieval.context.shares import BudgetPlan
from retrieval.receipts.model import FillTerms, Receipt, ReceiptCandidate

IN = (Outcome.INCLUDED, Outcome.REMOVED)
"""What a candidate is that the fill had chosen."""


@dataclass(frozen=True, slots=True)
class Refilled:
    """One part filled again. candidates: those that were offered, in that order."""

    terms: FillTerms
    candidates: tuple[ReceiptCandidate, ...]
    fill: Fill


def refilled(receipt: Receipt) -> tuple[Refilled, Refilled]:
    """The long-term part and the working part, filled again."""
    counted = [one for one in receipt.candidates if one.rank is not None and one.counted]
    working = sorted((one for one in counted if one.place is not None), key=lambda one: one.place or 0)
    long_term = sorted((one for one in counted if one.place is None), key=lambda one: one.rank or 0)
    return _again(receipt.long_term, long_term), _again(receipt.working, working)


def _again(terms: FillTerms, candidates: Sequence[ReceiptCandidate]) -> Refilled:
    plan = BudgetPlan(terms.total, tuple(terms.types), terms.caps, terms.task_like, terms.how_to, terms.excerpt)
    costs = Costs(terms.wrapper, terms.headings, terms.groups)
    entries = [entry_of(one) for one in candidates]
    again = fill(plan, entries, costs, cut=terms.cut, sight=Sight(terms.sight, terms.unlisted))
    return Refilled(terms, tuple(candidates), again)


def entry_of(one: ReceiptCandidate) -> Entry:
    """The candidate as the fill saw it: with the tokens of all of it."""
    return Entry(one.id, one.type, one.tokens if one.whole is None else one.whole, one.group)


def misfits(part: Refilled) -> Iterator[str]:
    """What of the recorded fill does not follow from the recorded terms, in words."""
    allowed = {one.entry.id: one.allowed for one in part.fill.chosen}
    for one in part.candidates:
        again = Outcome.INCLUDED if one.id in allowed else part.fill.refused(entry_of(one).tokens)
        told = Outcome.INCLUDED if one.outcome in IN else one.outcome
        if again is not told:
            yield f"{one.id} is told as {told}, and comes out as {again}"
    yield from _overspent(part)


def _overspent(part: Refilled) -> Iterator[str]:
    """Types that show more than their fill allowed them."""
    allowed: dict[MemoryType, int] = dict(part.fill.used)
    overheads = dict(allowed)
    for chosen in part.fill.chosen:
        overheads[chosen.entry.type] -= chosen.allowed
    for kind, most in allowed.items():
        shown = sum(one.tokens for one in part.candidates if one.type == kind and one.outcome is Outcome.INCLUDED)
        if shown and overheads[kind] + shown > most:
            yield f"{kind} shows {overheads[kind] + shown} tokens, and was allowed {most}"
