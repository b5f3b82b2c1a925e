"""Which hits go into a context of so many tokens: decided on counts alone, never above any limit.

Knows entries with their costs; does not know texts, scores or stores. Items are taken in score order; one that does
not fit is passed over, and the fill goes on. A type's share keeps the others from crowding it out; it is no claim of a
type whose memories stand far behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from memtypes.policy import MemoryType
from retrieval.outcome import Outcome
from retrieval.shares import BudgetPlan, Tokens, hand_on, initial_shares, shifted_shares

HAND_ON_ORDER: tuple[MemoryType, ...] = (
    MemoryType.SEMANTIC,
    MemoryType.EPISODIC,
    MemoryType.PROCEDURAL,
    MemoryType.PROSPECTIVE,
)
"""Who takes first what others can't use: the largest share first."""

SIGHT = 3
"""A type needs tokens for those of its entries that are among the best, worth so many times the total. Without a bound
three of four tokens go to types that have no answer: evidence of turns in 1,000 tokens, beside 100 memories of each
other type, is .88 with 2, 3 or 4 and .76 without. With less than 3 a few long messages fill the sight (see the log)."""

LEAST_CUT = 32
"""Tokens below which the beginning of a memory says too little to be worth its place."""


class Entry(NamedTuple):
    """A hit as the budget sees it. tokens: of its piece. group: the heading it stands under, where it needs one."""

    id: str
    type: MemoryType
    tokens: int
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Costs:
    """Tokens that are not entries: of the wrapper around everything, of each type's heading, of each group's."""

    wrapper: int
    headings: Mapping[MemoryType, int]
    groups: Mapping[str, int] = field(default_factory=dict)


class Sight(NamedTuple):
    """first: how many of the first entries are in sight. unlisted: tokens that others in sight would take, by type."""

    first: int
    unlisted: Mapping[MemoryType, int]


@dataclass(frozen=True, slots=True)
class Chosen:
    """An entry that is in. allowed: tokens for its piece; less than it has when `cut`."""

    entry: Entry
    allowed: int
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Fill:
    """chosen: in score order. used: tokens of each type's part, headings included. outcomes: of every entry, by id."""

    chosen: tuple[Chosen, ...]
    used: Tokens
    initial: Tokens
    shifted: Tokens
    final: Tokens
    outcomes: Mapping[str, Outcome]


EXCERPT_PART = 3
"""With excerpts, an entry larger than this part of its type's share is shown in so many tokens. Smaller excerpts keep
too little: by an eighth, evidence of long messages in 1,000 tokens is .52, by a third .56 to .64 (see the log)."""

LEAST_EXCERPT = 64


class _Part:
    """One type's part of the context while it is filled. most: tokens of one entry; None: as many as there are."""

    def __init__(self, kind: MemoryType, costs: Costs, most: int | None = None) -> None:
        self._most = most
        self._costs = costs
        self._heading = costs.headings[kind]
        self._groups: set[str] = set()
        self.used = 0
        self.chosen: list[Chosen] = []

    def least(self, entry: Entry) -> int:
        """The fewest tokens that `entry` can take."""
        return entry.tokens if self._most is None else min(entry.tokens, self._most)

    def overhead(self, entry: Entry) -> int:
        """Tokens that `entry` brings along: the part's heading when it is the first, its group's when that is new."""
        heading = 0 if self.chosen else self._heading
        group = self._costs.groups[entry.group] if entry.group and entry.group not in self._groups else 0
        return heading + group

    def take(self, chosen: Chosen) -> None:
        self.used += self.overhead(chosen.entry) + chosen.allowed
        self.chosen.append(chosen)
        if chosen.entry.group:
            self._groups.add(chosen.entry.group)

    def fit(self, entry: Entry, limit: int) -> Chosen | None:
        """`entry` whole, or as much of it as an entry may take, when that goes below `limit`."""
        room = limit - self.used - self.overhead(entry)
        if self._most is not None and entry.tokens > self._most:
            return Chosen(entry, self._most, cut=True) if self._most <= room else None
        return Chosen(entry, entry.tokens) if entry.tokens <= room else None

    def cut_to_fit(self, entry: Entry, limit: int) -> Chosen | None:
        """The beginning of an `entry` that is larger than the whole of `limit`, in at most half of it."""
        room = min(limit - self.used - self.overhead(entry), limit // 2)
        oversize = entry.tokens + self._heading > limit
        return Chosen(entry, room, cut=True) if oversize and room >= LEAST_CUT else None


def fill(
    plan: BudgetPlan,
    entries: Sequence[Entry],
    costs: Costs,
    *,
    cut: bool = False,
    sight: Sight | None = None,
) -> Fill:
    """The entries that go in, `entries` being in score order, of types of the plan.

    sight: what is in sight, where `entries` are not all there were; else it is found from them.

    The sum of all parts and the wrapper is at most plan.total, each part at most its final share, and a cap is never
    lifted. What a type can't use is handed on twice: before the fill, by what its entries in sight need; and after it
    what stayed free, because an entry does not fit exactly.
    """
    spendable = max(0, plan.total - costs.wrapper)
    initial = initial_shares(plan, spendable)
    shifted = shifted_shares(plan, initial)
    grouped = by_type(plan.types, entries)
    first, unlisted = sight or Sight(in_sight(plan, entries), {})
    seen = by_type(plan.types, entries[:first])
    demand = {kind: demand_of(kind, of_type, costs) + unlisted.get(kind, 0) for kind, of_type in seen.items()}
    limits = hand_on(plan, shifted, demand, HAND_ON_ORDER)
    parts = {kind: _Part(kind, costs, _most(plan, limits[kind])) for kind in plan.types}
    for kind, of_type in grouped.items():
        _fill_part(parts[kind], of_type, limits[kind], cut=cut)
    final = _fill_rest(plan, parts, grouped, spendable)
    return _result(entries, parts, Fill((), {}, initial, shifted, final, {}))


def in_sight(plan: BudgetPlan, entries: Sequence[Entry]) -> int:
    """How many of the first entries are worth SIGHT times the total; what of one can't be shown is worth nothing."""
    left = SIGHT * plan.total
    for place, entry in enumerate(entries):
        if left <= 0:
            return place
        left -= min(entry.tokens, plan.caps.get(entry.type, plan.total))
    return len(entries)


def by_type(kinds: Sequence[MemoryType], entries: Sequence[Entry]) -> dict[MemoryType, list[Entry]]:
    """The entries of each of `kinds`, in their order."""
    grouped: dict[MemoryType, list[Entry]] = {kind: [] for kind in kinds}
    for entry in entries:
        if entry.type in grouped:
            grouped[entry.type].append(entry)
    return grouped


def _most(plan: BudgetPlan, limit: int) -> int | None:
    return max(LEAST_EXCERPT, limit // EXCERPT_PART) if plan.excerpt else None


def demand_of(kind: MemoryType, entries: Sequence[Entry], costs: Costs) -> int:
    """Tokens that all of a type's `entries` would take, with their headings."""
    groups = {entry.group for entry in entries if entry.group}
    headings = costs.headings[kind] if entries else 0
    return sum(entry.tokens for entry in entries) + sum(costs.groups[group] for group in groups) + headings


def _fill_part(part: _Part, entries: Sequence[Entry], limit: int, *, cut: bool) -> None:
    for entry in entries:
        if not cut and part.least(entry) > limit - part.used:
            continue  # most entries of a full part: without a look at their headings
        chosen = part.fit(entry, limit) or (part.cut_to_fit(entry, limit) if cut else None)
        if chosen is not None:
            part.take(chosen)


def _fill_rest(
    plan: BudgetPlan, parts: Mapping[MemoryType, _Part], grouped: Mapping[MemoryType, Sequence[Entry]], spendable: int
) -> Tokens:
    """The final share of each type, after what stayed free was offered to each in the fixed order."""
    spare = spendable - sum(part.used for part in parts.values())
    for kind in HAND_ON_ORDER:
        if kind in parts:
            before = parts[kind].used
            within = {chosen.entry.id for chosen in parts[kind].chosen}
            limit = min(before + spare, plan.caps.get(kind, plan.total))
            left = [entry for entry in grouped[kind] if entry.id not in within]
            _fill_part(parts[kind], left, limit, cut=False)
            spare -= parts[kind].used - before
    return {kind: part.used for kind, part in parts.items()}


def _result(entries: Sequence[Entry], parts: Mapping[MemoryType, _Part], shares: Fill) -> Fill:
    chosen = {one.entry.id: one for part in parts.values() for one in part.chosen}
    spent = sum(part.used for part in parts.values())
    room = sum(shares.initial.values()) - spent
    outcomes = {
        entry.id: Outcome.INCLUDED
        if entry.id in chosen
        else (Outcome.OVER_TYPE_BUDGET if entry.tokens <= room else Outcome.OVER_TOTAL)
        for entry in entries
    }
    return Fill(
        tuple(chosen[entry.id] for entry in entries if entry.id in chosen),
        {kind: part.used for kind, part in parts.items()},
        shares.initial,
        shares.shifted,
        shares.final,
        outcomes,
    )
