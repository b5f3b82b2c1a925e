"""Chooses the hits that go into a context, within a total number of tokens and a limit for each
memory type.

The best-ranked hit that fits is taken first, then the others in order of rank. If the query asks
for tasks or how-tos, tokens are reserved for this memory type: as many as its best hits need, but
at most the type's share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES
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
    their heading.
    """

    total: int
    types: tuple[MemoryType, ...]
    caps: Mapping[MemoryType, int]
    task_like: bool = False
    how_to: bool = False
    oversize: Oversize = "skip"
    due_tokens: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class BudgetEntries:
    """Sizes and types of the hits offered to a budget, in the order of the offer, as columns of
    equal length.

    kinds: the memory type of each entry, as an index into TYPES. tokens: the size of each rendered
    entry. groups: the day heading above each entry, as an index into `headings`; -1 for none.
    ranks: the rank of each hit.
    """

    kinds: NDArray[np.int8]
    tokens: NDArray[np.int64]
    groups: NDArray[np.int32]
    headings: Sequence[str]
    ranks: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, MemoryType, int, str | None]]) -> BudgetEntries:
        """Build the columns from rows of (rank, memory type, tokens, day heading or None)."""
        entries = list(rows)
        headings = tuple(dict.fromkeys(group for *_, group in entries if group))
        return cls(
            np.array([TYPES.index(kind) for _, kind, _, _ in entries], dtype=np.int8),
            np.array([tokens for _, _, tokens, _ in entries], dtype=np.int64),
            np.array(
                [headings.index(group) if group else -1 for *_, group in entries], dtype=np.int32
            ),
            headings,
            np.array([rank for rank, *_ in entries], dtype=np.int64),
        )

    def take(self, positions: NDArray[np.intp] | slice) -> BudgetEntries:
        """The entries at `positions`, in this order."""
        columns = (self.kinds[positions], self.tokens[positions], self.groups[positions])
        return BudgetEntries(*columns, self.headings, self.ranks[positions])

    def __len__(self) -> int:
        return len(self.tokens)


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
    """Result of filling a budget: its limits, the entries offered, those chosen, and the tokens of
    each memory type.

    used: tokens that the chosen entries take, headings included. initial, shifted: tokens that
    `initial_shares` and `shifted_shares` gave to each type. room: tokens left over. window: number
    of best entries from which the demand was computed. demand: tokens that these entries need.
    """

    plan: BudgetPlan
    entries: BudgetEntries
    overheads: Overheads
    chosen: tuple[ChosenEntry, ...]
    used: TypeTokens
    initial: TypeTokens
    shifted: TypeTokens
    room: int
    window: int
    demand: TypeTokens

    def refusal(self, tokens: int) -> CandidateOutcome:
        """Why an entry of this size was not chosen: OVER_TYPE_BUDGET if it fits into `room` tokens,
        else OVER_TOTAL.
        """
        return (
            CandidateOutcome.OVER_TYPE_BUDGET
            if tokens <= self.room
            else CandidateOutcome.OVER_TOTAL
        )


def fill(
    plan: BudgetPlan,
    entries: BudgetEntries,
    overheads: Overheads,
    window: int | None = None,
    unlisted: Mapping[MemoryType, int] = MappingProxyType({}),
) -> BudgetFill:
    """Choose the entries that go into the context, best first, in plan.total tokens and the caps of
    their types.

    window: how many entries are counted, from the best, to compute the tokens that each type needs;
    by default `demand_window` tells. unlisted: such tokens, by type, of counted entries that are
    not among `entries`, because a receipt does not list them.
    """
    spendable = max(0, plan.total - overheads.wrapper)
    initial = initial_shares(plan, spendable)
    shifted = shifted_shares(plan, initial)
    window = demand_window(plan, entries) if window is None else window
    demand = demand_of(plan.types, entries.take(slice(window)), overheads)
    demand = {kind: tokens + unlisted.get(kind, 0) for kind, tokens in demand.items()}
    asked = {
        MemoryType.PROSPECTIVE: plan.task_like or plan.due_tokens,
        MemoryType.PROCEDURAL: plan.how_to,
    }
    reserved = {
        kind: min(shifted[kind], demand[kind]) if asked.get(kind) else 0 for kind in plan.types
    }
    filling = _Filling(plan, entries, overheads, reserved)
    if plan.oversize == "excerpt" and plan.types == (MemoryType.WORKING,):
        filling.take_excerpts()
    else:
        filling.take_best()
        filling.take_in_order(reserved=True)
        filling.take_in_order(reserved=False)
    used = {TYPES[kind]: tokens for kind, tokens in filling.used.items()}
    room = sum(initial.values()) - sum(used.values())
    chosen = tuple(filling.chosen[index] for index in sorted(filling.chosen))
    return BudgetFill(
        plan, entries, overheads, chosen, used, initial, shifted, room, window, demand
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


def demand_window(plan: BudgetPlan, entries: BudgetEntries) -> int:
    """Number of best entries from which types' needs are computed: as many as take DEMAND_WINDOW
    times plan.total.
    """
    limits = np.array([plan.caps.get(kind, plan.total) for kind in TYPES], dtype=np.int64)
    worth = np.minimum(entries.tokens, limits[entries.kinds])
    return int((np.cumsum(worth) - worth < DEMAND_WINDOW * plan.total).sum())


def demand_of(
    kinds: Sequence[MemoryType], entries: BudgetEntries, overheads: Overheads
) -> TypeTokens:
    """Tokens that each of `kinds` needs to show all its `entries`, headings included; 0 if it has
    no entries.
    """
    totals = (
        np.bincount(entries.kinds, entries.tokens, minlength=len(TYPES)).astype(np.int64).tolist()
    )
    for kind, group in set(zip(entries.kinds.tolist(), entries.groups.tolist(), strict=True)):
        if group >= 0:
            totals[kind] += overheads.groups[entries.headings[group]]
    present = {TYPES[kind] for kind in set(entries.kinds.tolist())}
    return {
        kind: totals[TYPES.index(kind)] + overheads.headings[kind] if kind in present else 0
        for kind in kinds
    }


class _Filling:
    """A token budget while it is filled. An entry is identified by its position in the list of
    offered entries.

    reserved: tokens, by type, that `take_in_order` does not give to other types. used: tokens that
    each type takes so far, headings included; the keys are indexes into TYPES. chosen: the chosen
    entries by position.
    """

    def __init__(
        self,
        plan: BudgetPlan,
        entries: BudgetEntries,
        overheads: Overheads,
        reserved: Mapping[MemoryType, int],
    ) -> None:
        kinds = [TYPES.index(kind) for kind in plan.types]
        self._free = max(0, plan.total - overheads.wrapper)
        self._reserved = {TYPES.index(kind): tokens for kind, tokens in reserved.items() if tokens}
        self._caps = {
            kind: min(self._free, plan.caps.get(TYPES[kind], plan.total)) for kind in kinds
        }
        whole = self._free - sum(self._reserved.values())
        self._whole = {
            kind: min(self._caps[kind], whole + self._reserved.get(kind, 0)) for kind in kinds
        }
        self._headings = {kind: overheads.headings[TYPES[kind]] for kind in kinds}
        self._heading_cost = [overheads.groups[heading] for heading in entries.headings]
        self._paid: set[tuple[int, int]] = set()
        self._cuts = plan.oversize == "cut"
        self._left: list[int] = np.flatnonzero(np.isin(entries.kinds, kinds)).tolist()
        self._kinds: list[int] = entries.kinds.tolist()
        self._ranks: list[int] = entries.ranks.tolist()
        self._tokens: list[int] = entries.tokens.tolist()
        self._groups: list[int] = entries.groups.tolist()
        self._wanted = self._tokens
        if plan.oversize == "excerpt":
            most = [
                max(MIN_EXCERPT, self._whole.get(kind, 0) // EXCERPT_DIVISOR)
                for kind in range(len(TYPES))
            ]
            self._wanted = np.minimum(entries.tokens, np.array(most)[entries.kinds]).tolist()
        self.used = dict.fromkeys(kinds, 0)
        self.chosen: dict[int, ChosenEntry] = {}

    def take_best(self) -> None:
        """Choose the best-ranked entry that fits into the budget, even with tokens reserved for
        other types.
        """
        for index in sorted(self._left, key=self._ranks.__getitem__):
            room = min(self._free, self._caps[self._kinds[index]])
            fits = self._wanted[index] + self._overhead(index) <= room
            if fits:
                self._take(index, self._wanted[index])
            if fits or (self._cuts and self._cut(index, room)):
                self._left.remove(index)
                return

    def take_in_order(self, *, reserved: bool) -> None:
        """Choose entries that fit, in the order offered. reserved: cut others, and leave tokens
        that are reserved.
        """
        passed: list[int] = []
        cuts = self._cuts and reserved
        least = 0 if cuts else min(map(self._wanted.__getitem__, self._left), default=0)
        for place, index in enumerate(self._left):
            if least > self._free:
                passed += self._left[place:]
                break
            if self._wanted[index] > self._free and not cuts:
                passed.append(index)
                continue
            kind = self._kinds[index]
            free = self._free
            for other, tokens in self._reserved.items() if reserved else ():
                free -= max(0, tokens - self.used[other]) if other != kind else 0
            room = min(free, self._caps[kind] - self.used[kind])
            if self._wanted[index] + self._overhead(index) <= room:
                self._take(index, self._wanted[index])
            elif not (cuts and self._cut(index, room)):
                passed.append(index)
        self._left = passed

    def take_excerpts(self) -> None:
        """Choose entries in the order offered, cut so that MIN_EXCERPT tokens are left for each
        later entry.
        """
        least: list[int] = np.minimum(self._tokens, MIN_EXCERPT).tolist()
        reserved = sum(map(least.__getitem__, self._left))
        smallest = min(map(least.__getitem__, self._left), default=0)
        for index in self._left:
            if min(smallest, MIN_CUT) > self._free:
                break
            reserved -= least[index]
            kind = self._kinds[index]
            room = min(self._free, self._caps[kind] - self.used[kind]) - self._overhead(index)
            allowed = min(self._tokens[index], room, max(room - reserved, MIN_EXCERPT))
            if allowed >= min(self._tokens[index], MIN_CUT):
                self._take(index, allowed)

    def _cut(self, index: int, room: int) -> bool:
        """If the entry exceeds its type's limit, choose it, cut to at most half this limit; return
        whether chosen.
        """
        kind = self._kinds[index]
        allowed = min(room - self._overhead(index), self._whole[kind] // 2)
        if allowed < MIN_CUT or self._tokens[index] + self._headings[kind] <= self._whole[kind]:
            return False
        self._take(index, allowed)
        return True

    def _overhead(self, index: int) -> int:
        kind = self._kinds[index]
        group = self._groups[index]
        of_group = 0 if group < 0 or (kind, group) in self._paid else self._heading_cost[group]
        return of_group + (0 if self.used[kind] else self._headings[kind])

    def _take(self, index: int, allowed: int) -> None:
        kind = self._kinds[index]
        cost = allowed + self._overhead(index)
        self.used[kind] += cost
        self._free -= cost
        self._paid.add((kind, self._groups[index]))
        self.chosen[index] = ChosenEntry(
            self._ranks[index], TYPES[kind], allowed, allowed < self._tokens[index]
        )
