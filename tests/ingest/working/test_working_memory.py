"""Working memory over in-memory stores. The HTTP routes are tested in
`tests/api/http/routes/test_working.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from ingest.working.todos import COMPLEX_STEPS, complete_todo
from ingest.working.working_memory import TODO_LIFE, TTL_S, NewItem, WorkingMemory
from memtypes.model.errors import Unavailable
from memtypes.model.procedural import Procedural
from memtypes.model.scope import Scope
from memtypes.model.working import ClearReason, Working
from memtypes.ports.working import ItemSelection
from tests.fakes_locks import FakeLocks
from tests.fakes_memories import InMemoryStore
from tests.fakes_workflows import FakeWorkflows
from tests.fakes_working import FakeItems
from tests.ingest.conversations.builders import NOW, ingestor_over

pytestmark = pytest.mark.anyio
SCOPE = Scope("t", "n", session_id="s")


class FailingStore(InMemoryStore):
    """A memory store whose writes raise Unavailable while `fails` is set."""

    fails = False

    async def upsert(self, *arguments: Any, **options: Any) -> None:
        """Store the memories. While `fails` is set, raise Unavailable."""
        if self.fails:
            raise Unavailable("away")
        await super().upsert(*arguments, **options)


class PausingStore(InMemoryStore):
    """A memory store whose first write waits until `resumed` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = anyio.Event()
        self.resumed = anyio.Event()

    async def upsert(self, *arguments: Any, **options: Any) -> None:
        """Store the memories. The first call waits until `resumed` is set."""
        if not self.paused.is_set():
            self.paused.set()
            await self.resumed.wait()
        await super().upsert(*arguments, **options)


class Forgetful(FakeItems):
    """Live items of which `lose` makes the next removal fail, as a crash before it would."""

    lose = False

    async def remove_unchanged(self, *arguments: Any) -> None:
        """Delete the items. If `lose` is set, raise Unavailable."""
        if self.lose:
            raise Unavailable("killed")
        await super().remove_unchanged(*arguments)


def working_over(
    store: InMemoryStore, now: list[datetime], items: FakeItems | None = None
) -> WorkingMemory:
    """The service for working memory over `store`, with a clock that shows `now[0]`."""
    return WorkingMemory(
        items or FakeItems(),
        ingestor_over(store),
        store,
        lambda: now[0],
        FakeWorkflows(),
        FakeLocks(),
    )


async def stored(store: InMemoryStore, memory_id: str) -> Working | None:
    """The working item with this id in the memory store."""
    memory = (await store.get(SCOPE, [memory_id])).get(memory_id)
    assert memory is None or isinstance(memory, Working)
    return memory


async def test_an_item_is_in_the_live_store_while_it_lives_and_in_the_memory_store_afterwards() -> (
    None
):
    store = InMemoryStore()
    now = [NOW + timedelta(microseconds=123_456)]
    working = working_over(store, now)
    item = (await working.create(SCOPE, NewItem(content="port the parser", ttl_s=60))).value
    assert item.expires_at == NOW + timedelta(seconds=60, milliseconds=123)
    assert await working.move_ended(SCOPE) == 0
    assert await stored(store, item.id) is None
    now[0] += timedelta(seconds=60)
    assert await working.move_ended(SCOPE) == 1
    end = {"cleared_at": item.expires_at, "cleared_reason": ClearReason.EXPIRED}
    assert await stored(store, item.id) == item.model_copy(update=end)
    assert await working.find(SCOPE, item.id) is None
    assert await working.move_ended(SCOPE) == 0


async def test_items_expire_and_cleared_items_are_listed_on_request() -> None:
    store = InMemoryStore()
    now = [NOW]
    working = working_over(store, now)
    await working.create(SCOPE, NewItem(content="port the parser", todo_id="t1"))
    await working.create(SCOPE, NewItem(content="write the tests", todo_id="t2"))
    assert await working.clear(SCOPE, ItemSelection(todo_id="t1")) == 1
    live = await working.list_items(SCOPE, None, include_cleared=False)
    everything = await working.list_items(SCOPE, None, include_cleared=True)
    assert [item.content for item in live] == ["write the tests"]
    assert {item.content for item in everything} == {"port the parser", "write the tests"}
    now[0] += TODO_LIFE
    assert await working.list_items(SCOPE, None, include_cleared=False) == []


async def test_an_item_that_cannot_be_stored_is_moved_later() -> None:
    store = FailingStore()
    working = working_over(store, [NOW])
    item = (await working.create(SCOPE, NewItem(content="port the parser"))).value
    store.fails = True
    assert await working.clear(SCOPE, ItemSelection()) == 1
    with pytest.raises(Unavailable):
        await working.move_ended(SCOPE)
    cleared = await working.find(SCOPE, item.id)
    assert cleared is not None
    assert cleared.cleared_at == NOW
    store.fails = False
    assert await working.move_ended(SCOPE) == 1
    assert await stored(store, item.id) == cleared


async def test_a_move_that_was_interrupted_is_repeated_and_leaves_one_memory() -> None:
    items = Forgetful()
    store = InMemoryStore()
    working = working_over(store, [NOW], items)
    item = (await working.create(SCOPE, NewItem(content="port the parser"))).value
    await working.clear(SCOPE, ItemSelection())
    items.lose = True
    with pytest.raises(Unavailable):
        await working.move_ended(SCOPE)
    assert [entry.id for entry in await working.list_items(SCOPE, None, include_cleared=True)] == [
        item.id
    ]
    items.lose = False
    assert await working.move_ended(SCOPE) == 1
    assert [entry.id for entry in await working.list_items(SCOPE, None, include_cleared=True)] == [
        item.id
    ]


async def test_an_item_that_is_created_again_during_its_move_stays_live() -> None:
    store = PausingStore()
    working = working_over(store, [NOW])
    item = (await working.create(SCOPE, NewItem(content="port the parser"))).value
    await working.clear(SCOPE, ItemSelection())
    async with anyio.create_task_group() as group:
        group.start_soon(working.move_ended, SCOPE)
        await store.paused.wait()
        await working.create(SCOPE, NewItem(content="port the parser"))
        store.resumed.set()
    listed = await working.list_items(SCOPE, None, include_cleared=True)
    assert [(entry.id, entry.cleared_at) for entry in listed] == [(item.id, None)]


async def test_an_item_that_is_forgotten_during_its_move_is_in_neither_store_afterwards() -> None:
    """`forget` waits for the move, so that the caller can then delete what the move wrote."""
    store = PausingStore()
    working = working_over(store, [NOW])
    item = (await working.create(SCOPE, NewItem(content="a secret"))).value
    await working.clear(SCOPE, ItemSelection())

    async def erase() -> None:
        await working.forget(SCOPE, item.id)
        await store.delete(SCOPE, [item.id])

    async with anyio.create_task_group() as group:
        group.start_soon(working.move_ended, SCOPE)
        await store.paused.wait()
        group.start_soon(erase)
        await anyio.wait_all_tasks_blocked()
        store.resumed.set()
    assert await stored(store, item.id) is None
    assert await working.find(SCOPE, item.id) is None


async def test_an_item_that_is_created_again_keeps_its_age_and_gets_the_new_fields() -> None:
    now = [NOW]
    working = working_over(InMemoryStore(), now)
    first = (await working.create(SCOPE, NewItem(content="port the parser", priority=1))).value
    now[0] += timedelta(seconds=30)
    await working.create(SCOPE, NewItem(content="write the tests"))
    again = (await working.create(SCOPE, NewItem(content="port the parser", priority=5))).value
    assert (again.id, again.created_at, again.priority) == (first.id, first.created_at, 5)
    assert again.expires_at == now[0] + timedelta(seconds=TTL_S)
    listed = await working.list_items(SCOPE, None, include_cleared=False)
    assert [item.content for item in listed] == ["port the parser", "write the tests"]


@pytest.mark.parametrize("steps", [COMPLEX_STEPS, COMPLEX_STEPS + 1])
async def test_only_a_to_do_of_many_steps_becomes_a_procedure(steps: int) -> None:
    """Completing a to-do clears its items. If it took more than COMPLEX_STEPS steps, they are
    stored as a procedure.

    Completing it again returns the same procedure.
    """
    store = InMemoryStore()
    working = working_over(store, [NOW])
    await working.create(SCOPE, NewItem(content="port the parser", todo_id="t1"))
    names = [f"step {number}" for number in range(steps)]
    cleared, written = await complete_todo(working, SCOPE, "t1", names)
    assert cleared == 1
    assert (written is not None) == (steps > COMPLEX_STEPS)
    if written is not None:
        assert written.id is not None
        procedure = (await store.get(SCOPE, [written.id]))[written.id]
        assert isinstance(procedure, Procedural)
        assert (procedure.content, procedure.steps) == ("port the parser", names)
        cleared, again = await complete_todo(working, SCOPE, "t1", names)
        assert (cleared, again and again.id) == (0, written.id)


async def test_forgetting_removes_one_item_or_all_items_of_a_namespace() -> None:
    """`forget` with an id removes that item of working memory from live state.

    Without an id it removes the items of all sessions in the namespace.
    """
    store = InMemoryStore()
    working = working_over(store, [NOW])
    first = (await working.create(SCOPE, NewItem(content="port the parser"))).value
    await working.create(SCOPE, NewItem(content="write the tests"))
    assert await working.forget(SCOPE, first.id) == 1
    assert [
        item.content for item in await working.list_items(SCOPE, None, include_cleared=False)
    ] == ["write the tests"]
    assert await working.forget(Scope("t", "n")) == 1
    assert await working.list_items(SCOPE, None, include_cleared=False) == []
