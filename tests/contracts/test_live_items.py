"""The contract of LiveItemStore, which stores live working memory."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.working import ClearReason, Working
from memtypes.ports.working import DueNamespace, ItemSelection, LiveItem, LiveItemStore
from memtypes.stores.redis.working import RedisWorking
from tests.builders import make_memory
from tests.fakes_working import FakeItems
from tests.live import LIVE

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TTL = timedelta(minutes=5)
HOSTILE = ("a:b", "a", "{a}", "a}b{", "a%3Ab", "日本", "*", "a\\b", '"]', "a/b")


@pytest.fixture(params=LIVE)
def redis_items(request: pytest.FixtureRequest) -> RedisWorking:
    """The Redis implementation, on each kind of Redis server in turn."""
    return RedisWorking(request.getfixturevalue(request.param))


@pytest.fixture(params=["fake", *LIVE])
def items(request: pytest.FixtureRequest) -> LiveItemStore:
    """The LiveItemStore under test: a test runs once with each implementation."""
    return (
        FakeItems()
        if request.param == "fake"
        else RedisWorking(request.getfixturevalue(request.param))
    )


@pytest.fixture
def scope() -> Scope:
    """A scope with a session that no other test uses."""
    return Scope("acme", f"live {uuid.uuid4()}", session_id="s")


def make_item(
    scope: Scope, content: str, at: datetime = NOW, todo_id: str | None = None
) -> LiveItem:
    """An item with this content, created at `at`."""
    times = {"created_at": at, "updated_at": at, "expires_at": at + TTL}
    fields: dict[str, Any] = {
        "session_id": scope.session_id,
        "todo_id": todo_id,
        "tags": [],
        **times,
    }
    memory = make_memory(MemoryType.WORKING, content, scope, **fields)
    assert isinstance(memory, Working)
    return LiveItem(memory, TTL)


async def by_content(items: LiveItemStore, scope: Scope) -> dict[str, LiveItem]:
    """The live items of the session in a dictionary by their contents."""
    return {item.memory.content: item for item in await items.items(scope)}


async def test_an_item_is_read_back_unchanged(items: LiveItemStore, scope: Scope) -> None:
    item = make_item(scope, 'text with "quotes", {braces} and ünïcödé 日本', todo_id="t")
    await items.put(scope, item)
    (stored,) = await items.items(scope)
    assert (stored.memory, stored.ttl) == (item.memory, TTL)


async def test_touch_restarts_the_ttl_of_named_items_that_are_live(
    items: LiveItemStore, scope: Scope
) -> None:
    await items.put(scope, make_item(scope, "early", NOW - timedelta(minutes=4)))
    await items.put(scope, make_item(scope, "other"))
    await items.put(scope, make_item(scope, "expired", NOW - timedelta(minutes=6)))
    ids = [item.memory.id for item in await items.items(scope) if item.memory.content != "other"]
    await items.touch(scope, [*ids, str(uuid.uuid4())], NOW)
    stored = await by_content(items, scope)
    assert stored["early"].memory.expires_at == NOW + TTL
    assert stored["early"].memory.accessed_at == NOW
    assert stored["other"].memory.accessed_at is None
    assert stored["expired"].is_over(NOW)


async def test_clear_ends_the_selected_items_once(items: LiveItemStore, scope: Scope) -> None:
    entries = [
        make_item(scope, "a", todo_id="t"),
        make_item(scope, "b", todo_id="t"),
        make_item(scope, "c"),
        make_item(scope, "d"),
    ]
    for item in entries:
        await items.put(scope, item)
    ids = [item.memory.id for item in entries]
    assert sorted(
        await items.clear(scope, ItemSelection(todo_id="t"), NOW, ClearReason.CLEARED)
    ) == sorted(ids[:2])
    assert await items.clear(scope, ItemSelection(id=ids[0]), NOW, ClearReason.CLEARED) == []
    assert await items.clear(scope, ItemSelection(id=ids[2]), NOW, ClearReason.CLEARED) == [ids[2]]
    await items.touch(scope, ids, NOW)
    assert await items.clear(scope, ItemSelection(), NOW, ClearReason.CLEARED) == [ids[3]]
    assert {item.memory.cleared_at for item in await items.items(scope)} == {NOW}


async def test_a_to_do_replaces_its_earlier_item(items: LiveItemStore, scope: Scope) -> None:
    """A new item that represents a to-do clears the earlier item of the same to-do.

    Items of other to-dos, and notes that only belong to the to-do, are not cleared.
    """
    for content, todo_id, is_todo in (
        ("old", "t", True),
        ("note", "t", False),
        ("other", "u", True),
        ("new", "t", True),
    ):
        await items.put(scope, replace(make_item(scope, content, todo_id=todo_id), is_todo=is_todo))
    await items.put(scope, replace(make_item(scope, "new", todo_id="t"), is_todo=True))
    stored = await by_content(items, scope)
    assert {content for content, item in stored.items() if item.is_over(NOW)} == {"old"}
    assert {content for content, item in stored.items() if item.is_todo} == {"old", "other", "new"}


async def test_an_ended_item_says_when_and_why_it_ended(items: LiveItemStore, scope: Scope) -> None:
    for content in ("old", "new"):
        item = make_item(scope, content, todo_id="t")
        await items.put(scope, replace(item, is_todo=True))
    await items.put(scope, make_item(scope, "note", todo_id="u"))
    await items.put(scope, make_item(scope, "unused", NOW - timedelta(minutes=6)))
    await items.clear(scope, ItemSelection(todo_id="u"), NOW, ClearReason.CANCELLED)
    stored = await by_content(items, scope)
    ends = {
        content: (item.memory.at(NOW).cleared_at, item.memory.at(NOW).cleared_reason)
        for content, item in stored.items()
        if item.is_over(NOW)
    }
    assert ends == {
        "old": (NOW, ClearReason.REPLACED),
        "note": (NOW, ClearReason.CANCELLED),
        "unused": (NOW - timedelta(minutes=1), ClearReason.EXPIRED),
    }


async def test_items_that_changed_since_they_were_read_are_not_removed(
    items: LiveItemStore, scope: Scope
) -> None:
    await items.put(scope, make_item(scope, "a"))
    await items.put(scope, make_item(scope, "b"))
    read = await items.items(scope)
    await items.touch(scope, [read[0].memory.id], NOW + timedelta(seconds=1))
    await items.remove_unchanged(scope, read)
    assert [item.memory.id for item in await items.items(scope)] == [read[0].memory.id]
    await items.remove_unchanged(scope, await items.items(scope))
    assert await items.items(scope) == []


async def test_items_are_removed_by_id_in_any_state(items: LiveItemStore, scope: Scope) -> None:
    entries = [make_item(scope, content) for content in ("a", "b", "c")]
    for item in entries:
        await items.put(scope, item)
    ids = [item.memory.id for item in entries]
    await items.clear(scope, ItemSelection(id=ids[0]), NOW, ClearReason.CLEARED)
    assert await items.remove(scope, [*ids[:2], str(uuid.uuid4())]) == 2
    assert [item.memory.id for item in await items.items(scope)] == ids[2:]


async def test_an_item_is_found_by_its_id_in_any_session_of_the_namespace(
    items: LiveItemStore, scope: Scope
) -> None:
    await items.put(scope, make_item(scope, "a"))
    second = replace(scope, session_id="s 2")
    item = make_item(second, "b")
    await items.put(second, item)
    memory_id = item.memory.id
    namespace = replace(scope, session_id=None)
    found = await items.find(namespace, memory_id)
    assert found is not None
    assert found.memory == item.memory
    await items.clear(second, ItemSelection(), NOW, ClearReason.CLEARED)
    cleared = await items.find(namespace, memory_id)
    assert cleared is not None
    assert cleared.memory.cleared_at == NOW
    assert await items.find(replace(namespace, namespace="other"), memory_id) is None
    assert await items.find(namespace, str(uuid.uuid4())) is None


async def test_a_caller_bound_to_agents_finds_no_item_of_another(
    items: LiveItemStore, scope: Scope
) -> None:
    item = make_item(scope, "a")
    await items.put(scope, item)
    assert await items.find(replace(scope, agents=("ann",)), item.memory.id) is None
    assert await items.find(replace(scope, agents=("ann", None)), item.memory.id) is not None


async def test_sessions_and_namespaces_with_hostile_names_share_no_items(
    items: LiveItemStore, scope: Scope
) -> None:
    """Sessions and namespaces have separate items, even if their names are alike or look like parts
    of Redis keys.
    """
    scopes = [replace(scope, session_id=name) for name in HOSTILE]
    scopes += [replace(scope, namespace=f"{scope.namespace}{name}") for name in HOSTILE]
    for number, hostile in enumerate(scopes):
        await items.put(hostile, make_item(hostile, f"item {number}"))
    for number, hostile in enumerate(scopes):
        assert list(await by_content(items, hostile)) == [f"item {number}"]


async def test_a_scope_without_a_session_is_refused(redis_items: RedisWorking) -> None:
    """A call with a scope that has no session raises InvalidRequest, because live items belong to a
    session.
    """
    with pytest.raises(InvalidRequest):
        await redis_items.items(Scope("acme", "n"))


async def due_namespace(items: RedisWorking, scope: Scope, at: datetime) -> DueNamespace | None:
    """The scope's namespace, if it is due at `at`."""
    due = await items.due_namespaces(at, 10_000)
    return next((entry for entry in due if entry.scope.namespace == scope.namespace), None)


async def test_a_namespace_is_due_when_an_item_has_expired(
    redis_items: RedisWorking, scope: Scope
) -> None:
    """A session is due again until its ended items are removed; a use of an item delays when it is
    due.
    """
    items = redis_items
    await items.put(scope, make_item(scope, "a"))
    assert await due_namespace(items, scope, NOW) is None
    later = NOW + timedelta(seconds=1)
    await items.touch(scope, [(await items.items(scope))[0].memory.id], later)
    due = await due_namespace(items, scope, NOW + TTL)
    assert due is not None
    assert await items.due_sessions(due.scope, NOW + TTL, 10) == ["s"]
    await items.remove_unchanged(scope, [])
    await items.reschedule(due)
    assert await due_namespace(items, scope, NOW + TTL) is None
    due = await due_namespace(items, scope, later + TTL)
    assert due is not None
    assert await items.due_sessions(due.scope, later + TTL, 10) == ["s"]
    await items.remove_unchanged(scope, await items.items(scope))
    await items.reschedule(due)
    assert await items.due_sessions(due.scope, later + TTL, 10) == []
    assert await due_namespace(items, scope, NOW + 100 * TTL) is None


async def test_a_namespace_is_due_when_an_item_is_cleared_or_replaced(
    redis_items: RedisWorking, scope: Scope
) -> None:
    items = redis_items
    await items.put(scope, replace(make_item(scope, "a", todo_id="t"), is_todo=True))
    await items.put(scope, make_item(scope, "note"))
    assert await due_namespace(items, scope, NOW) is None
    await items.put(scope, replace(make_item(scope, "b", todo_id="t"), is_todo=True))
    due = await due_namespace(items, scope, NOW)
    assert due is not None
    ended = [item for item in await items.items(scope) if item.is_over(NOW)]
    await items.remove_unchanged(scope, ended)
    await items.reschedule(due)
    assert await due_namespace(items, scope, NOW) is None
    await items.clear(scope, ItemSelection(todo_id="t"), NOW, ClearReason.CLEARED)
    assert await due_namespace(items, scope, NOW) is not None
    assert await items.due_sessions(scope, NOW, 10) == ["s"]


async def test_a_scope_bound_to_agents_reaches_only_their_items(
    items: LiveItemStore, scope: Scope
) -> None:
    """A scope that is limited to the agent Ann does not list, clear or replace other agents'
    items.
    """
    bound = replace(scope, agent_id="ann", agents=("ann",))
    for agent in ("ann", "bob", None):
        item = make_item(scope, f"of {agent}", todo_id="t")
        memory = item.memory.model_copy(update={"agent_id": agent})
        await items.put(
            replace(bound, agents=(str(agent),)), replace(item, memory=memory, is_todo=True)
        )
    assert list(await by_content(items, bound)) == ["of ann"]
    assert len(await items.clear(bound, ItemSelection(todo_id="t"), NOW, ClearReason.CLEARED)) == 1
    assert {
        content for content, item in (await by_content(items, scope)).items() if item.is_over(NOW)
    } == {"of ann"}
