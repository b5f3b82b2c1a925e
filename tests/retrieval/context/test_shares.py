"""The token budget of each memory type: its share by a table, the query's intent (such as tasks),
and caps.
"""

from __future__ import annotations

from memtypes.model.policy import LONG_TERM, MemoryType
from retrieval.context.budget import SHARES, BudgetPlan, initial_shares, shifted_shares

EPISODIC, SEMANTIC, PROSPECTIVE, PROCEDURAL = LONG_TERM


def plan(
    total: int, caps: dict[MemoryType, int] | None = None, *, task: bool = False, how: bool = False
) -> BudgetPlan:
    """A budget plan over all long-term types. task, how: whether the question asks for tasks or for
    a procedure.
    """
    return BudgetPlan(total, LONG_TERM, caps or {}, task, how)


def test_the_long_term_types_divide_their_whole_budget() -> None:
    assert set(SHARES) == set(LONG_TERM)
    assert sum(SHARES.values()) == 1.0


def test_the_default_total_is_shared_by_the_policy_table() -> None:
    """Of 8,000 tokens, events get a quarter, facts three eighths, tasks an eighth and procedures a
    quarter.
    """
    shares = {EPISODIC: 2000, SEMANTIC: 3000, PROSPECTIVE: 1000, PROCEDURAL: 2000}
    assert initial_shares(plan(8000), 8000) == shares


def test_a_query_for_tasks_or_instructions_shifts_500_tokens_to_their_type() -> None:
    both = plan(8000, task=True, how=True)
    assert shifted_shares(both, initial_shares(both, 8000)) == {
        EPISODIC: 1500,
        SEMANTIC: 2500,
        PROSPECTIVE: 1500,
        PROCEDURAL: 2500,
    }


def test_a_small_budget_is_shifted_in_proportion() -> None:
    """In a budget of 800 tokens, a query for tasks gives 50 more tokens to tasks, instead of
    500.
    """
    small = plan(800, task=True)
    assert shifted_shares(small, initial_shares(small, 800))[PROSPECTIVE] == 150


def test_a_shift_does_not_exceed_a_cap() -> None:
    """If a query for tasks raises the share of tasks above the cap for tasks, they get as many
    tokens as the cap.
    """
    capped = plan(8000, {PROSPECTIVE: 100}, task=True)
    assert shifted_shares(capped, initial_shares(capped, 8000))[PROSPECTIVE] == 100
