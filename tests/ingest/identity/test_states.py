"""States of linked memories: which memories are current, replaced or contested, and by which
others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.states import States
from memtypes.model.memory import MAX_LINKS, Link, LinkType, Memory, State
from memtypes.model.policy import MemoryType
from tests.builders import NOW, make_memory

DAY = timedelta(days=1)


def facts(count: int, **fields: object) -> list[Memory]:
    """Facts without links. Each becomes valid a day after the one before, and the last one at
    NOW.
    """
    begins = [NOW - DAY * (count - 1 - number) for number in range(count)]
    return [
        make_memory(
            MemoryType.SEMANTIC,
            f"the port is {number}",
            valid_from=begin,
            created_at=begin,
            **fields,
        )
        for number, begin in enumerate(begins)
    ]


def states_of(memories: list[Memory]) -> States:
    """A `States` object with `memories` and no changes."""
    return States(NOW, {memory.id: memory for memory in memories})


def chain(count: int) -> tuple[States, list[str]]:
    """The states of `count` facts of which each replaces the one before, and the ids of the facts,
    oldest first.
    """
    memories = facts(count)
    states = states_of(memories)
    ids = [memory.id for memory in memories]
    for old, newer in pairwise(ids):
        states.replace(old, newer, "another value")
    states.recompute()
    return states, ids


def current_states(states: States, ids: list[str]) -> list[State]:
    """The states that the memories with these ids have at NOW."""
    return [states.memories[memory_id].at(NOW).state for memory_id in ids]


def test_a_replaced_memory_has_its_end_its_successor_and_the_reason() -> None:
    states, (old, new) = chain(2)
    before = states.memories[old]
    after = states.memories[new]
    assert (before.valid_to, before.superseded_by, before.state) == (
        after.valid_from,
        new,
        State.REPLACED,
    )
    assert before.state_reason == "another value"
    assert (after.state, after.links) == (State.CURRENT, [Link(to=old, type=LinkType.CONTRADICTS)])


@given(st.sets(st.integers(0, 4)))
def test_a_memory_is_replaced_by_its_first_remaining_successor(removed: set[int]) -> None:
    """In a chain of facts each replaces the one before.

    If some are deleted, each is replaced by the next remaining one.
    """
    states, ids = chain(5)
    states.deleted |= {ids[index] for index in removed}
    states.recompute()
    remaining = [ids[index] for index in range(5) if index not in removed]
    for index, memory_id in enumerate(remaining):
        following = remaining[index + 1] if index + 1 < len(remaining) else None
        memory = states.memories[memory_id]
        assert memory.superseded_by == following
        assert memory.state is (State.CURRENT if following is None else State.REPLACED)
        assert memory.valid_to == (
            None if following is None else states.memories[following].valid_from
        )
        assert all(link.to in remaining for link in memory.links)


def test_contested_memories_are_linked_both_ways() -> None:
    """If two memories contest each other (it is open which is true), each links to the other.

    If one is deleted, the other is current and has no link left.
    """
    memories = facts(2)
    states = states_of(memories)
    (first, second) = [memory.id for memory in memories]
    states.contest(first, second, "perhaps another value", 0.4)
    states.recompute()
    assert current_states(states, [first, second]) == [State.CONTESTED] * 2
    assert states.memories[first].links == [
        Link(to=second, type=LinkType.CONTRADICTS, strength=0.4)
    ]
    states.deleted.add(second)
    states.recompute()
    assert (states.memories[first].state, states.memories[first].links) == (State.CURRENT, [])


def test_a_memory_is_no_longer_contested_by_one_that_is_replaced() -> None:
    """If one of two memories that contest each other is replaced by a third, the other is current.

    If the third is deleted, the first two contest each other again.
    """
    memories = facts(3)
    states = states_of(memories)
    (first, second, third) = [memory.id for memory in memories]
    states.contest(first, second, None)
    states.replace(second, third, None)
    states.recompute()
    assert current_states(states, [first, second, third]) == [
        State.CURRENT,
        State.REPLACED,
        State.CURRENT,
    ]
    states.deleted.add(third)
    states.recompute()
    assert current_states(states, [first, second]) == [State.CONTESTED] * 2


def test_neither_memory_of_a_pair_is_contested_after_one_has_expired() -> None:
    memories = facts(2)
    states = states_of(memories)
    ids = [memory.id for memory in memories]
    states.contest(ids[0], ids[1], "perhaps")
    remove(states, "expire", ids[0])
    states.recompute()
    assert current_states(states, ids) == [State.CURRENT, State.CURRENT]


def test_a_restored_memory_is_contested_with_the_current_one() -> None:
    """Of three facts each replaces the one before. If the first is restored, it and the third
    contest each other.
    """
    states, (first, second, third) = chain(3)
    states.bring_back(first, "restored")
    states.recompute()
    assert current_states(states, [first, second, third]) == [
        State.CONTESTED,
        State.REPLACED,
        State.CONTESTED,
    ]


def test_a_memory_is_current_again_when_its_successor_expires() -> None:
    """If the fact that replaced a memory expires, the memory is current again without a write.

    If a third fact had replaced the expired one, the memory stays replaced.
    """
    memories = facts(2)
    memories[1] = memories[1].replace(expires_at=NOW + DAY)
    states = states_of(memories)
    (old, new) = [memory.id for memory in memories]
    states.replace(old, new, None)
    states.recompute()
    assert [states.memories[old].at(NOW + DAY * days).state for days in (0, 1)] == [
        State.REPLACED,
        State.CURRENT,
    ]
    lasting = make_memory(MemoryType.SEMANTIC, "the port is 9")
    states.add_loaded([lasting.id], {lasting.id: lasting})
    states.replace(new, lasting.id, None)
    states.recompute()
    assert states.memories[old].at(NOW + DAY).state is State.REPLACED


def test_a_newer_fact_without_its_link_replaces_nothing() -> None:
    states, (old, new) = chain(2)
    states.unlink(new, [old])
    states.recompute()
    assert current_states(states, [old, new]) == [State.CURRENT] * 2


def test_one_of_three_memories_that_replace_each_other_in_a_circle_is_current() -> None:
    states, ids = chain(3)
    states.replace(ids[2], ids[0], "another value")
    states.recompute()
    assert current_states(states, ids).count(State.REPLACED) == 2


def test_a_contradicts_link_of_one_memory_makes_both_contested() -> None:
    for linking in (0, 1):
        memories = facts(2)
        link = Link(to=memories[1 - linking].id, type=LinkType.CONTRADICTS)
        contested = {
            "links": [link],
            "dated": True,
            "state": State.CONTESTED,
            "state_reason": "said so",
        }
        memories[linking] = memories[linking].replace(**contested)
        states = states_of(memories)
        states.changed |= {memory.id for memory in memories}
        states.recompute()
        assert current_states(states, [memory.id for memory in memories]) == [State.CONTESTED] * 2


def test_a_memory_with_the_maximum_of_links_replaces_nothing() -> None:
    links = [Link(to=f"m{number}", type=LinkType.EXTENDS) for number in range(MAX_LINKS)]
    old, new = facts(2)
    states = states_of([old, new.replace(links=links)])
    states.replace(old.id, new.id, None)
    states.contest(old.id, new.id, None)
    assert not states.changed


def test_a_state_is_computed_once_the_memories_it_depends_on_are_loaded() -> None:
    """States are computed once the memories in `needed()` are read.

    One that the store does not have counts as deleted.
    """
    states, (first, second) = chain(2)
    incomplete = States(
        NOW, {second: states.memories[second].replace(superseded_by="unknown")}, {second}
    )
    incomplete.recompute()
    assert incomplete.needed() == {first, "unknown"}
    incomplete.add_loaded(incomplete.needed(), {first: states.memories[first]})
    incomplete.recompute()
    assert not incomplete.needed()
    assert current_states(incomplete, [first, second]) == [State.REPLACED, State.CURRENT]


@pytest.mark.parametrize("days", [-1, 1])
def test_a_memory_is_current_again_when_its_successor_has_ended(days: int) -> None:
    states, (old, new) = chain(2)
    states.memories[new] = states.memories[new].replace(valid_to=NOW + DAY * days)
    states.changed.add(new)
    states.recompute()
    at_end = [
        states.memories[memory_id].at(NOW + DAY * max(0, days)).state for memory_id in (old, new)
    ]
    assert at_end == [State.CURRENT, State.REPLACED]
    assert states.memories[old].at(NOW).state is (State.CURRENT if days < 0 else State.REPLACED)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["replace", "contest", "restore", "delete", "unlink", "end", "expire", "expire later"]
        ),
        st.integers(0, 4),
        st.integers(0, 4),
    ),
    max_size=12,
)


def apply(states: States, step: str, first: str, second: str) -> None:
    """Apply one change to the states, such as "replace" or "contest", unless these memories do not
    allow it.
    """
    existing = states.memories.keys() - states.deleted
    if first not in existing or second not in existing:
        return
    in_view = {
        memory_id
        for memory_id in existing
        if states.memories[memory_id].at(NOW).state is not State.REPLACED
    }
    in_view_both = first != second and {first, second} <= in_view
    match step:
        case "replace" if in_view_both:
            states.replace(first, second, "another value")
        case "contest" if in_view_both:
            states.contest(first, second, "perhaps")
        case "restore" if first not in in_view:
            states.bring_back(first, "restored")
        case "unlink" if first != second:
            states.unlink(first, [second])
        case _:
            remove(states, step, first)


def remove(states: States, step: str, memory_id: str) -> None:
    """Delete, end or expire the memory with this id. step: "delete", "end", "expire" or "expire
    later" (in a day).
    """
    memory = states.memories[memory_id]
    if step == "delete":
        states.deleted.add(memory_id)
    elif step == "end" and memory.at(NOW).state is not State.REPLACED:
        states.end(memory_id, NOW)
    elif step.startswith("expire"):
        ends = NOW + DAY if step == "expire later" else NOW
        states.memories[memory_id] = memory.replace(expires_at=ends)
        states.changed.add(memory_id)


@given(STEPS, st.integers(0, 1))
def test_replaced_memories_have_a_visible_successor_after_any_changes(
    steps: list[tuple[str, int, int]], days: int
) -> None:
    """After any changes, each replaced memory has a visible memory among those that replaced it.

    A visible memory is contested if and only if another visible one contradicts it. After an expiry
    this holds from the next write on.
    """
    memories = facts(5)
    states = states_of(memories)
    ids = [memory.id for memory in memories]
    for step, first, second in steps:
        apply(states, step, ids[first], ids[second])
        states.recompute()
        assert not states.needed()
    at = NOW + DAY * days
    left = {
        memory_id: states.memories[memory_id]
        for memory_id in ids
        if memory_id not in states.deleted
    }
    assert_replaced_memories_have_a_visible_successor(left, at)
    mended = States(at, stale=set(left))
    mended.add_loaded(left, left)
    mended.recompute()
    assert_replaced_memories_have_a_visible_successor(mended.memories, at)
    visible = in_view(mended.memories, at)
    for memory_id, memory in mended.memories.items():
        links = {link.to for link in memory.links if link.type is LinkType.CONTRADICTS}
        assert links <= left.keys()
        rivals = {other for other in links & visible if memory_id in _ends(mended.memories[other])}
        if memory_id in visible:
            assert (memory.at(at).state is State.CONTESTED) is bool(rivals)
    if days == 0:
        assert not mended.changed


def in_view(memories: Mapping[str, Memory], at: datetime) -> set[str]:
    """Ids of the memories that are neither replaced nor expired at the time `at`."""
    return {
        memory_id
        for memory_id, memory in memories.items()
        if memory.at(at).state is not State.REPLACED
        and (memory.expires_at is None or memory.expires_at > at)
    }


def assert_replaced_memories_have_a_visible_successor(
    memories: Mapping[str, Memory], at: datetime
) -> None:
    """Check that each replaced memory has a visible memory among those that replaced it, directly
    or through others.
    """
    memories_then = {memory_id: memory.at(at) for memory_id, memory in memories.items()}
    visible = in_view(memories, at)
    for memory in memories_then.values():
        if memory.superseded_by is not None:
            assert memory.state is State.REPLACED
            assert visible & set(_following(memories_then, memory))


def _ends(memory: Memory) -> set[str]:
    return {link.to for link in memory.links}


def _following(memories: dict[str, Memory], memory: Memory) -> list[str]:
    """Ids of the memories that replaced `memory`, directly or through others."""
    chain: list[str] = []
    while memory.superseded_by is not None and memory.superseded_by not in chain:
        chain.append(memory.superseded_by)
        memory = memories[memory.superseded_by]
    return chain
