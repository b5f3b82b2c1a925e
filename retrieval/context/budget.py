"""Which hits go into a context of so many tokens: decided on counts alone, never above any limit.

Knows entries with their costs; does not know texts, scores or stores. Items are taken in score order; one that does
not fit is passed over, and the fill goes on. A type's share keeps the others from crowding it out; it is no claim of a
type whose memories stand far behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES
from retrieval.context.entries import Costs, Entries, Entry, demand_of, in_sight
from retrieval.context.outcome import Outcome
from retrieval.context.shares import BudgetPlan, Tokens, hand_on, initial_shares, shifted_shares

HAND_ON_ORDER: tuple[MemoryType, ...] = (
    MemoryType.SEMANTIC,
    MemoryType.EPISODIC,
    MemoryType.PROCEDURAL,
    MemoryType.PROSPECTIVE,
)
"""Who takes first what others can't use: the largest share first."""

LEAST_CUT = 32
"""Tokens below which the beginning of a memory says too little to be worth its place."""

EXCERPT_PART = 3
"""With excerpts, an entry larger than this part of its type's share is shown in so many tokens. Smaller excerpts keep
too little: by an eighth, evidence of long messages in 1,000 tokens is .52, by a third .56 to .64 (see the log)."""

LEAST_EXCERPT = 64


class Sight(NamedTuple):
    """first: how many of the first entries are in sight. unlisted: tokens that others in sight would take, by type."""

    first: int
    unlisted: Mapping[MemoryType, int]


class Chosen(NamedTuple):
    """An entry that is in. allowed: tokens for its piece; less than it has when `cut`. rank: of its hit."""

    entry: Entry
    allowed: int
    cut: bool = False
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """chosen: in score order. used: tokens of each type's part, headings included. room: what nothing was put in.

    seen: how many of the first entries were in sight. demand: tokens that these would have taken, by type.
    """

    chosen: tuple[Chosen, ...]
    used: Tokens
    initial: Tokens
    shifted: Tokens
    final: Tokens
    room: int
    seen: int
    demand: Tokens

    def refused(self, tokens: int) -> Outcome:
        """What became of an entry of so many tokens that is not in."""
        return Outcome.OVER_TYPE_BUDGET if tokens <= self.room else Outcome.OVER_TOTAL

    def outcomes(self, entries: Sequence[Entry]) -> dict[str, Outcome]:
        """What became of each of the entries that were offered, by id."""
        chosen = {one.entry.id for one in self.chosen}
        return {one.id: Outcome.INCLUDED if one.id in chosen else self.refused(one.tokens) for one in entries}


class _Part:
    """One type's part of the context while it is filled. most: tokens of one entry; None: as many as there are.

    Entries are numbers here, by their places among the type's: of a thousand most are passed over, and an object would
    take longer to make than to pass over.
    """

    def __init__(self, kind: MemoryType, offered: Entries, costs: Costs, most: int | None) -> None:
        self._places = np.flatnonzero(offered.kinds == TYPES.index(kind))
        tokens = offered.tokens[self._places]
        self._tokens: list[int] = tokens.tolist()
        self._least: list[int] = self._tokens if most is None else np.minimum(tokens, most).tolist()
        self._groups: list[int] = offered.groups[self._places].tolist()
        self._group_costs = {group: costs.groups[offered.headings[group]] for group in set(self._groups) - {-1}}
        self._group_costs[-1] = 0
        self._heading = costs.headings[kind]
        self._left: Sequence[int] = range(len(self._tokens))
        self.used = 0
        self.chosen: list[tuple[int, int, bool]] = []

    def fill(self, limit: int, *, cut: bool = False) -> None:
        """Take what fits below `limit`, each whole or as much of it as an entry may take.

        cut: of an entry that is larger than all of `limit` its beginning is taken, in at most half of it.
        """
        passed: list[int] = []
        for one in self._left:
            room, least = limit - self.used, self._least[one]
            if least > room and not cut:
                passed.append(one)  # most entries of a full part: without a look at their headings
                continue
            overhead = self._overhead(one)
            if least <= room - overhead:
                self._take(one, least, overhead)
                continue
            part = min(room - overhead, limit // 2)
            if cut and part >= LEAST_CUT and self._tokens[one] + self._heading > limit:
                self._take(one, part, overhead)
            else:
                passed.append(one)
        self._left = passed

    def _overhead(self, one: int) -> int:
        """Tokens that an entry brings along: the part's heading when it is the first, its group's when that is new."""
        return (0 if self.chosen else self._heading) + self._group_costs[self._groups[one]]

    def _take(self, one: int, allowed: int, overhead: int) -> None:
        self.used += overhead + allowed
        self.chosen.append((int(self._places[one]), allowed, allowed < self._tokens[one]))
        self._group_costs[self._groups[one]] = 0  # it stands there now


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
    offered = Entries.of(entries)
    spendable = max(0, plan.total - costs.wrapper)
    initial = initial_shares(plan, spendable)
    shifted = shifted_shares(plan, initial)
    first, unlisted = sight or Sight(in_sight(plan, offered), {})
    demand = demand_of(plan.types, offered.take(slice(first)), costs)
    demand = {kind: tokens + unlisted.get(kind, 0) for kind, tokens in demand.items()}
    limits = hand_on(plan, shifted, demand, HAND_ON_ORDER)
    parts = {kind: _Part(kind, offered, costs, _most(plan, limits[kind])) for kind in plan.types}
    for kind, part in parts.items():
        part.fill(limits[kind], cut=cut)
    _fill_rest(plan, parts, spendable)
    used = {kind: part.used for kind, part in parts.items()}
    # What each type got is its share in the end, after what stayed free was offered to all.
    room = sum(initial.values()) - sum(used.values())
    return Fill(_chosen(offered, parts), used, initial, shifted, dict(used), room, first, demand)


def _most(plan: BudgetPlan, limit: int) -> int | None:
    return max(LEAST_EXCERPT, limit // EXCERPT_PART) if plan.excerpt else None


def _fill_rest(plan: BudgetPlan, parts: Mapping[MemoryType, _Part], spendable: int) -> None:
    """Offer what stayed free to each type in the fixed order."""
    spare = spendable - sum(part.used for part in parts.values())
    for kind in HAND_ON_ORDER:
        if kind in parts:
            before = parts[kind].used
            parts[kind].fill(min(before + spare, plan.caps.get(kind, plan.total)))
            spare -= parts[kind].used - before


def _chosen(offered: Entries, parts: Mapping[MemoryType, _Part]) -> tuple[Chosen, ...]:
    taken = sorted(one for part in parts.values() for one in part.chosen)
    entries = offered.take(np.array([place for place, _, _ in taken], dtype=np.intp))
    ranks = entries.ranks.tolist()
    return tuple(
        Chosen(entry, allowed, cut, rank) for entry, (_, allowed, cut), rank in zip(entries, taken, ranks, strict=True)
    )
