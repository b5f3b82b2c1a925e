"""How the budget of a context is divided among the types: shares, shifts by intent, caps, unused tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from memtypes.model.policy import POLICIES, MemoryType

TypeTokens: TypeAlias = dict[MemoryType, int]
Oversize: TypeAlias = Literal["skip", "cut", "excerpt"]

SHIFT = 500
"""Tokens of the default total that a task-like or how-to query moves between types."""

SHIFT_SHARE = SHIFT / 8_000
"""The same as a share of the total, so that a small budget is not emptied by one word."""

HAND_ON_ORDER: tuple[MemoryType, ...] = (
    MemoryType.SEMANTIC,
    MemoryType.EPISODIC,
    MemoryType.PROCEDURAL,
    MemoryType.PROSPECTIVE,
)
"""Order in which types take the tokens that others leave: the largest share first."""


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """What may be spent on which types.

    caps: hard limits by type; a type without one is limited by the total. task_like, how_to: the query's intent.
    oversize: what becomes of an entry that is larger than its share.
    """

    total: int
    types: tuple[MemoryType, ...]
    caps: Mapping[MemoryType, int]
    task_like: bool = False
    how_to: bool = False
    oversize: Oversize = "skip"


def initial_shares(plan: BudgetPlan, spendable: int) -> TypeTokens:
    """Tokens of each type of the plan: its cap, or its part of the remaining tokens by the policy table.

    Sums to at most `spendable`; caps that together exceed it are served in the order of the types.
    """
    shares: TypeTokens = {}
    rest = spendable
    for kind in plan.types:
        if kind in plan.caps:
            shares[kind] = min(plan.caps[kind], rest)
            rest -= shares[kind]
    uncapped = [kind for kind in plan.types if kind not in plan.caps]
    whole = sum(POLICIES[kind].share for kind in uncapped)
    shares |= {kind: int(rest * POLICIES[kind].share / whole) for kind in uncapped}
    return {kind: shares[kind] for kind in plan.types}


def shifted_shares(plan: BudgetPlan, shares: TypeTokens) -> TypeTokens:
    """`shares` with tokens moved to the type that the query asks for.

    From semantic to prospective for a task-like query, from episodic to procedural for a how-to query.
    """
    shifted = dict(shares)
    if plan.task_like:
        _shift(plan, shifted, MemoryType.SEMANTIC, MemoryType.PROSPECTIVE)
    if plan.how_to:
        _shift(plan, shifted, MemoryType.EPISODIC, MemoryType.PROCEDURAL)
    return shifted


def _shift(plan: BudgetPlan, shares: TypeTokens, source: MemoryType, target: MemoryType) -> None:
    if source not in shares or target not in shares:
        return
    wanted = min(SHIFT, int(plan.total * SHIFT_SHARE), shares[source])
    moved = max(0, min(wanted, plan.caps.get(target, plan.total) - shares[target]))
    shares[source] -= moved
    shares[target] += moved


def hand_on(plan: BudgetPlan, shares: TypeTokens, demand: Mapping[MemoryType, int]) -> TypeTokens:
    """`shares` after types that need less gave the rest to those that need more, in HAND_ON_ORDER.

    demand: tokens that each type needs. Caps hold, and the sum does not grow.
    """
    final = {kind: min(share, demand[kind]) for kind, share in shares.items()}
    spare = sum(shares.values()) - sum(final.values())
    for kind in HAND_ON_ORDER:
        if kind in final:
            limit = min(demand[kind], plan.caps.get(kind, plan.total))
            taken = min(spare, max(0, limit - final[kind]))
            final[kind] += taken
            spare -= taken
    return final
