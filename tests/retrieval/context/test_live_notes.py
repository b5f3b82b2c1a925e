"""Live items (of working memory) in the answers of retrievals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.working import Working
from memtypes.ports.working import LiveItem
from retrieval.retriever import Retriever
from tests.builders import make_memory
from tests.fakes_working import FakeItems
from tests.retrieval.builders import NOW, SCOPE, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def items() -> FakeItems:
    """An empty store of live working items."""
    return FakeItems()


@pytest.fixture
def world(items: FakeItems) -> World:
    """A store and a retriever whose working memory is the live store `items`."""
    world = World()
    world.retriever = Retriever(replace(world.retriever._parts, live=items))
    return world


async def keep(items: FakeItems, content: str, **fields: object) -> Working:
    """Store a live item of session s1 and return it."""
    defaults = {
        "session_id": "s1",
        "created_at": NOW,
        "expires_at": NOW + timedelta(minutes=5),
    }
    memory = make_memory(MemoryType.WORKING, content, SCOPE, **{**defaults, **fields})
    assert isinstance(memory, Working)
    await items.put(SCOPE, LiveItem(memory, timedelta(minutes=5)))
    return memory


async def test_without_the_live_store_an_answer_has_no_live_items(
    world: World, items: FakeItems
) -> None:
    """If the live store is unavailable, a context has only the working memory of the memory store,
    and its metadata lists "live" as degraded.
    """
    await keep(items, "the live task")
    await world.add("working", "a stored note")
    await world.add("semantic", "a fact")
    items.away = True
    answer = await world.retrieve("a stored note, a fact")
    assert {item.content for item in answer.items} == {"a stored note", "a fact"}
    assert answer.metadata.degraded == ["live"]


async def test_stored_items_are_shown_with_live_ones(world: World, items: FakeItems) -> None:
    """Live working items are always shown. Working items in the memory store are shown if they
    match the query.
    """
    await keep(items, "the live task")
    await world.add("working", "a stored note")
    answer = await world.retrieve("stored note")
    assert {item.content for item in answer.items} == {"the live task", "a stored note"}
    assert answer.metadata.degraded == []


async def test_a_live_item_takes_the_place_of_a_memory_with_its_id(
    world: World, items: FakeItems
) -> None:
    memory_id = await world.add("working", "the live task")
    assert [item.id for item in (await world.retrieve("the live task")).items] == [memory_id]
    await keep(items, "the live task", id=memory_id)
    assert [item.id for item in (await world.retrieve("the live task")).items] == [memory_id]


async def test_live_items_rank_last_by_id(world: World, items: FakeItems) -> None:
    """Live items have score 0 and are ordered by id, so that their order can be checked by the
    receipt alone.
    """
    await world.add("semantic", "a fact about ferns")
    await keep(items, "one")
    await keep(items, "two")
    answer = await world.retrieve("ferns", explain=True)
    ranked = sorted(answer.items, key=lambda item: item.rank)
    assert [item.rank for item in ranked] == [1, 2, 3]
    assert [(-item.score, item.id) for item in ranked] == sorted(
        (-item.score, item.id) for item in ranked
    )


async def test_a_use_that_could_not_be_noted_does_not_fail_a_retrieval(world: World) -> None:
    """If the live store cannot record the use of its items, the retrieval is answered and the lost
    use is counted.
    """

    class Forgetful(FakeItems):
        """A live store whose items can be read, but whose `touch` raises Unavailable."""

        async def touch(self, *_: object) -> None:
            """Raise Unavailable."""
            self.away = True
            self._session(SCOPE)

    items = Forgetful()
    await keep(items, "the live task")
    world.retriever = Retriever(replace(world.retriever._parts, live=items))
    answer = await world.retrieve("anything")
    assert [item.content for item in answer.items] == ["the live task"]
    await world.retriever.live_uses.noted()
    assert world.retriever.live_uses.lost == 1


async def test_without_a_session_no_use_of_a_live_item_is_noted(world: World) -> None:
    await world.add("working", "a note for everybody", visibility="namespace")
    answer = await world.retrieve("a note for everybody", Scope("acme", "shop"))
    assert [item.content for item in answer.items] == ["a note for everybody"]
    await world.retriever.live_uses.noted()


@pytest.mark.parametrize("form", ["markdown", "json", "messages"])
async def test_live_items_stay_within_the_working_budget(
    world: World, items: FakeItems, form: str
) -> None:
    """The live items in a context have at most as many tokens as the budget for working memory."""
    for number in range(20):
        await keep(items, f"live task number {number}")
    answer = await world.retrieve("anything", format=form, working_budget=120)
    assert answer.items
    assert answer.metadata.working_tokens <= 120
