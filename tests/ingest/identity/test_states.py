"""States of linked memories: what replaces, contests and gives way to what."""

from __future__ import annotations

from datetime import timedelta
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
    """Facts that begin a day after each other, the last one now."""
    begins = [NOW - DAY * (count - 1 - number) for number in range(count)]
    return [
        make_memory(MemoryType.SEMANTIC, f"the port is {number}", valid_from=begin, created_at=begin, **fields)
        for number, begin in enumerate(begins)
    ]


def known(memories: list[Memory]) -> States:
    """States in which all of `memories` are known and none has changed."""
    return States(NOW, {memory.id: memory for memory in memories})


def chain(count: int) -> tuple[States, list[str]]:
    """Facts each of which replaces the one before, and their ids."""
    memories = facts(count)
    states, ids = known(memories), [memory.id for memory in memories]
    for old, newer in pairwise(ids):
        states.replace(old, newer, "another value")
    states.settle()
    return states, ids


def shown(states: States, ids: list[str]) -> list[State]:
    """The states of these memories now."""
    return [states.memories[memory_id].at(NOW).state for memory_id in ids]


def test_a_replaced_memory_has_its_end_its_successor_and_the_reason() -> None:
    """The newer one is linked to it and stays current."""
    states, (old, new) = chain(2)
    before, after = states.memories[old], states.memories[new]
    assert (before.valid_to, before.superseded_by, before.state) == (after.valid_from, new, State.REPLACED)
    assert before.state_reason == "another value"
    assert (after.state, after.links) == (State.CURRENT, [Link(to=old, type=LinkType.CONTRADICTS)])


@given(st.sets(st.integers(0, 4)))
def test_the_first_remaining_successor_replaces(removed: set[int]) -> None:
    """Whatever is deleted of a chain: each remaining memory is replaced by the next one that remains."""
    states, ids = chain(5)
    states.gone |= {ids[place] for place in removed}
    states.settle()
    remaining = [ids[place] for place in range(5) if place not in removed]
    for place, memory_id in enumerate(remaining):
        following = remaining[place + 1] if place + 1 < len(remaining) else None
        memory = states.memories[memory_id]
        assert memory.superseded_by == following
        assert memory.state is (State.CURRENT if following is None else State.REPLACED)
        assert memory.valid_to == (None if following is None else states.memories[following].valid_from)
        assert all(link.to in remaining for link in memory.links)


def test_contested_memories_are_linked_both_ways() -> None:
    """When one goes, the other is current and has no link left."""
    memories = facts(2)
    states, (first, second) = known(memories), [memory.id for memory in memories]
    states.contest(first, second, "perhaps another value", 0.4)
    states.settle()
    assert shown(states, [first, second]) == [State.CONTESTED] * 2
    assert states.memories[first].links == [Link(to=second, type=LinkType.CONTRADICTS, strength=0.4)]
    states.gone.add(second)
    states.settle()
    assert (states.memories[first].state, states.memories[first].links) == (State.CURRENT, [])


def test_a_memory_is_no_longer_contested_by_one_that_is_replaced() -> None:
    """It is contested again when that one comes back."""
    memories = facts(3)
    states, (first, second, third) = known(memories), [memory.id for memory in memories]
    states.contest(first, second, None)
    states.replace(second, third, None)
    states.settle()
    assert shown(states, [first, second, third]) == [State.CURRENT, State.REPLACED, State.CURRENT]
    states.gone.add(third)
    states.settle()
    assert shown(states, [first, second]) == [State.CONTESTED] * 2


def test_what_is_brought_back_is_contested_with_what_is_current() -> None:
    """Also where its direct successor has been replaced in turn."""
    states, (first, second, third) = chain(3)
    states.bring_back(first, "restored")
    states.settle()
    assert shown(states, [first, second, third]) == [State.CONTESTED, State.REPLACED, State.CONTESTED]


def test_a_memory_is_current_again_when_its_successor_expires() -> None:
    """No write is needed at that time; if the successor was replaced in turn, its successor counts too."""
    memories = facts(2)
    memories[1] = memories[1].replace(expires_at=NOW + DAY)
    states, (old, new) = known(memories), [memory.id for memory in memories]
    states.replace(old, new, None)
    states.settle()
    assert [states.memories[old].at(NOW + DAY * days).state for days in (0, 1)] == [State.REPLACED, State.CURRENT]
    lasting = make_memory(MemoryType.SEMANTIC, "the port is 9")
    states.know([lasting.id], {lasting.id: lasting})
    states.replace(new, lasting.id, None)
    states.settle()
    assert states.memories[old].at(NOW + DAY).state is State.REPLACED


def test_a_successor_that_lost_its_link_replaces_nothing() -> None:
    """Nor does it contest what it had replaced."""
    states, (old, new) = chain(2)
    states.part(new, [old])
    states.settle()
    assert shown(states, [old, new]) == [State.CURRENT] * 2


def test_nothing_is_replaced_without_room_for_the_link() -> None:
    """Such a replacement could not be undone."""
    links = [Link(to=f"m{number}", type=LinkType.EXTENDS) for number in range(MAX_LINKS)]
    old, new = facts(2)
    states = known([old, new.replace(links=links)])
    assert not states.replace(old.id, new.id, None)
    assert not states.contest(old.id, new.id, None)
    assert not states.changed


def test_a_state_waits_for_the_memories_that_it_depends_on() -> None:
    """They are asked for; what is not stored is gone."""
    states, (first, second) = chain(2)
    alone = States(NOW, {second: states.memories[second].replace(superseded_by="unknown")}, {second})
    alone.settle()
    assert alone.needed() == {first, "unknown"}
    alone.know(alone.needed(), {first: states.memories[first]})
    alone.settle()
    assert not alone.needed()
    assert shown(alone, [first, second]) == [State.REPLACED, State.CURRENT]


@pytest.mark.parametrize("days", [-1, 1])
def test_an_end_without_successor_is_an_end(days: int) -> None:
    """Past, the memory is replaced and what it had replaced is back; still ahead, it covers that until then."""
    states, (old, new) = chain(2)
    states.memories[new] = states.memories[new].replace(valid_to=NOW + DAY * days)
    states.changed.add(new)
    states.settle()
    at_end = [states.memories[memory_id].at(NOW + DAY * max(0, days)).state for memory_id in (old, new)]
    assert at_end == [State.CURRENT, State.REPLACED]
    assert states.memories[old].at(NOW).state is (State.CURRENT if days < 0 else State.REPLACED)
