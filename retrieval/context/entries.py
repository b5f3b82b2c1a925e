"""Hits as a budget sees them, as columns: what each costs, and what all of a type would take.

Knows entries with their costs; does not know texts, scores or stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from memtypes.model.policy import MemoryType
from memtypes.search.candidates import TYPES
from retrieval.context.shares import BudgetPlan, Tokens

SIGHT = 3
"""A type needs tokens for those of its entries that are among the best, worth so many times the total. Without a bound
three of four tokens go to types that have no answer: evidence of turns in 1,000 tokens, beside 100 memories of each
other type, is .88 with 2, 3 or 4 and .76 without. With less than 3 a few long messages fill the sight (see the log)."""


class Entry(NamedTuple):
    """A hit as the budget sees it. tokens: of its piece. group: the heading it stands under, where it needs one."""

    id: str
    type: MemoryType
    tokens: int
    group: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Entries(Sequence[Entry]):
    """Entries in score order, as columns of equal length.

    ids: as bytes. kinds: places in TYPES. groups: places in `headings`, -1 for none. ranks: of the hits, 1-based.
    """

    ids: NDArray[np.bytes_]
    kinds: NDArray[np.int8]
    tokens: NDArray[np.int64]
    groups: NDArray[np.int32]
    headings: Sequence[str]
    ranks: NDArray[np.int64]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Entries:
        """`entries` as columns, the first of rank 1."""
        if isinstance(entries, Entries):
            return entries
        places = {group: place for place, group in enumerate(dict.fromkeys(one.group for one in entries if one.group))}
        return cls(
            np.array([one.id.encode() for one in entries], dtype=np.bytes_),
            np.array([TYPES.index(one.type) for one in entries], dtype=np.int8),
            np.array([one.tokens for one in entries], dtype=np.int64),
            np.array([places[one.group] if one.group else -1 for one in entries], dtype=np.int32),
            tuple(places),
            np.arange(1, len(entries) + 1),
        )

    def take(self, places: NDArray[np.intp] | slice) -> Entries:
        """The entries at these places, in this order."""
        own = (self.ids[places], self.kinds[places], self.tokens[places], self.groups[places])
        return Entries(*own, self.headings, self.ranks[places])

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Entry]:
        headings = [*self.headings, None]  # the last one is that of none, which -1 finds
        columns = (self.ids.astype(np.str_), self.kinds, self.tokens, self.groups)
        for one, kind, tokens, group in zip(*(column.tolist() for column in columns), strict=True):
            yield Entry(one, TYPES[kind], tokens, headings[group])

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Entry]: ...
    def __getitem__(self, place: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(place, slice):
            return self.take(place)
        return next(iter(self.take(slice(place, place + 1 or None))))


@dataclass(frozen=True, slots=True)
class Costs:
    """Tokens that are not entries: of the wrapper around everything, of each type's heading, of each group's."""

    wrapper: int
    headings: Mapping[MemoryType, int]
    groups: Mapping[str, int] = field(default_factory=dict)


def in_sight(plan: BudgetPlan, entries: Sequence[Entry]) -> int:
    """How many of the first entries are worth SIGHT times the total; what of one can't be shown is worth nothing."""
    offered = Entries.of(entries)
    most = np.array([plan.caps.get(kind, plan.total) for kind in TYPES], dtype=np.int64)
    worth = np.minimum(offered.tokens, most[offered.kinds])
    return int((np.cumsum(worth) - worth < SIGHT * plan.total).sum())


def demand_of(kinds: Sequence[MemoryType], entries: Sequence[Entry], costs: Costs) -> Tokens:
    """Tokens that all entries of each of `kinds` would take, with their headings."""
    offered = Entries.of(entries)
    demand: Tokens = {}
    for kind in kinds:
        own = offered.kinds == TYPES.index(kind)
        headings = {offered.headings[group] for group in offered.groups[own].tolist() if group >= 0}
        whole = int(offered.tokens[own].sum()) + sum(costs.groups[heading] for heading in headings)
        demand[kind] = whole + costs.headings[kind] if own.any() else 0
    return demand
