"""How a total of tokens is divided among the types before anything is filled in: shares, shift, caps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from memtypes.model.policy import POLICIES, MemoryType

Tokens: TypeAlias = dict[MemoryType, int]

SHIFT = 500
"""Tokens that a task-like or how-to question moves, of the default total."""

SHIFT_SHARE = SHIFT / 8_000
"""The same as a share: of a smaller total no more than this moves, so that no type is emptied by a word."""


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """What may be spent. caps: hard limits of types that the caller named; a type without one is bounded by total.

    excerpt: whether of an entry that takes too much of its type's share only the passages that matter are shown.
    """

    total: int
    types: tuple[MemoryType, ...]
    caps: Mapping[MemoryType, int]
    task_like: bool = False
    how_to: bool = False
    excerpt: bool = False


def initial_shares(plan: BudgetPlan, spendable: int) -> Tokens:
    """Tokens of each type of the plan: its cap where the caller named one; the others share the rest by the table.

    Sums to at most `spendable`: caps that together exceed it are served in the order of the types.
    """
    shares: Tokens = {}
    rest = spendable
    for kind in plan.types:
        if kind in plan.caps:
            shares[kind] = min(plan.caps[kind], rest)
            rest -= shares[kind]
    unnamed = [kind for kind in plan.types if kind not in plan.caps]
    whole = sum(POLICIES[kind].share for kind in unnamed)
    shares |= {kind: int(rest * POLICIES[kind].share / whole) for kind in unnamed}
    return {kind: shares[kind] for kind in plan.types}


def shifted_shares(plan: BudgetPlan, shares: Tokens) -> Tokens:
    """`shares` after a task-like question moved tokens to prospective, and a how-to question to procedural."""
    moved = dict(shares)
    if plan.task_like:
        _move(plan, moved, MemoryType.SEMANTIC, MemoryType.PROSPECTIVE)
    if plan.how_to:
        _move(plan, moved, MemoryType.EPISODIC, MemoryType.PROCEDURAL)
    return moved


def _move(plan: BudgetPlan, shares: Tokens, giver: MemoryType, taker: MemoryType) -> None:
    if giver not in shares or taker not in shares:
        return
    wanted = min(SHIFT, int(plan.total * SHIFT_SHARE), shares[giver])
    moved = min(wanted, plan.caps.get(taker, plan.total) - shares[taker])
    shares[giver] -= max(0, moved)
    shares[taker] += max(0, moved)


def hand_on(plan: BudgetPlan, shares: Tokens, demand: Mapping[MemoryType, int], order: Sequence[MemoryType]) -> Tokens:
    """`shares` after each type that needs less gave the rest to those that need more, in the fixed `order`.

    demand: tokens that all of a type's candidates would take. No cap is lifted, and the sum never grows.
    """
    final = {kind: min(share, demand[kind]) for kind, share in shares.items()}
    spare = sum(shares.values()) - sum(final.values())
    for kind in order:
        if kind in final:
            limit = min(demand[kind], plan.caps.get(kind, plan.total))
            taken = min(spare, max(0, limit - final[kind]))
            final[kind] += taken
            spare -= taken
    return final
