"""The budget: never above, and nothing left where something fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.model.policy import LONG_TERM, MemoryType
from retrieval.context.budget import HAND_ON_ORDER, Fill, fill
from retrieval.context.entries import SIGHT, Costs, Entry, in_sight
from retrieval.context.outcome import Outcome
from retrieval.context.shares import BudgetPlan, hand_on, initial_shares, shifted_shares
from tests.retrieval.plain_fill import plain_fill, plain_sight

EPISODIC, SEMANTIC, PROSPECTIVE, PROCEDURAL = LONG_TERM
NO_COSTS = Costs(0, dict.fromkeys(LONG_TERM, 0))


def plan(total: int, caps: dict[MemoryType, int] | None = None, *, task: bool = False, how: bool = False) -> BudgetPlan:
    """A plan over all long-term types."""
    return BudgetPlan(total, LONG_TERM, caps or {}, task, how)


def entries(kind: MemoryType, *tokens: int) -> list[Entry]:
    """Entries of `kind`, best first."""
    return [Entry(f"{kind}-{place}", kind, cost) for place, cost in enumerate(tokens)]


def ids(filled: Fill) -> list[str]:
    """What is in."""
    return [one.entry.id for one in filled.chosen]


def test_the_default_total_is_shared_by_the_table() -> None:
    """A quarter, three eighths, an eighth and a quarter of 8,000."""
    shares = {EPISODIC: 2000, SEMANTIC: 3000, PROSPECTIVE: 1000, PROCEDURAL: 2000}
    assert initial_shares(plan(8000), 8000) == shares


def test_a_task_like_question_moves_500_to_tasks_and_a_how_to_500_to_procedures() -> None:
    """Facts give to tasks, events to procedures."""
    asked = plan(8000, task=True, how=True)
    assert shifted_shares(asked, initial_shares(asked, 8000)) == {
        EPISODIC: 1500,
        SEMANTIC: 2500,
        PROSPECTIVE: 1500,
        PROCEDURAL: 2500,
    }


def test_a_small_budget_is_shifted_in_proportion() -> None:
    """A word in the question does not empty a type."""
    asked = plan(800, task=True)
    assert shifted_shares(asked, initial_shares(asked, 800))[PROSPECTIVE] == 150


def test_a_shift_does_not_lift_a_cap() -> None:
    """What the caller limited stays limited."""
    asked = plan(8000, {PROSPECTIVE: 100}, task=True)
    assert shifted_shares(asked, initial_shares(asked, 8000))[PROSPECTIVE] == 100


def test_one_type_alone_gets_the_whole_budget() -> None:
    """What the other types can't use is handed on."""
    filled = fill(plan(1000), entries(EPISODIC, *[100] * 20), NO_COSTS)
    assert filled.used[EPISODIC] == 1000


def test_an_entry_that_does_not_fit_is_passed_over() -> None:
    """The fill goes on with what is smaller."""
    filled = fill(plan(100), entries(SEMANTIC, 60, 50, 40), NO_COSTS)
    assert ids(filled) == ["semantic-0", "semantic-2"]
    assert filled.outcomes(entries(SEMANTIC, 60, 50, 40))["semantic-1"] is Outcome.OVER_TOTAL


def test_better_entries_of_a_full_type_come_before_worse_ones() -> None:
    """Within a type the order of the scores decides."""
    filled = fill(plan(100), entries(SEMANTIC, *[30] * 5), NO_COSTS)
    assert ids(filled) == ["semantic-0", "semantic-1", "semantic-2"]


def test_a_cap_is_never_lifted_even_when_budget_is_left() -> None:
    """Hand-on stops at what the caller said."""
    filled = fill(plan(1000, {EPISODIC: 150}), entries(EPISODIC, *[50] * 10), NO_COSTS)
    assert filled.used[EPISODIC] == 150


def test_a_cap_of_zero_leaves_the_type_out() -> None:
    """And its share goes to the others."""
    hits = entries(EPISODIC, 10) + entries(SEMANTIC, *[100] * 10)
    filled = fill(plan(1000, {EPISODIC: 0}), hits, NO_COSTS)
    assert (filled.used[EPISODIC], filled.used[SEMANTIC]) == (0, 1000)


def test_a_type_that_was_not_asked_for_gets_nothing() -> None:
    """Its share goes to the types of the plan."""
    filled = fill(BudgetPlan(400, (SEMANTIC,), {}), entries(SEMANTIC, *[100] * 9), NO_COSTS)
    assert filled.used == {SEMANTIC: 400}


def test_headings_groups_and_wrapper_are_paid_for() -> None:
    """A second entry of the same day pays for no second heading."""
    costs = Costs(10, dict.fromkeys(LONG_TERM, 5), {"mon": 3, "tue": 3})
    hits = [Entry("a", EPISODIC, 20, "mon"), Entry("b", EPISODIC, 20, "mon"), Entry("c", EPISODIC, 20, "tue")]
    assert fill(plan(81), hits, costs).used[EPISODIC] == 71
    assert ids(fill(plan(80), hits, costs)) == ["a", "b"]


def test_a_memory_larger_than_its_share_is_skipped_or_cut_as_asked() -> None:
    """Skipped by default; cut to at most half of the share, so that it does not crowd out the rest."""
    hits = entries(SEMANTIC, 5000, 100)
    assert ids(fill(plan(400), hits, NO_COSTS)) == ["semantic-1"]
    cut = fill(plan(400), hits, NO_COSTS, cut=True)
    assert [(one.entry.id, one.allowed, one.cut) for one in cut.chosen] == [
        ("semantic-0", 200, True),
        ("semantic-1", 100, False),
    ]


def test_nothing_is_cut_to_a_useless_rest() -> None:
    """A few tokens of a long memory say nothing."""
    assert ids(fill(plan(40), entries(SEMANTIC, 5000), NO_COSTS, cut=True)) == []


def test_hand_on_serves_the_types_in_their_fixed_order() -> None:
    """Facts first, then events, procedures and tasks."""
    assert HAND_ON_ORDER == (SEMANTIC, EPISODIC, PROCEDURAL, PROSPECTIVE)
    shares = {EPISODIC: 25, SEMANTIC: 40, PROSPECTIVE: 10, PROCEDURAL: 25}
    demand = {EPISODIC: 100, SEMANTIC: 60, PROSPECTIVE: 0, PROCEDURAL: 0}
    final = hand_on(plan(100), shares, demand, HAND_ON_ORDER)
    assert final == {EPISODIC: 40, SEMANTIC: 60, PROSPECTIVE: 0, PROCEDURAL: 0}


kinds = st.sampled_from(LONG_TERM)
hits_of_all_types = st.lists(
    st.tuples(kinds, st.integers(1, 400), st.sampled_from([None, "mon", "tue", "wed"])), max_size=60
).map(lambda rows: [Entry(str(place), kind, cost, group) for place, (kind, cost, group) in enumerate(rows)])
plans = st.builds(
    BudgetPlan,
    st.one_of(st.integers(0, 60), st.integers(0, 9000)),
    st.lists(kinds, min_size=1, max_size=4, unique=True).map(tuple),
    st.dictionaries(kinds, st.integers(0, 3000)),
    st.booleans(),
    st.booleans(),
)
all_costs = st.builds(
    Costs,
    st.integers(0, 20),
    st.fixed_dictionaries({kind: st.integers(0, 9) for kind in LONG_TERM}),
    st.fixed_dictionaries({day: st.integers(0, 9) for day in ("mon", "tue", "wed")}),
)


@given(plans, hits_of_all_types, all_costs, st.booleans())
@settings(max_examples=400)
def test_no_limit_is_ever_exceeded(asked: BudgetPlan, hits: Sequence[Entry], costs: Costs, cut: bool) -> None:  # noqa: FBT001
    """Total, caps and final shares hold for any budget, any caps, any entries and any costs."""
    allowed = [hit for hit in hits if hit.type in asked.types]
    filled = fill(asked, allowed, costs, cut=cut)
    spent = sum(filled.used.values())
    assert spent + (costs.wrapper if filled.chosen else 0) <= asked.total or not filled.chosen
    assert all(filled.used[kind] <= filled.final[kind] for kind in asked.types)
    assert all(filled.used[kind] <= asked.caps.get(kind, asked.total) for kind in asked.types)
    assert sum(filled.initial.values()) <= asked.total
    assert sum(filled.shifted.values()) == sum(filled.initial.values())
    assert sum(filled.final.values()) <= asked.total
    recount = dict.fromkeys(asked.types, 0)
    for kind in asked.types:
        part = [one for one in filled.chosen if one.entry.type is kind]
        groups = {one.entry.group for one in part if one.entry.group}
        heading = costs.headings[kind] if part else 0
        recount[kind] = heading + sum(one.allowed for one in part) + sum(costs.groups[group] for group in groups)
    assert recount == filled.used


@given(plans, hits_of_all_types, all_costs, st.booleans(), st.booleans())
@settings(max_examples=400)
def test_the_quick_fill_is_the_plain_one(
    asked: BudgetPlan,
    hits: Sequence[Entry],
    costs: Costs,
    cut: bool,  # noqa: FBT001
    excerpt: bool,  # noqa: FBT001
) -> None:
    """The same entries with the same tokens as one by one, whatever is asked."""
    asked = replace(asked, excerpt=excerpt)
    filled = fill(asked, hits, costs, cut=cut)
    chosen = [(one.entry.id, one.allowed) for one in filled.chosen]
    assert (chosen, filled.used) == plain_fill(asked, hits, costs, cut=cut)
    assert in_sight(asked, hits) == len(plain_sight(asked, hits))
    by_id = {hit.id: (place, hit) for place, hit in enumerate(hits, 1)}
    assert all(by_id[one.entry.id] == (one.rank, one.entry) for one in filled.chosen)
    assert all(one.cut == (one.allowed < one.entry.tokens) for one in filled.chosen)


@given(plans, hits_of_all_types, all_costs)
@settings(max_examples=300)
def test_what_is_left_out_would_not_have_fitted(asked: BudgetPlan, hits: Sequence[Entry], costs: Costs) -> None:
    """At the end no entry that is out fits into what is left, unless a cap keeps it out."""
    allowed = [hit for hit in hits if hit.type in asked.types]
    filled = fill(asked, allowed, costs)
    inside = {one.entry.id for one in filled.chosen}
    # The order of hand-on is fixed, so the last type in it is the one that sees what is really left.
    last = max(asked.types, key=HAND_ON_ORDER.index)
    left = max(0, asked.total - costs.wrapper) - sum(filled.used.values())
    part = [one for one in filled.chosen if one.entry.type is last]
    groups = {one.entry.group for one in part}
    for hit in allowed:
        if hit.type is last and hit.id not in inside:
            overhead = (0 if part else costs.headings[last]) + (
                costs.groups[hit.group] if hit.group and hit.group not in groups else 0
            )
            over_cap = filled.used[last] + hit.tokens + overhead > asked.caps.get(last, asked.total)
            assert hit.tokens + overhead > left or over_cap


@given(plans, hits_of_all_types)
def test_every_entry_has_an_outcome(asked: BudgetPlan, hits: Sequence[Entry]) -> None:
    """Included exactly when it was chosen; otherwise the reason."""
    allowed = [hit for hit in hits if hit.type in asked.types]
    filled = fill(asked, allowed, Costs(0, dict.fromkeys(LONG_TERM, 0), {"mon": 0, "tue": 0, "wed": 0}))
    outcomes = filled.outcomes(allowed)
    assert set(outcomes) == {hit.id for hit in allowed}
    included = {one for one, outcome in outcomes.items() if outcome is Outcome.INCLUDED}
    assert included == {one.entry.id for one in filled.chosen}


def test_a_type_that_stands_far_behind_keeps_no_share() -> None:
    """Its memories get what is left over, not what the table says."""
    hits = entries(EPISODIC, *[100] * 40) + entries(SEMANTIC, *[100] * 40)
    far = fill(plan(1000), hits, NO_COSTS)
    assert (far.used[EPISODIC], far.used[SEMANTIC]) == (1000, 0)
    mixed = fill(plan(1000), [one for pair in zip(hits[:40], hits[40:], strict=True) for one in pair], NO_COSTS)
    assert mixed.used[SEMANTIC] > mixed.used[EPISODIC] >= 200


def test_what_can_not_be_shown_takes_no_sight_from_others() -> None:
    """Entries of a type that the caller left out, and what of one is larger than the total, stand before nobody."""
    behind = entries(EPISODIC, *[100] * 40) + entries(SEMANTIC, *[100] * 40)
    asked = plan(1000, {EPISODIC: 0})
    assert in_sight(asked, behind) == 40 + SIGHT * 10
    assert in_sight(plan(1000), entries(EPISODIC, *[100_000] * 9)) == SIGHT
    assert in_sight(plan(0), behind) == 0


@pytest.mark.parametrize("total", [500, 1000, 4000, 8000])
def test_utilization_is_high_where_there_are_enough_candidates(total: int) -> None:
    """With turns of ordinary length at least 95 % of a budget from 500 tokens on is used."""
    hits = entries(EPISODIC, *[20 + (7 * n) % 45 for n in range(400)])
    assert fill(plan(total), hits, NO_COSTS).used[EPISODIC] >= 0.95 * total
