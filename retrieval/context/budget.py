"""Chooses the hits that go into a context, within a total number of tokens and a limit for each
memory type.

The best-ranked hit that fits is taken first, then the others in order of rank. If every memory type
has enough hits that are about as relevant as the last one that this order would show, each type's
share of the tokens is reserved for it; otherwise the better hits are worth more than the shares. If
the query asks for tasks or how-tos, this type's share is larger, and as much of it as its best hits
need is reserved in any case. A message takes the place of the sentences of it that were chosen
before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from memtypes.model.policy import MemoryType
from retrieval.ranking.ranked import CandidateOutcome

TypeTokens: TypeAlias = dict[MemoryType, int]
Oversize: TypeAlias = Literal["skip", "cut", "excerpt"]

SHARES: Mapping[MemoryType, float] = MappingProxyType(
    {
        MemoryType.EPISODIC: 0.25,
        MemoryType.SEMANTIC: 0.375,
        MemoryType.PROSPECTIVE: 0.125,
        MemoryType.PROCEDURAL: 0.25,
    }
)
"""Shares of a context's budget for long-term memories that may be reserved for each type."""

SHIFT = 500
"""Maximum tokens that a query for tasks or how-tos moves between types, reached with the default
budget.
"""

SHIFT_SHARE = SHIFT / 8_000
"""Maximum share of the total that such a query moves, so that one word does not empty a small
budget.
"""

DUE_SHARE = 0.25
"""Maximum share of the total that due tasks may take, even if their type's share is smaller."""

_LARGEST_FIRST = (MemoryType.SEMANTIC, MemoryType.EPISODIC, MemoryType.PROCEDURAL)
"""Types whose shares are reduced for due tasks, the type with the largest share first."""

DEMAND_WINDOW = 3
"""How many tokens each type needs is computed from the best entries, up to this many times the
total tokens. Without a bound three of four tokens go to types without an answer; below 3, these
entries may be a few long messages.
"""

MAX_DEMAND_WINDOW = 128
"""Maximum number of these entries, so that a receipt can list all of them."""

NEAR = 0.8
"""A hit is about as relevant as another if it has at least this share of its score. See
benchmarks/decisions/context-fill.md.
"""

MIN_CUT = 32
"""Minimum tokens of an entry that is cut; a shorter beginning of a memory is not worth its
space.
"""

EXCERPT_DIVISOR = 3
"""With excerpts, an entry takes at most its type's share divided by this. A smaller part shows too
little: with an eighth, evidence recall of long messages in 1,000 tokens is .52, with a third .56 to
.64.
"""

MIN_EXCERPT = 64


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """Token limits of a context.

    total: for the whole context, headings included. types: memory types that the context may
    contain. caps: maximum tokens of a type; a type without a cap is limited by `total` alone.
    task_like, how_to: whether the query asks for tasks or how-tos. oversize: whether an entry too
    large for its type is skipped, cut or shown as an excerpt. due_tokens: tokens of due tasks and
    their heading. counted: ranks of the tasks that the heading of tasks counts in one line, and
    that are not offered. finished, newest_first: whether finished tasks, and the newest facts,
    how-tos and days, are shown first. keeps_shares: whether shares are reserved for types whose
    hits are about equally relevant.
    """

    total: int
    types: tuple[MemoryType, ...]
    caps: Mapping[MemoryType, int]
    task_like: bool = False
    how_to: bool = False
    oversize: Oversize = "skip"
    due_tokens: int = 0
    counted: tuple[int, ...] = ()
    finished: bool = False
    newest_first: bool = False
    keeps_shares: bool = False


class Offer(NamedTuple):
    """A hit offered to a budget.

    tokens: size of its rendered entry. group: day heading above it, if any. part_of: rank of the
    message of which it is a sentence; 0 if there is none among the hits. score: of the hit.
    """

    rank: int
    type: MemoryType
    tokens: int
    group: str | None = None
    part_of: int = 0
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Overheads:
    """Tokens of the texts around entries. wrapper: a block's opening and closing. groups: headings
    of days.
    """

    wrapper: int
    headings: Mapping[MemoryType, int]
    groups: Mapping[str, int] = field(default_factory=dict)


class ChosenEntry(NamedTuple):
    """A hit chosen for the context. allowed: maximum tokens of its entry. cut: whether the entry
    must be shortened.
    """

    rank: int
    type: MemoryType
    allowed: int
    cut: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BudgetFill:
    """Result of filling a budget with `offers`.

    chosen: in the order of the offers. repeats: ranks of the offers that were left out as sentences
    of a chosen message, with the message's rank. used: tokens that the chosen entries take,
    headings included. initial, shifted: tokens that `initial_shares` and `shifted_shares` gave to
    each type. room: tokens left over. weighed: ranks of the offers from which it follows
    whether shares are reserved.
    """

    plan: BudgetPlan
    overheads: Overheads
    offers: Sequence[Offer]
    chosen: tuple[ChosenEntry, ...]
    repeats: Mapping[int, int]
    used: TypeTokens
    initial: TypeTokens
    shifted: TypeTokens
    room: int
    weighed: tuple[int, ...] = ()

    @property
    def shifts(self) -> TypeTokens:
        """Tokens that each type gained, or lost if negative, because of what the query asks for."""
        moved = {kind: self.shifted[kind] - tokens for kind, tokens in self.initial.items()}
        return {kind: tokens for kind, tokens in moved.items() if tokens}

    @property
    def handed_on(self) -> TypeTokens:
        """Tokens that each type took beyond its shifted share or, if negative, left to others."""
        return {kind: self.used[kind] - tokens for kind, tokens in self.shifted.items()}

    @property
    def counts(self) -> tuple[int, ...]:
        """Ranks of the tasks that the context counts in one line, under the tasks that it lists."""
        lists_tasks = any(entry.type is MemoryType.PROSPECTIVE for entry in self.chosen)
        return self.plan.counted if lists_tasks else ()

    def refusal(self, tokens: int) -> CandidateOutcome:
        """Why an entry of this size was not chosen: OVER_TYPE_BUDGET if it fits into `room` tokens,
        else OVER_TOTAL.
        """
        return (
            CandidateOutcome.OVER_TYPE_BUDGET
            if tokens <= self.room
            else CandidateOutcome.OVER_TOTAL
        )


def fill(plan: BudgetPlan, offers: Sequence[Offer], overheads: Overheads) -> BudgetFill:
    """Choose the offers that go into the context, in plan.total tokens and the caps of their types.

    offers: in the order in which they are tried, mostly that of rank.
    """
    spendable = max(0, plan.total - overheads.wrapper)
    initial = initial_shares(plan, spendable)
    shifted = shifted_shares(plan, initial)
    demand = demand_of(plan.types, offers[: demand_window(plan, offers)], overheads)
    asked = {
        MemoryType.PROSPECTIVE: plan.task_like or plan.due_tokens,
        MemoryType.PROCEDURAL: plan.how_to,
    }
    reserved, weighed = _equal_shares(plan, offers, shifted)
    for kind in plan.types:
        if asked.get(kind):
            reserved[kind] = max(reserved.get(kind, 0), min(shifted[kind], demand[kind]))
    filling = _Filling(plan, overheads, reserved, offers)
    if plan.oversize == "excerpt" and plan.types == (MemoryType.WORKING,):
        filling.add_excerpts()
    else:
        filling.add_best()
        filling.add_in_order(reserved=True)
        filling.add_in_order(reserved=False)
    chosen = filling.chosen
    repeats = {
        offer.rank: offer.part_of
        for offer in offers
        if offer.rank not in chosen and filling.shows_whole(offer.part_of)
    }
    return BudgetFill(
        plan,
        overheads,
        offers,
        tuple(chosen[offer.rank] for offer in offers if offer.rank in chosen),
        repeats,
        filling.used,
        initial,
        shifted,
        sum(initial.values()) - sum(filling.used.values()),
        weighed,
    )


def initial_shares(plan: BudgetPlan, spendable: int) -> TypeTokens:
    """Divide `spendable` tokens among the memory types, before any shift towards what the query
    asks for.

    A type with a maximum in plan.caps gets this maximum. The other types divide the rest in
    proportion to their SHARES. If the maxima exceed `spendable`, they are granted in
    the order of plan.types until no tokens are left.
    """
    shares: TypeTokens = {}
    for kind in plan.types:
        if kind in plan.caps:
            shares[kind] = min(plan.caps[kind], spendable - sum(shares.values()))
    rest = spendable - sum(shares.values())
    uncapped = [kind for kind in plan.types if kind not in plan.caps]
    whole = sum(SHARES[kind] for kind in uncapped)
    shares |= {kind: int(rest * SHARES[kind] / whole) for kind in uncapped}
    return {kind: shares[kind] for kind in plan.types}


def shifted_shares(plan: BudgetPlan, shares: TypeTokens) -> TypeTokens:
    """Return `shares` with tokens moved to the types that the query asks for, and to due tasks
    (DUE_SHARE).
    """
    shifted = dict(shares)
    most = min(SHIFT, int(plan.total * SHIFT_SHARE))

    def move(source: MemoryType, target: MemoryType, wanted: int) -> None:
        if source in shifted and target in shifted:
            room = plan.caps.get(target, plan.total) - shifted[target]
            moved = max(0, min(wanted, shifted[source], room))
            shifted[source] -= moved
            shifted[target] += moved

    if plan.task_like:
        move(MemoryType.SEMANTIC, MemoryType.PROSPECTIVE, most)
    if plan.how_to:
        move(MemoryType.EPISODIC, MemoryType.PROCEDURAL, most)
    for source in _LARGEST_FIRST if plan.due_tokens else ():
        wanted = min(plan.due_tokens, due_room(plan.total)) - shifted.get(MemoryType.PROSPECTIVE, 0)
        move(source, MemoryType.PROSPECTIVE, wanted)
    return shifted


def due_room(total: int) -> int:
    """Tokens of a context of `total` tokens that due tasks may take before better matches."""
    return int(total * DUE_SHARE)


def demand_window(plan: BudgetPlan, offers: Sequence[Offer]) -> int:
    """Number of first offers from which types' needs are computed: as many as take DEMAND_WINDOW
    times plan.total, at most MAX_DEMAND_WINDOW.
    """
    tokens = 0
    for position, offer in enumerate(offers[:MAX_DEMAND_WINDOW]):
        if tokens >= DEMAND_WINDOW * plan.total:
            return position
        tokens += min(offer.tokens, plan.caps.get(offer.type, plan.total))
    return min(len(offers), MAX_DEMAND_WINDOW)


def demand_of(
    kinds: Sequence[MemoryType], offers: Sequence[Offer], overheads: Overheads
) -> TypeTokens:
    """Tokens that each of `kinds` needs to show all its `offers`, headings included; 0 if it has no
    offers.
    """
    demand = dict.fromkeys(kinds, 0)
    groups: set[tuple[MemoryType, str]] = set()
    for offer in offers:
        if offer.type not in demand:
            continue
        if not demand[offer.type]:
            demand[offer.type] = overheads.headings[offer.type]
        demand[offer.type] += offer.tokens
        if offer.group is not None and (offer.type, offer.group) not in groups:
            groups.add((offer.type, offer.group))
            demand[offer.type] += overheads.groups[offer.group]
    return demand


def _equal_shares(
    plan: BudgetPlan, offers: Sequence[Offer], shares: TypeTokens
) -> tuple[TypeTokens, tuple[int, ...]]:
    """The shares to reserve, if all types have enough offers that are about as relevant as the last
    one that the order of rank alone would show; and the ranks of the offers from which this
    follows.

    Nothing is reserved if such offers of a type take less than its share: then the better ones of
    the other types matter more.
    """
    fitting = [offer for offer in offers if offer.tokens <= shares.get(offer.type, -1)]
    fitting.sort(key=lambda offer: offer.rank)
    shown = bisect_right(list(accumulate(offer.tokens for offer in fitting)), plan.total)
    if not plan.keeps_shares or shown == len(fitting):
        return {}, ()
    last = fitting[shown].score
    least = last - (1.0 - NEAR) * abs(last)
    weighed = {offer.rank for offer in fitting[: shown + 1]}
    tokens = dict.fromkeys(plan.types, 0)
    for offer in fitting:
        if offer.score >= least and tokens[offer.type] < shares[offer.type]:
            tokens[offer.type] += offer.tokens
            weighed.add(offer.rank)
    have_enough = all(tokens[kind] >= shares[kind] for kind in plan.types)
    return dict(shares) if have_enough else {}, tuple(weighed)


class _Filling:
    """A token budget while it is filled.

    reserved: tokens, by type, that `add_in_order` does not give to other types. used: tokens that
    each type takes so far, headings included. chosen: the chosen entries by rank.
    """

    def __init__(
        self,
        plan: BudgetPlan,
        overheads: Overheads,
        reserved: Mapping[MemoryType, int],
        offers: Sequence[Offer],
    ) -> None:
        self._overheads = overheads
        self._cuts = plan.oversize == "cut"
        self._free = max(0, plan.total - overheads.wrapper)
        self._reserved = {kind: tokens for kind, tokens in reserved.items() if tokens}
        self._caps = {kind: min(self._free, plan.caps.get(kind, plan.total)) for kind in plan.types}
        # What a type may take at most if all reserved tokens are used by the others
        unreserved = self._free - sum(self._reserved.values())
        self._whole = {
            kind: min(self._caps[kind], unreserved + self._reserved.get(kind, 0))
            for kind in plan.types
        }
        self._largest: dict[MemoryType, int] | None = None
        if plan.oversize == "excerpt":
            self._largest = {
                kind: max(MIN_EXCERPT, whole // EXCERPT_DIVISOR)
                for kind, whole in self._whole.items()
            }
        self._left = [offer for offer in offers if offer.type in self._caps]
        self._parts: dict[int, list[Offer]] = {}
        for offer in self._left:
            if offer.part_of:
                self._parts.setdefault(offer.part_of, []).append(offer)
        self._groups: dict[tuple[MemoryType, str], int] = {}
        self._count = dict.fromkeys(plan.types, 0)
        self.used = dict.fromkeys(plan.types, 0)
        self.chosen: dict[int, ChosenEntry] = {}

    def shows_whole(self, rank: int) -> bool:
        """Whether the hit of this rank is chosen and not cut."""
        entry = self.chosen.get(rank)
        return entry is not None and not entry.cut

    def add_best(self) -> None:
        """Choose the best-ranked entry that fits into the budget, even with tokens reserved for
        other types.
        """
        for offer in sorted(self._left, key=lambda offer: offer.rank):
            room = min(self._free, self._caps[offer.type])
            wanted = self._wanted(offer)
            fits = wanted + self._overhead(offer) <= room
            if fits:
                self._take(offer, wanted)
            if fits or (self._cuts and self._cut(offer, room)):
                self._left.remove(offer)
                return

    def add_in_order(self, *, reserved: bool) -> None:
        """Choose entries that fit, in the order offered. reserved: cut others, and leave tokens
        that are reserved.
        """
        passed: list[Offer] = []
        cuts = self._cuts and reserved
        for offer in self._left:
            wanted = self._wanted(offer)
            if (wanted > self._free and not cuts) or self.shows_whole(offer.part_of):
                passed.append(offer)
                continue
            free = self._free - (self._reserved_for_others(offer.type) if reserved else 0)
            room = min(free, self._caps[offer.type] - self.used[offer.type])
            if wanted + self._overhead(offer) <= room:
                self._take(offer, wanted)
            elif not (cuts and self._cut(offer, room)):
                passed.append(offer)
        self._left = passed

    def add_excerpts(self) -> None:
        """Choose entries in the order offered, cut so that MIN_EXCERPT tokens are left for each
        later entry.
        """
        later = sum(min(offer.tokens, MIN_EXCERPT) for offer in self._left)
        for offer in self._left:
            later -= min(offer.tokens, MIN_EXCERPT)
            room = min(self._free, self._caps[offer.type] - self.used[offer.type])
            room -= self._overhead(offer)
            allowed = min(offer.tokens, room, max(room - later, MIN_EXCERPT))
            if allowed >= min(offer.tokens, MIN_CUT):
                self._take(offer, allowed)

    def _wanted(self, offer: Offer) -> int:
        """Tokens with which the entry is shown: all, or those of an excerpt."""
        if self._largest is None:
            return offer.tokens
        return min(offer.tokens, self._largest[offer.type])

    def _reserved_for_others(self, kind: MemoryType) -> int:
        return sum(
            max(0, tokens - self.used[other])
            for other, tokens in self._reserved.items()
            if other is not kind
        )

    def _cut(self, offer: Offer, room: int) -> bool:
        """If the entry exceeds its type's limit, choose it, cut to at most half this limit; return
        whether chosen.
        """
        whole = self._whole[offer.type]
        allowed = min(room - self._overhead(offer), whole // 2)
        fits_whole = offer.tokens + self._overheads.headings[offer.type] <= whole
        if allowed < MIN_CUT or fits_whole:
            return False
        self._take(offer, allowed)
        return True

    def _overhead(self, offer: Offer) -> int:
        """Tokens of the headings that the entry needs and that are not in the context yet."""
        of_type = 0 if self._count[offer.type] else self._overheads.headings[offer.type]
        if offer.group is None or self._groups.get((offer.type, offer.group)):
            return of_type
        return of_type + self._overheads.groups[offer.group]

    def _take(self, offer: Offer, allowed: int) -> None:
        self._spend(offer, allowed + self._overhead(offer), 1)
        cut = allowed < offer.tokens
        self.chosen[offer.rank] = ChosenEntry(offer.rank, offer.type, allowed, cut)
        for part in self._parts.get(offer.rank, ()) if not cut else ():
            if part.rank in self.chosen:
                self._put_back(part)

    def _put_back(self, offer: Offer) -> None:
        entry = self.chosen.pop(offer.rank)
        # Without the entry, its headings cost what they would cost if it were offered again
        self._spend(offer, 0, -1)
        self._spend(offer, -entry.allowed - self._overhead(offer), 0)

    def _spend(self, offer: Offer, tokens: int, entries: int) -> None:
        self.used[offer.type] += tokens
        self._free -= tokens
        self._count[offer.type] += entries
        if offer.group is not None:
            key = (offer.type, offer.group)
            self._groups[key] = self._groups.get(key, 0) + entries
