"""The conversation context of a turn: the earlier turns with which it is embedded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.conversation_context import (
    TURNS_BEFORE,
    ConversationContext,
    by_position,
    in_context_everywhere,
    position_of,
    positions_after,
    positions_before,
    turns_before,
)
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.search.vectors import InContext
from tests.builders import DIMENSIONS, SCOPE, make_memory, make_record
from tests.fakes_memories import InMemoryStore

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def turn(number: int, session: str | None = "s1", scope: Scope = SCOPE, **fields: object) -> Memory:
    """The event with the sequence number `number` in a session."""
    memory = make_memory(MemoryType.EPISODIC, f"turn {number} of {session}", scope)
    position = {
        "session_id": session,
        "seq": number,
        "created_at": START + timedelta(seconds=number),
    }
    return memory.model_copy(update={**position, **fields})


def facts(*numbers: int) -> list[Memory]:
    """Facts of session s1 with these sequence numbers."""
    return [
        make_memory(MemoryType.SEMANTIC, f"fact {number}").model_copy(
            update={"session_id": "s1", "seq": number}
        )
        for number in numbers
    ]


@given(st.lists(st.integers(0, 30), unique=True), st.integers(0, 30))
def test_positions_before_and_after_are_symmetric(numbers: list[int], other: int) -> None:
    """Turn A is in the context of turn B if and only if `positions_after(A)` contains the position
    of B.
    """
    for number in numbers:
        is_before = position_of(turn(other)) in positions_before(turn(number))
        assert is_before == (position_of(turn(number)) in positions_after(turn(other)))
        assert is_before == (0 < number - other <= TURNS_BEFORE)


def test_the_context_is_the_two_turns_before() -> None:
    """A turn's context is the turns with the two sequence numbers before its own, oldest first.

    Turns further back, later turns and turns of other sessions are left out.
    """
    turns = dict(by_position([turn(1), turn(2), turn(3), turn(5), turn(3, "s2")]))
    assert turns_before(turn(4), turns) == (turn(2), turn(3))
    assert turns_before(turn(5), turns) == (turn(3),)
    assert turns_before(turn(9), turns) == ()


def test_facts_and_turns_without_session_have_no_context() -> None:
    assert not [
        position
        for memory in [*facts(1, 2), turn(3, None)]
        for position in positions_before(memory)
    ]
    assert dict(by_position([*facts(1, 2), turn(3, None)])) == {}


def test_private_turns_are_no_context_for_public_ones() -> None:
    private = turn(1, visibility=Visibility.SESSION)
    turns = dict(by_position([private, turn(2)]))
    assert turns_before(turn(3), turns) == (turn(2),)
    assert turns_before(turn(3, visibility=Visibility.SESSION), turns) == (private, turn(2))


@pytest.mark.anyio
async def test_context_is_looked_up_in_the_store() -> None:
    """Turns that the caller passes replace stored turns; stored turns whose ids are in `ignored`
    are left out.
    """
    store = InMemoryStore(DIMENSIONS)
    stored = [turn(number) for number in range(1, 6)]
    await store.upsert(SCOPE, [make_record(memory) for memory in [*stored, turn(4, "s2")]])
    context = ConversationContext(store)
    (text,) = await context.in_context(SCOPE, [turn(6)])
    assert text == InContext(
        turn(6).embedding_text(), f"{stored[3].embedding_text()} {stored[4].embedding_text()}"
    )
    assert await context.turns_before(SCOPE, [turn(6)], ignored={stored[3].id}) == [(stored[4],)]
    edited = turn(5, content="something else")
    assert await context.turns_before(SCOPE, [turn(6)], dict(by_position([edited]))) == [
        (stored[3], edited)
    ]
    assert {memory.id for memory in await context.following(SCOPE, [stored[1]])} == {
        stored[2].id,
        stored[3].id,
    }
    assert await context.following(SCOPE, facts(1)) == []


@pytest.mark.anyio
async def test_namespaces_do_not_share_turns() -> None:
    """One call can look up the context of turns of several namespaces, each in its own
    namespace.
    """
    store = InMemoryStore(DIMENSIONS)
    other = Scope("acme", "elsewhere")
    await store.upsert(SCOPE, [make_record(turn(1))])
    await store.upsert(other, [make_record(turn(1, scope=other, content="elsewhere"))])
    text, other_text = await in_context_everywhere(store, [turn(2), turn(2, scope=other)])
    assert text.before == turn(1).embedding_text()
    assert other_text.before.endswith("elsewhere")
