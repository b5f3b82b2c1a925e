"""Which turns a turn is read with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtypes.conversation_context import (
    REACH,
    ConversationContext,
    by_position,
    in_context_everywhere,
    position_of,
    positions_after,
    positions_before,
    text_before,
)
from memtypes.model.memory import Memory
from memtypes.model.policy import MemoryType, Visibility
from memtypes.model.scope import Scope
from memtypes.search.vectors import InContext
from memtypes.stores.memory import InMemoryStore
from tests.builders import DIMENSIONS, SCOPE, make_memory, make_record

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def turn(number: int, session: str | None = "s1", scope: Scope = SCOPE, **fields: object) -> Memory:
    """The turn of this number."""
    made = make_memory(MemoryType.EPISODIC, f"turn {number} of {session}", scope)
    given = {"session_id": session, "seq": number, "created_at": START + timedelta(seconds=number), **fields}
    return made.model_copy(update=given)


def facts(*numbers: int) -> list[Memory]:
    """Facts of the same session."""
    return [
        make_memory(MemoryType.SEMANTIC, f"fact {number}").model_copy(update={"session_id": "s1", "seq": number})
        for number in numbers
    ]


@given(st.lists(st.integers(0, 30), unique=True), st.integers(0, 30))
def test_before_and_after_mirror_each_other(numbers: list[int], other: int) -> None:
    """A turn is read with another exactly when it is among those that follow the other."""
    for number in numbers:
        mine, theirs = position_of(turn(number)), position_of(turn(other))
        assert (theirs in positions_before(turn(number))) == (mine in positions_after(turn(other)))
        assert (theirs in positions_before(turn(number))) == (0 < number - other <= REACH)


def test_the_two_turns_before_in_the_order_in_which_they_were_said() -> None:
    """Each as it would be embedded itself; what is further off, later or of another session does not count."""
    known = dict(by_position([turn(1), turn(2), turn(3), turn(5), turn(3, "s2")]))
    assert text_before(turn(4), known) == f"{turn(2).embedding_text()} {turn(3).embedding_text()}"
    assert text_before(turn(5), known) == turn(3).embedding_text()
    assert text_before(turn(9), known) == ""


def test_facts_and_what_no_session_said_are_read_alone() -> None:
    """They have no place, and nobody is read with them."""
    assert not [place for one in [*facts(1, 2), turn(3, None)] for place in positions_before(one)]
    assert dict(by_position([*facts(1, 2), turn(3, None)])) == {}


def test_what_a_session_keeps_to_itself_is_read_into_nothing_public() -> None:
    """A private turn hears private and public ones, a public turn public ones alone."""
    secret = turn(1, visibility=Visibility.SESSION)
    known = dict(by_position([secret, turn(2)]))
    assert text_before(turn(3), known) == turn(2).embedding_text()
    private = text_before(turn(3, visibility=Visibility.SESSION), known)
    assert private == f"{secret.embedding_text()} {turn(2).embedding_text()}"


@pytest.mark.anyio
async def test_stored_turns_are_found_around_others() -> None:
    """What comes with the question counts before what is stored, and some can be left out."""
    store = InMemoryStore(DIMENSIONS)
    kept = [turn(number) for number in range(1, 6)]
    await store.upsert(SCOPE, [make_record(one) for one in [*kept, turn(4, "s2")]])
    preceding = ConversationContext(store)
    (read,) = await preceding.in_context(SCOPE, [turn(6)])
    assert read == InContext(turn(6).embedding_text(), f"{kept[3].embedding_text()} {kept[4].embedding_text()}")
    (read,) = await preceding.in_context(SCOPE, [turn(6)], ignored={kept[3].id})
    assert read.before == kept[4].embedding_text()
    said = dict(by_position([turn(5, content="something else")]))
    (read,) = await preceding.in_context(SCOPE, [turn(6)], said)
    assert read.before.endswith("something else")
    assert {one.id for one in await preceding.following(SCOPE, [kept[1]])} == {kept[2].id, kept[3].id}
    assert await preceding.following(SCOPE, facts(1)) == []


@pytest.mark.anyio
async def test_every_namespace_has_its_own_turns() -> None:
    """The same session and number elsewhere are another conversation; the answers come in the order of the question."""
    store, other = InMemoryStore(DIMENSIONS), Scope("acme", "elsewhere")
    await store.upsert(SCOPE, [make_record(turn(1))])
    await store.upsert(other, [make_record(turn(1, scope=other, content="theirs"))])
    mine, theirs = await in_context_everywhere(store, [turn(2), turn(2, scope=other)])
    assert mine.before == turn(1).embedding_text()
    assert theirs.before.endswith("theirs")
