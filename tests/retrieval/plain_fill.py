"""A fill done one entry after the other, as the rules read: what the quick one must agree with, to the token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from memtypes.model.policy import MemoryType
from retrieval.context.budget import EXCERPT_PART, HAND_ON_ORDER, LEAST_CUT, LEAST_EXCERPT
from retrieval.context.entries import SIGHT, Costs, Entry
from retrieval.context.shares import BudgetPlan, Tokens, hand_on, initial_shares, shifted_shares


@dataclass
class Part:
    """One type's part while it is filled. most: tokens of one entry. chosen: the tokens of each that is in, by id."""

    kind: MemoryType
    costs: Costs
    most: int
    used: int = 0
    groups: set[str] = field(default_factory=set)
    chosen: dict[str, int] = field(default_factory=dict)

    def offer(self, entry: Entry, limit: int, *, cut: bool) -> None:
        """Take the entry where it fits."""
        new_group = entry.group is not None and entry.group not in self.groups
        overhead = (0 if self.chosen else self.costs.headings[self.kind]) + (
            self.costs.groups[entry.group] if entry.group is not None and new_group else 0
        )
        room = limit - self.used - overhead
        allowed = min(entry.tokens, self.most)
        if allowed > room:
            allowed = min(room, limit // 2)
            oversize = entry.tokens + self.costs.headings[self.kind] > limit
            if not (cut and oversize and allowed >= LEAST_CUT):
                return
        self.used += overhead + allowed
        self.chosen[entry.id] = allowed
        self.groups |= {entry.group} if entry.group else set()


def plain_sight(plan: BudgetPlan, entries: Sequence[Entry]) -> list[Entry]:
    """The first entries that are worth SIGHT times the total."""
    seen: list[Entry] = []
    left = SIGHT * plan.total
    for entry in entries:
        if left <= 0:
            break
        seen.append(entry)
        left -= min(entry.tokens, plan.caps.get(entry.type, plan.total))
    return seen


def plain_demand(kind: MemoryType, entries: Sequence[Entry], costs: Costs) -> int:
    """What all of a type's entries would take."""
    own = [entry for entry in entries if entry.type is kind]
    headings = {entry.group for entry in own if entry.group}
    whole = sum(entry.tokens for entry in own) + sum(costs.groups[heading] for heading in headings)
    return whole + costs.headings[kind] if own else 0


def plain_fill(
    plan: BudgetPlan, entries: Sequence[Entry], costs: Costs, *, cut: bool
) -> tuple[list[tuple[str, int]], Tokens]:
    """(id, tokens) of each entry that goes in, in score order, and the tokens of each type."""
    spendable = max(0, plan.total - costs.wrapper)
    shifted = shifted_shares(plan, initial_shares(plan, spendable))
    seen = plain_sight(plan, entries)
    demand = {kind: plain_demand(kind, seen, costs) for kind in plan.types}
    limits = hand_on(plan, shifted, demand, HAND_ON_ORDER)
    parts: dict[MemoryType, Part] = {}
    for kind in plan.types:
        most = max(LEAST_EXCERPT, limits[kind] // EXCERPT_PART) if plan.excerpt else 1_000_000_000
        parts[kind] = part = Part(kind, costs, most)
        for entry in entries:
            if entry.type is kind:
                part.offer(entry, limits[kind], cut=cut)
    for kind in (kind for kind in HAND_ON_ORDER if kind in parts):
        part = parts[kind]
        limit = min(part.used + spendable - sum(one.used for one in parts.values()), plan.caps.get(kind, plan.total))
        for entry in entries:
            if entry.type is kind and entry.id not in part.chosen:
                part.offer(entry, limit, cut=False)
    chosen = {one: tokens for part in parts.values() for one, tokens in part.chosen.items()}
    in_order = [(entry.id, chosen[entry.id]) for entry in entries if entry.id in chosen]
    return in_order, {kind: part.used for kind, part in parts.items()}
