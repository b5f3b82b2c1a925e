"""Filling the token budget of a context with ranked entries.

The budget is never exceeded, and used up if entries fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtypes.model.policy import LONG_TERM, MemoryType
from retrieval.context.budget import (
    DEMAND_WINDOW,
    MAX_DEMAND_WINDOW,
    MIN_EXCERPT,
    SHARES,
    BudgetFill,
    BudgetPlan,
    Offer,
    Overheads,
    Oversize,
    demand_window,
    fill,
)
from retrieval.ranking.ranked import CandidateOutcome
from tests.retrieval.context.plain_fill import PlainEntry, plain_fill, plain_window

EPISODIC, SEMANTIC, PROSPECTIVE, PROCEDURAL = LONG_TERM
NO_OVERHEADS = Overheads(0, dict.fromkeys(LONG_TERM, 0))


def plan(
    total: int, caps: dict[MemoryType, int] | None = None, oversize: Oversize = "skip"
) -> BudgetPlan:
    """A budget plan over all long-term types.

    oversize: what happens to an entry that is too large ("skip", "cut", "excerpt").
    """
    return BudgetPlan(total, LONG_TERM, caps or {}, oversize=oversize)


def sharing(total: int, *, how_to: bool = False, tasks: bool = False) -> BudgetPlan:
    """A budget plan that keeps each type's share for hits that are about equally relevant."""
    return BudgetPlan(total, LONG_TERM, {}, tasks, how_to, keeps_shares=True)


def scored(kind: MemoryType, number: int, best: float, worst: float) -> list[PlainEntry]:
    """Entries of 40 tokens, with scores from `best` down to `worst`."""
    step = (best - worst) / max(1, number - 1)
    return [
        PlainEntry(f"{kind}-{index}", kind, 40, score=best - index * step)
        for index in range(number)
    ]


def by_score(*parts: list[PlainEntry]) -> list[PlainEntry]:
    """The entries of all `parts`, best first."""
    return sorted((entry for part in parts for entry in part), key=lambda entry: -entry.score)


def entries(kind: MemoryType, *tokens: int) -> list[PlainEntry]:
    """Entries of type `kind` with these token counts, best first."""
    return [PlainEntry(f"{kind}-{index}", kind, cost) for index, cost in enumerate(tokens)]


def offers(entries: Sequence[PlainEntry]) -> list[Offer]:
    """The entries as offers to a budget, with ranks from 1."""
    return [
        Offer(rank, entry.type, entry.tokens, entry.group, entry.part_of, entry.score)
        for rank, entry in enumerate(entries, 1)
    ]


def filled(
    asked: BudgetPlan, entries: Sequence[PlainEntry], overheads: Overheads = NO_OVERHEADS
) -> BudgetFill:
    """The result of filling the budget of the plan `asked` with `entries`."""
    return fill(asked, offers(entries), overheads)


def ranks(result: BudgetFill) -> list[int]:
    """Ranks of the entries that were chosen for the budget."""
    return [entry.rank for entry in result.chosen]


def test_one_type_alone_gets_the_whole_budget() -> None:
    """If only one memory type has entries, it also gets the budget shares of the other types."""
    result = filled(plan(1000), entries(EPISODIC, *[100] * 20))
    assert result.used[EPISODIC] == 1000


def test_an_entry_that_does_not_fit_is_skipped() -> None:
    """If an entry does not fit the budget, smaller entries with a lower rank are still tried."""
    result = filled(plan(100), entries(SEMANTIC, 60, 50, 40))
    assert ranks(result) == [1, 3]
    assert result.refusal(50) is CandidateOutcome.OVER_TOTAL


def test_an_entry_that_exceeds_the_cap_of_its_type_is_left_out() -> None:
    """An entry that fits the total budget, but not its type's cap, gets the outcome "over type
    budget".
    """
    result = filled(plan(1000, {SEMANTIC: 50}), entries(SEMANTIC, 40, 40))
    assert ranks(result) == [1]
    assert result.refusal(40) is CandidateOutcome.OVER_TYPE_BUDGET


def test_the_best_entries_of_a_full_type_are_chosen() -> None:
    """If the entries of a type exceed the budget, those with the highest scores are chosen."""
    assert ranks(filled(plan(100), entries(SEMANTIC, *[30] * 5))) == [1, 2, 3]


def test_a_cap_holds_even_when_budget_is_left() -> None:
    """A memory type gets no more tokens than its cap, even if the total budget is not used up."""
    result = filled(plan(1000, {EPISODIC: 150}), entries(EPISODIC, *[50] * 10))
    assert result.used[EPISODIC] == 150


def test_a_cap_of_zero_leaves_the_type_out() -> None:
    """A memory type with cap 0 gets no tokens, and its share of the budget goes to other types."""
    result = filled(
        plan(1000, {EPISODIC: 0}), entries(EPISODIC, 10) + entries(SEMANTIC, *[100] * 10)
    )
    assert (result.used[EPISODIC], result.used[SEMANTIC]) == (0, 1000)


def test_a_type_outside_of_the_plan_gets_nothing() -> None:
    """A memory type that is not in the budget plan has no share, so the other types get the whole
    budget.
    """
    result = filled(BudgetPlan(400, (SEMANTIC,), {}), entries(SEMANTIC, *[100] * 9))
    assert result.used == {SEMANTIC: 400}


def test_headings_and_wrapper_count_towards_the_budget() -> None:
    """The tokens of the block's tags and of each heading are part of the budget.

    Entries of one day share a heading, which is counted once.
    """
    overheads = Overheads(10, dict.fromkeys(LONG_TERM, 5), {"mon": 3, "tue": 3})
    hits = [PlainEntry(day, EPISODIC, 20, day) for day in ("mon", "mon", "tue")]
    assert filled(plan(81), hits, overheads).used[EPISODIC] == 71
    assert ranks(filled(plan(80), hits, overheads)) == [1, 2]


def test_an_entry_larger_than_its_share_is_skipped_or_cut() -> None:
    """An entry larger than its memory type's share is skipped.

    With `oversize: "cut"`, it is shortened to half of the share.
    """
    hits = entries(SEMANTIC, 5000, 100)
    assert ranks(filled(plan(400), hits)) == [2]
    cut = filled(plan(400, oversize="cut"), hits)
    assert [(entry.rank, entry.allowed, entry.cut) for entry in cut.chosen] == [
        (1, 200, True),
        (2, 100, False),
    ]


def test_an_entry_is_not_cut_below_the_minimum() -> None:
    """An entry of which only a few tokens would fit is left out, even with `oversize: "cut"`."""
    assert ranks(filled(plan(40, oversize="cut"), entries(SEMANTIC, 5000))) == []


kinds = st.sampled_from(LONG_TERM)
days = st.sampled_from([None, "mon", "tue", "wed"])
entry_lists = st.tuples(
    st.lists(st.tuples(kinds, st.integers(1, 400), days), max_size=60),
    st.sampled_from([0.0, 0.003, 0.02]),
).map(
    lambda drawn: [
        PlainEntry(str(index), *row, score=0.5 - index * drawn[1])
        for index, row in enumerate(drawn[0])
    ]
)
plans = st.builds(
    BudgetPlan,
    st.one_of(st.integers(0, 60), st.integers(0, 9000)),
    st.lists(kinds, min_size=1, max_size=4, unique=True).map(tuple),
    st.dictionaries(kinds, st.integers(0, 3000)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["skip", "cut", "excerpt"]),
    st.integers(0, 400),
    keeps_shares=st.booleans(),
)
all_overheads = st.builds(
    Overheads,
    st.integers(0, 20),
    st.fixed_dictionaries({kind: st.integers(0, 9) for kind in LONG_TERM}),
    st.fixed_dictionaries({day: st.integers(0, 9) for day in ("mon", "tue", "wed")}),
)


@given(plans, entry_lists, all_overheads)
@settings(max_examples=400)
def test_no_limit_is_ever_exceeded(
    asked: BudgetPlan, hits: list[PlainEntry], overheads: Overheads
) -> None:
    """For any budget and entries, the tokens are within the total, each type's cap and each type's
    final share.
    """
    hits = [hit for hit in hits if hit.type in asked.types]
    result = filled(asked, hits, overheads)
    assert (
        sum(result.used.values()) + (overheads.wrapper if result.chosen else 0) <= asked.total
        or not result.chosen
    )
    assert all(result.used[kind] <= asked.caps.get(kind, asked.total) for kind in asked.types)
    assert sum(result.initial.values()) <= asked.total
    assert sum(result.shifted.values()) == sum(result.initial.values())
    assert sum(result.used.values()) <= asked.total
    recount = dict.fromkeys(asked.types, 0)
    for kind in asked.types:
        part = [entry for entry in result.chosen if entry.type is kind]
        groups = {group for entry in part if (group := hits[entry.rank - 1].group)}
        heading = overheads.headings[kind] if part else 0
        recount[kind] = (
            heading
            + sum(entry.allowed for entry in part)
            + sum(map(overheads.groups.__getitem__, groups))
        )
    assert recount == result.used


@given(plans, entry_lists, all_overheads)
@settings(max_examples=400)
def test_the_fast_fill_agrees_with_the_reference(
    asked: BudgetPlan, hits: list[PlainEntry], overheads: Overheads
) -> None:
    """The fast budget fill chooses the same entries with the same tokens as the slow reference
    `plain_fill`.
    """
    result = filled(asked, hits, overheads)
    chosen = [(hits[entry.rank - 1].id, entry.allowed) for entry in result.chosen]
    assert (chosen, result.used) == plain_fill(asked, hits, overheads)
    assert demand_window(asked, offers(hits)) == len(plain_window(asked, hits))
    assert all(entry.type is hits[entry.rank - 1].type for entry in result.chosen)
    assert all(
        entry.cut == (entry.allowed < hits[entry.rank - 1].tokens) for entry in result.chosen
    )


@given(plans.map(lambda asked: replace(asked, oversize="skip")), entry_lists, all_overheads)
@settings(max_examples=300)
def test_entries_that_were_not_chosen_do_not_fit_into_the_rest(
    asked: BudgetPlan, hits: list[PlainEntry], overheads: Overheads
) -> None:
    """An entry is left out only if it has more tokens than are left, or would exceed the cap of its
    type.
    """
    hits = [hit for hit in hits if hit.type in asked.types]
    result = filled(asked, hits, overheads)
    chosen = {entry.rank for entry in result.chosen}
    left = max(0, asked.total - overheads.wrapper) - sum(result.used.values())
    for rank, hit in enumerate(hits, 1):
        if rank not in chosen:
            part = [entry for entry in result.chosen if entry.type is hit.type]
            groups = {hits[entry.rank - 1].group for entry in part}
            overhead = (0 if part else overheads.headings[hit.type]) + (
                overheads.groups[hit.group] if hit.group and hit.group not in groups else 0
            )
            over_cap = result.used[hit.type] + hit.tokens + overhead > asked.caps.get(
                hit.type, asked.total
            )
            assert hit.tokens + overhead > left or over_cap


@given(plans.map(lambda asked: replace(asked, oversize="skip")), entry_lists, all_overheads)
@settings(max_examples=300)
def test_the_best_entry_that_fits_is_chosen(
    asked: BudgetPlan, hits: list[PlainEntry], overheads: Overheads
) -> None:
    """The best entry that fits both the total budget and its type's cap is chosen, even beyond its
    type's share.
    """
    hits = [hit for hit in hits if hit.type in asked.types]
    result = filled(asked, hits, overheads)
    for rank, hit in enumerate(hits, 1):
        alone = (
            hit.tokens
            + overheads.headings[hit.type]
            + (overheads.groups[hit.group] if hit.group else 0)
        )
        if alone <= min(asked.total - overheads.wrapper, asked.caps.get(hit.type, asked.total)):
            assert rank in ranks(result)
            break


def test_a_question_for_no_particular_type_gets_the_best_entries() -> None:
    hits = [PlainEntry(str(rank), PROCEDURAL if rank < 6 else SEMANTIC, 100) for rank in range(20)]
    assert ranks(filled(plan(800), hits)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert filled(plan(800), hits).used[PROCEDURAL] == 600


def test_a_memory_larger_than_its_types_share_is_shown() -> None:
    """The best hit, a task of 150 tokens, is shown although the share of tasks in the budget of 400
    is 50 tokens.
    """
    hits = [
        PlainEntry("task", PROSPECTIVE, 150),
        *entries(SEMANTIC, *[40] * 20),
        *entries(EPISODIC, *[40] * 20),
    ]
    assert ranks(filled(plan(400), hits))[0] == 1


def equally_relevant() -> list[PlainEntry]:
    """More entries of each type than fit, whose scores hardly differ; events score worst."""
    return by_score(
        scored(SEMANTIC, 200, 0.52, 0.40),
        scored(PROCEDURAL, 200, 0.55, 0.40),
        scored(PROSPECTIVE, 200, 0.51, 0.40),
        scored(EPISODIC, 200, 0.47, 0.40),
    )


@pytest.mark.parametrize("total", [4000, 8000])
def test_types_with_equally_relevant_entries_get_their_shares(total: int) -> None:
    result = filled(sharing(total), equally_relevant())
    for kind, share in SHARES.items():
        assert result.used[kind] / sum(result.used.values()) == pytest.approx(share, abs=0.03)


def test_a_question_for_a_how_to_moves_500_of_8000_tokens_to_procedures() -> None:
    neutral = filled(sharing(8000), equally_relevant())
    how_to = filled(sharing(8000, how_to=True), equally_relevant())
    assert how_to.shifts == {EPISODIC: -500, PROCEDURAL: 500}
    assert how_to.used[PROCEDURAL] - neutral.used[PROCEDURAL] == pytest.approx(500, abs=40)
    assert neutral.used[EPISODIC] - how_to.used[EPISODIC] == pytest.approx(500, abs=40)


def test_a_question_about_tasks_moves_500_of_8000_tokens_to_tasks() -> None:
    neutral = filled(sharing(8000), equally_relevant())
    about_tasks = filled(sharing(8000, tasks=True), equally_relevant())
    assert about_tasks.used[PROSPECTIVE] - neutral.used[PROSPECTIVE] == pytest.approx(500, abs=40)


def test_better_entries_take_the_shares_of_worse_ones() -> None:
    hits = by_score(scored(SEMANTIC, 200, 0.6, 0.5), scored(EPISODIC, 200, 0.3, 0.2))
    result = filled(sharing(4000), hits)
    assert (result.used[SEMANTIC], result.used[EPISODIC]) == (4000, 0)
    assert result.handed_on == {
        SEMANTIC: 2500,
        EPISODIC: -1000,
        PROSPECTIVE: -500,
        PROCEDURAL: -1000,
    }


@given(
    plans.map(lambda asked: replace(asked, task_like=False, how_to=False, due_tokens=0)),
    entry_lists,
    all_overheads,
)
@settings(max_examples=200)
def test_the_weighed_and_chosen_offers_alone_give_the_same_fill(
    asked: BudgetPlan, hits: list[PlainEntry], overheads: Overheads
) -> None:
    """A receipt lists no others, and is verified with those that it lists."""
    result = filled(asked, hits, overheads)
    listed = {*result.weighed, *ranks(result), *result.repeats}
    again = fill(asked, [offer for offer in offers(hits) if offer.rank in listed], overheads)
    assert (again.chosen, again.used, again.weighed) == (
        result.chosen,
        result.used,
        result.weighed,
    )


def test_a_type_that_ranks_far_behind_has_no_reserved_share() -> None:
    hits = entries(EPISODIC, *[100] * 40) + entries(SEMANTIC, *[100] * 40)
    far = filled(plan(1000), hits)
    assert (far.used[EPISODIC], far.used[SEMANTIC]) == (1000, 0)
    mixed = filled(
        plan(1000), [hit for pair in zip(hits[:40], hits[40:], strict=True) for hit in pair]
    )
    assert mixed.used[SEMANTIC] == mixed.used[EPISODIC] == 500


def test_entries_that_cannot_be_shown_do_not_fill_the_demand_window() -> None:
    """An entry counts with at most its type's cap in the demand window, so entries of a type with
    cap 0 do not fill it.

    The demand window has the best entries, whose types decide how the budget is shared.
    """
    hits = entries(EPISODIC, *[100] * 40) + entries(SEMANTIC, *[100] * 40)
    assert demand_window(plan(1000, {EPISODIC: 0}), offers(hits)) == 40 + DEMAND_WINDOW * 10
    assert demand_window(plan(1000), offers(entries(EPISODIC, *[100_000] * 9))) == DEMAND_WINDOW
    assert demand_window(plan(0), offers(hits)) == 0


@pytest.mark.parametrize("total", [500, 1000, 4000, 8000])
def test_utilization_is_high_with_enough_candidates(total: int) -> None:
    """With enough events of ordinary length, at least 95 % of a budget of 500 tokens or more is
    used.
    """
    hits = entries(EPISODIC, *[20 + (7 * number) % 45 for number in range(400)])
    assert filled(plan(total), hits).used[EPISODIC] >= 0.95 * total


@given(st.lists(st.integers(1, 3_000), max_size=40), st.integers(0, 3_000))
def test_working_items_share_their_budget(sizes: list[int], total: int) -> None:
    """The entries of working items never exceed the budget of working memory.

    If it has room for an excerpt of each item, no item is left out. If it has room for all whole
    items, none is cut.
    """
    working = MemoryType.WORKING
    rows = [Offer(rank, working, tokens) for rank, tokens in enumerate(sizes, 1)]
    asked = BudgetPlan(total, (working,), {working: total}, oversize="excerpt")
    result = fill(asked, rows, Overheads(2, {working: 3}))
    needed = sum(entry.allowed for entry in result.chosen)
    assert needed + 5 <= total or not result.chosen
    if sum(min(tokens, MIN_EXCERPT) for tokens in sizes) + 5 <= total:
        assert len(result.chosen) == len(sizes)
    assert any(entry.cut for entry in result.chosen) <= (sum(sizes) + 5 > total)


def test_a_large_budget_counts_the_demand_of_some_entries_only() -> None:
    many = offers(entries(EPISODIC, *[10] * (2 * MAX_DEMAND_WINDOW)))
    assert demand_window(plan(8000), many) == MAX_DEMAND_WINDOW


def sentences(tokens: int, message: int) -> PlainEntry:
    """A fact that is a sentence of the entry of rank `message`."""
    return PlainEntry("sentence", SEMANTIC, tokens, None, message)


def test_a_sentence_of_a_chosen_message_is_a_repeat() -> None:
    result = filled(plan(100), [PlainEntry("message", EPISODIC, 60), sentences(20, 1)])
    assert (ranks(result), result.repeats) == ([1], {2: 1})


def test_a_message_replaces_its_sentences_and_frees_their_tokens() -> None:
    """The tokens of replaced sentences are free for later entries, and so are their headings."""
    overheads = Overheads(0, dict.fromkeys(LONG_TERM, 5))
    hits = [
        sentences(20, 3),
        sentences(20, 3),
        PlainEntry("message", EPISODIC, 50),
        PlainEntry("other", EPISODIC, 40),
    ]
    result = filled(plan(100), hits, overheads)
    assert (ranks(result), result.repeats) == ([3, 4], {1: 3, 2: 3})
    assert result.used == {**dict.fromkeys(LONG_TERM, 0), EPISODIC: 95}


def test_a_cut_message_does_not_replace_its_sentences() -> None:
    hits = [PlainEntry("message", EPISODIC, 5000), sentences(20, 1)]
    result = filled(plan(400, oversize="cut"), hits)
    assert (ranks(result), result.repeats) == ([1, 2], {})


def test_a_sentence_is_shown_if_its_message_does_not_fit() -> None:
    result = filled(plan(100), [sentences(20, 2), PlainEntry("message", EPISODIC, 90)])
    assert (ranks(result), result.repeats) == ([1], {})
