"""Working memory over in-memory stores. The HTTP routes are tested in
`tests/api/http/routes/test_working.py`.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from ingest.working.todos import COMPLEX_STEPS, complete_todo
from ingest.working.working_memory import TODO_LIFE, NewItem, WorkingMemory
from memtypes.model.errors import Unavailable
from memtypes.model.procedural import Procedural
from memtypes.model.scope import Scope
from memtypes.ports.working import ItemSelection
from tests.fakes_locks import FakeLocks
from tests.fakes_memories import InMemoryStore
from tests.fakes_workflows import FakeWorkflows
from tests.fakes_working import FakeItems
from tests.ingest.conversations.builders import NOW, ingestor_over

pytestmark = pytest.mark.anyio
SCOPE = Scope("t", "n", session_id="s")


class UnpatchableStore(InMemoryStore):
    """A memory store whose updates raise Unavailable while `fails` is set."""

    fails = False

    async def patch(self, *arguments: Any, **options: Any) -> None:
        """Update the memories. While `fails` is set, raise Unavailable."""
        if self.fails:
            raise Unavailable("away")
        await super().patch(*arguments, **options)


class PausingStore(InMemoryStore):
    """A memory store whose first update waits until `resumed` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = anyio.Event()
        self.resumed = anyio.Event()

    async def patch(self, *arguments: Any, **options: Any) -> None:
        """Update the memories. The first call waits until `resumed` is set."""
        if not self.paused.is_set():
            self.paused.set()
            await self.resumed.wait()
        await super().patch(*arguments, **options)


def working_over(store: InMemoryStore, now: list[datetime]) -> WorkingMemory:
    """The service for working memory over `store`, with a clock that shows `now[0]`."""
    return WorkingMemory(
        FakeItems(), ingestor_over(store), store, lambda: now[0], FakeWorkflows(), FakeLocks()
    )


async def test_an_item_and_its_copy_in_the_memory_store_expire_at_the_same_time() -> None:
    store = InMemoryStore()
    now = [NOW + timedelta(microseconds=123_456)]
    working = working_over(store, now)
    item = (await working.create(SCOPE, NewItem(content="port the parser", ttl_s=60))).value
    assert item.expires_at == NOW + timedelta(seconds=60, milliseconds=123)
    assert (await store.get(SCOPE, [item.id]))[item.id].expires_at == item.expires_at


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


async def test_a_copy_that_cannot_be_updated_is_updated_by_the_next_sync(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An item of working memory has a copy in the memory store. Clearing the item succeeds even if
    that store fails.

    The next call of `sync_session` marks the copy as cleared.
    """
    store = UnpatchableStore()
    now = [NOW]
    working = working_over(store, now)
    item = (await working.create(SCOPE, NewItem(content="port the parser"))).value
    store.fails = True
    with caplog.at_level(logging.WARNING):
        assert await working.clear(SCOPE, ItemSelection()) == 1
    assert "updated with the next sweep" in caplog.text
    assert (await store.get(SCOPE, [item.id]))[item.id].cleared_at is None  # type: ignore[attr-defined]
    store.fails = False
    assert await working.sync_session(SCOPE) == 1
    assert (await store.get(SCOPE, [item.id]))[item.id].cleared_at == NOW  # type: ignore[attr-defined]


async def test_two_items_cleared_at_once_are_both_listed_as_cleared() -> None:
    """Two items of a session are cleared at once, and the memory store is slow to save the first.

    Both are listed as cleared: saving one does not undo the other.
    """
    store = PausingStore()
    working = working_over(store, [NOW])
    ids = [
        (await working.create(SCOPE, NewItem(content=text))).value.id
        for text in ("port the parser", "write tests")
    ]

    async def clear(item_id: str) -> None:
        assert await working.clear(SCOPE, ItemSelection(id=item_id)) == 1

    async with anyio.create_task_group() as group:
        group.start_soon(clear, ids[0])
        await store.paused.wait()
        group.start_soon(clear, ids[1])
        await anyio.wait_all_tasks_blocked()
        store.resumed.set()
    listed = await working.list_items(SCOPE, None, include_cleared=True)
    assert {item.id for item in listed if item.cleared_at} == set(ids)


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
    await working.forget(SCOPE, first.id)
    assert [
        item.content for item in await working.list_items(SCOPE, None, include_cleared=False)
    ] == ["write the tests"]
    await working.forget(Scope("t", "n"))
    assert await working.list_items(SCOPE, None, include_cleared=False) == []
