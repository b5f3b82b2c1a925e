"""The plan of a write: what arriving memories do to stored ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.identity.duplicates import SAME_CONTENT, SAME_WORDING
from ingest.identity.plan import Arriving, Plan, plan
from ingest.identity.stored import Neighbour, Stored
from memtypes.model.errors import Conflict
from memtypes.model.memory import CURRENT_AGAIN, Link, LinkType, Memory, State, TokenCount
from memtypes.model.policy import MemoryType
from memtypes.model.prospective import Status
from memtypes.model.types import from_payload
from tests.builders import NOW, make_dense, make_memory

VECTOR = make_dense(7)
TOMORROW = NOW + timedelta(days=1)
THINGS = ("gateway", "proxy", "ledger", "cache")


def count(memory: Memory) -> TokenCount:
    """Counts characters."""
    return TokenCount(count=len(memory.content), tokenizer="chars")


def fact(content: str, hours: int = 0, **fields: object) -> Memory:
    """A fact that was stated `hours` after NOW."""
    at = NOW + timedelta(hours=hours)
    return make_memory(
        MemoryType.SEMANTIC, content, created_at=at, updated_at=at, valid_from=at, **fields
    )


def port(number: int, thing: str = "gateway", hours: int = 0, **fields: object) -> Memory:
    """A fact about the port of `thing`."""
    return fact(f"The {thing} listens on port {number}", hours, **fields)


def stored_with(*memories: Memory, arriving: Sequence[Memory] = ()) -> Stored:
    """What a read of `memories` gives: all of them are neighbours of every arriving memory."""
    ids = {memory.id for memory in memories}
    absent = frozenset(memory.id for memory in arriving if memory.id not in ids)
    near = [Neighbour(memory.at(NOW), 0.9) for memory in memories]
    return Stored({memory.id: memory for memory in memories}, absent, [near for _ in arriving])


def plan_of(arriving: Sequence[Memory], *memories: Memory) -> Plan:
    """The plan for writing `arriving` when `memories` are stored, after reading what is missing."""
    entries = [Arriving(memory, VECTOR) for memory in arriving]
    stored = stored_with(*memories, arriving=arriving)
    made = plan(stored, entries, TOMORROW, count)
    while made.missing:
        stored = stored.with_found(made.missing, {})
        made = plan(stored, entries, TOMORROW, count)
    return made


def after(made: Plan, *memories: Memory) -> dict[str, Memory]:
    """The memories after the plan is carried out, by id."""
    written = {**{memory.id: memory for memory in memories}, **made.inserts}
    for memory_id, fields in made.patches.items():
        written[memory_id] = from_payload({**written[memory_id].to_payload(), **fields})
    return written


FACTS = st.builds(port, st.integers(1, 4), st.sampled_from(THINGS), st.integers(0, 3))
TASKS = st.builds(
    lambda text, status: make_memory(MemoryType.PROSPECTIVE, text, status=status),
    st.sampled_from(["Order labels", "order labels.", "Call Ann"]),
    st.sampled_from([Status.PENDING, Status.COMPLETED]),
)
EVENTS = st.builds(
    lambda text: make_memory(MemoryType.EPISODIC, text),
    st.sampled_from(["We moved the gateway to port 3", "It rained", "It rained!"]),
)
BATCHES = st.lists(st.one_of(FACTS, TASKS, EVENTS), max_size=8)


def consistent(memories: dict[str, Memory]) -> bool:
    """Whether all links between facts lead both ways, and no replaced fact lacks its successor."""
    return all(
        memory.superseded_by is None or memory.superseded_by in memories
        for memory in memories.values()
    )


@given(BATCHES, BATCHES)
def test_every_arriving_memory_is_stored_or_merged_and_no_text_is_lost(
    before: list[Memory], arriving: list[Memory]
) -> None:
    """Each arriving memory ends as an insert or in a memory that says the same. A stored memory
    that is in no change stays as it is, and a changed one keeps its text.
    """
    memories = after(plan_of(before))
    made = plan_of(arriving, *memories.values())
    written = after(made, *memories.values())
    assert len(made.writes) == len(arriving)
    for planned, memory in zip(made.writes, arriving, strict=True):
        target = written[planned.id]
        texts = {target.content, *(wording.content for wording in target.rewordings)}
        assert memory.content in texts
        assert (planned.merged is None) == (planned.id in made.inserts and planned.changed == ())
    for memory_id, memory in memories.items():
        if memory_id not in made.inserts:
            assert written[memory_id].content == memory.content
        if memory_id not in made.patches.keys() | made.inserts.keys():
            assert written[memory_id] == memory
    assert consistent(written)


@given(BATCHES, BATCHES)
def test_the_same_input_gives_the_same_plan(before: list[Memory], arriving: list[Memory]) -> None:
    memories = after(plan_of(before)).values()
    assert plan_of(arriving, *memories) == plan_of(arriving, *memories)


@given(st.permutations(THINGS))
def test_the_order_of_unrelated_memories_does_not_matter(order: list[str]) -> None:
    """A batch of facts about different things has the same effect in every order."""
    memories = [port(1, thing) for thing in THINGS]
    arriving = {thing: port(2, thing, hours=1) for thing in THINGS}
    expected = after(plan_of(list(arriving.values()), *memories), *memories)
    made = plan_of([arriving[thing] for thing in order], *memories)
    assert after(made, *memories) == expected
    assert all(expected[old.id].state is State.REPLACED for old in memories)


@given(BATCHES)
def test_a_batch_that_is_written_again_stores_nothing_new(arriving: list[Memory]) -> None:
    memories = after(plan_of(arriving))
    again = plan_of(arriving, *memories.values())
    assert again.inserts.keys() <= memories.keys()


def test_the_last_of_contradicting_statements_holds() -> None:
    """If a value returns within a batch (A, B, A), the third statement is a new memory, which
    holds.
    """
    first, second = port(1), port(2, hours=1)
    made = plan_of([first, second, port(1, hours=2)])
    written = after(made)
    current = [memory for memory in written.values() if memory.superseded_by is None]
    assert [memory.content for memory in current] == [first.content]
    assert len(written) == 3


def test_a_value_that_returned_before_is_merged_into_the_memory_that_holds() -> None:
    memories = after(plan_of([port(1), port(2, hours=1), port(1, hours=2)]))
    (holding,) = (memory for memory in memories.values() if memory.superseded_by is None)
    made = plan_of([port(1, hours=3)], *memories.values())
    assert (made.inserts, [planned.id for planned in made.writes]) == ({}, [holding.id])


def test_a_rewording_is_merged_into_a_memory_of_the_same_write() -> None:
    made = plan_of([fact("The tea is green."), fact("the TEA is  green")])
    assert [planned.merged for planned in made.writes] == [None, SAME_WORDING]
    assert len(made.inserts) == 1


def test_a_repetition_needs_no_vector() -> None:
    memory = port(1)
    stored = stored_with(memory, arriving=[memory])
    made = plan(stored, [Arriving(memory)], NOW, count)
    assert (made.writes[0].merged, made.unembedded) == (SAME_CONTENT, ())


def test_a_new_memory_without_a_vector_must_be_embedded_first() -> None:
    memory = port(1)
    made = plan(stored_with(arriving=[memory]), [Arriving(memory)], NOW, count)
    assert (made.unembedded, made.writes) == ((0,), ())


def test_a_memory_that_was_not_read_is_missing() -> None:
    """A plan names the ids that it needs: of the arriving memory, and of what a change affects."""
    memory = port(1)
    assert plan(Stored(), [Arriving(memory, VECTOR)], NOW, count).missing == {memory.id}
    other = port(3, "proxy")
    linked = port(2, links=[Link(to=other.id, type=LinkType.CONTRADICTS)])
    newer = port(4, hours=1)
    stored = stored_with(linked, arriving=[newer])
    assert plan(stored, [Arriving(newer, VECTOR)], TOMORROW, count).missing == {other.id}


def test_an_interrupted_replacement_is_completed_by_a_repetition() -> None:
    """A new fact was stored, and the process died before the old one was ended."""
    old, new = port(1), port(2, hours=1)
    written = after(plan_of([new], old), old)
    interrupted = [old, written[new.id]]
    made = plan_of([new], *interrupted)
    completed = after(made, *interrupted)[old.id]
    assert (completed.superseded_by, completed.valid_to) == (new.id, new.valid_from)


def test_the_text_of_an_ended_memory_is_stored_in_its_place() -> None:
    """An expired fact that is stated again keeps its id and its evidence."""
    expired = port(1, expires_at=NOW + timedelta(hours=1))
    made = plan_of([port(1, hours=5)], expired)
    (renewed,) = made.inserts.values()
    assert (renewed.id, renewed.evidence_count) == (expired.id, 2)
    assert all(getattr(renewed, name) == value for name, value in CURRENT_AGAIN.items())


def test_a_statement_whose_ids_are_all_taken_is_refused() -> None:
    """Sixteen edited memories have the ids that the statement could have."""
    statement = port(1)
    taken: list[Memory] = []
    while len(taken) < 20:
        try:
            made = plan_of([statement], *taken)
        except Conflict:
            break
        (inserted,) = made.inserts.values()
        other = port(100 + len(taken), THINGS[len(taken) % 4])
        taken.append(other.model_copy(update={"id": inserted.id}))
    assert len(taken) == 15
    with pytest.raises(Conflict):
        plan_of([statement], *taken)
