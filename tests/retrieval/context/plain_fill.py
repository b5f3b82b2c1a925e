"""A slow, simple implementation of the budget fill. The fast implementation must choose the same
entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from memtypes.model.policy import MemoryType
from retrieval.context.budget import (
    DEMAND_WINDOW,
    EXCERPT_DIVISOR,
    MAX_DEMAND_WINDOW,
    MIN_CUT,
    MIN_EXCERPT,
    NEAR,
    BudgetPlan,
    Overheads,
    TypeTokens,
    initial_shares,
    shifted_shares,
)


class PlainEntry(NamedTuple):
    """A ranked hit, as the reference budget fill sees it.

    group: the heading under which a context lists it, such as a day. part_of: rank of its message.
    score: how well it matches.
    """

    id: str
    type: MemoryType
    tokens: int
    group: str | None = None
    part_of: int = 0
    score: float = 0.0


@dataclass
class PlainPart:
    """The part of a context that one memory type fills, as `plain_fill` computes it. cap: maximum
    of its tokens.

    whole: tokens that are not reserved for other types. most: maximum tokens of one entry. chosen:
    tokens of the chosen entries by id.
    """

    kind: MemoryType
    overheads: Overheads
    cap: int
    whole: int
    most: int
    used: int = 0
    groups: set[str] = field(default_factory=set)
    chosen: dict[str, int] = field(default_factory=dict)

    def offer(self, entry: PlainEntry, free: int, *, cut: bool) -> bool:
        """Add the entry if it fits both the `free` tokens and this type's cap; return whether it
        was added.

        cut: whether an entry that does not fit may be shortened.
        """
        new_group = entry.group is not None and entry.group not in self.groups
        overhead = (0 if self.chosen else self.overheads.headings[self.kind]) + (
            self.overheads.groups[entry.group] if entry.group is not None and new_group else 0
        )
        room = min(free, self.cap - self.used) - overhead
        allowed = min(entry.tokens, self.most)
        if allowed > room:
            allowed = min(room, self.whole // 2)
            oversize = entry.tokens + self.overheads.headings[self.kind] > self.whole
            if not (cut and oversize and allowed >= MIN_CUT):
                return False
        self.used += overhead + allowed
        self.chosen[entry.id] = allowed
        self.groups |= {entry.group} if entry.group else set()
        return True


def plain_window(plan: BudgetPlan, entries: Sequence[PlainEntry]) -> list[PlainEntry]:
    """The best entries until their tokens add up to DEMAND_WINDOW times the total budget.

    Each entry counts with at most its type's cap.
    """
    seen: list[PlainEntry] = []
    left = DEMAND_WINDOW * plan.total
    for entry in entries[:MAX_DEMAND_WINDOW]:
        if left <= 0:
            break
        seen.append(entry)
        left -= min(entry.tokens, plan.caps.get(entry.type, plan.total))
    return seen


def plain_demand(kind: MemoryType, entries: Sequence[PlainEntry], overheads: Overheads) -> int:
    """Tokens that all entries of a type and their headings would take."""
    of_type = [entry for entry in entries if entry.type is kind]
    headings = {entry.group for entry in of_type if entry.group}
    whole = sum(entry.tokens for entry in of_type) + sum(
        overheads.groups[heading] for heading in headings
    )
    return whole + overheads.headings[kind] if of_type else 0


def plain_shares(plan: BudgetPlan, entries: Sequence[PlainEntry], shares: TypeTokens) -> TypeTokens:
    """Tokens reserved for each type because all have enough entries that score about as well as the
    first one that does not fit if entries are taken by rank alone.
    """
    fitting = [entry for entry in entries if entry.tokens <= shares.get(entry.type, -1)]
    left = plan.total
    for last in fitting:
        left -= last.tokens
        if left < 0:
            least = last.score - (1.0 - NEAR) * abs(last.score)
            near = [entry for entry in fitting if entry.score >= least]
            tokens = {
                kind: sum(entry.tokens for entry in near if entry.type is kind) for kind in shares
            }
            enough = all(tokens[kind] >= shares[kind] for kind in shares)
            return shares if enough else {}
    return {}


def plain_fill(
    plan: BudgetPlan, entries: Sequence[PlainEntry], overheads: Overheads
) -> tuple[list[tuple[str, int]], TypeTokens]:
    """A slow, simple reference for filling a token budget.

    Returns (id, tokens) of each chosen entry, and the tokens of each memory type.
    """
    spendable = max(0, plan.total - overheads.wrapper)
    shifted = shifted_shares(plan, initial_shares(plan, spendable))
    seen = plain_window(plan, entries)
    demand = {kind: plain_demand(kind, seen, overheads) for kind in plan.types}
    wanted_types = [MemoryType.PROCEDURAL] if plan.how_to else []
    wanted_types += [MemoryType.PROSPECTIVE] if plan.task_like or plan.due_tokens else []
    equal = plain_shares(plan, entries, shifted) if plan.keeps_shares else {}
    reserved = {
        kind: max(
            equal.get(kind, 0),
            min(shifted[kind], demand[kind]) if kind in wanted_types else 0,
        )
        for kind in plan.types
    }
    parts: dict[MemoryType, PlainPart] = {}
    for kind in plan.types:
        cap = min(spendable, plan.caps.get(kind, plan.total))
        whole = min(
            cap, spendable - sum(tokens for other, tokens in reserved.items() if other is not kind)
        )
        most = (
            max(MIN_EXCERPT, whole // EXCERPT_DIVISOR)
            if plan.oversize == "excerpt"
            else 1_000_000_000
        )
        parts[kind] = PlainPart(kind, overheads, cap, whole, most)
    wanted = [entry for entry in entries if entry.type in parts]
    cuts = plan.oversize == "cut"

    def free() -> int:
        return spendable - sum(part.used for part in parts.values())

    def pending(kind: MemoryType) -> int:
        return sum(
            max(0, reserved[other] - parts[other].used) for other in parts if other is not kind
        )

    def chosen() -> dict[str, int]:
        return {
            entry_id: tokens for part in parts.values() for entry_id, tokens in part.chosen.items()
        }

    next((entry for entry in wanted if parts[entry.type].offer(entry, free(), cut=cuts)), None)
    for entry in [entry for entry in wanted if entry.id not in chosen()]:
        parts[entry.type].offer(entry, free() - pending(entry.type), cut=cuts)
    for entry in [entry for entry in wanted if entry.id not in chosen()]:
        parts[entry.type].offer(entry, free(), cut=False)
    in_order = [(entry.id, chosen()[entry.id]) for entry in entries if entry.id in chosen()]
    return in_order, {kind: part.used for kind, part in parts.items()}
