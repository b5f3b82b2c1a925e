"""The contract of LiveItems: on a real server, and on the stand-in that other tests use."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memtypes.model.errors import InvalidRequest
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.model.working import Working
from memtypes.ports.working import Clearing, LiveItem, LiveItems
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
    """On each kind of server."""
    return RedisWorking(request.getfixturevalue(request.param))


@pytest.fixture(params=["fake", *LIVE])
def items(request: pytest.FixtureRequest) -> LiveItems:
    """Each implementation."""
    return FakeItems() if request.param == "fake" else RedisWorking(request.getfixturevalue(request.param))


@pytest.fixture
def scope() -> Scope:
    """A session that no other test has."""
    return Scope("acme", f"live {uuid.uuid4()}", session_id="s")


def item(scope: Scope, content: str, at: datetime = NOW, todo_id: str | None = None) -> LiveItem:
    """An item that was made at `at`."""
    times = {"created_at": at, "updated_at": at, "expires_at": at + TTL}
    fields: dict[str, Any] = {"session_id": scope.session_id, "todo_id": todo_id, "live": True, "tags": [], **times}
    memory = make_memory(MemoryType.WORKING, content, scope, **fields)
    assert isinstance(memory, Working)
    return LiveItem(memory, TTL)


async def kept(items: LiveItems, scope: Scope) -> dict[str, LiveItem]:
    """The items of the session by content."""
    return {one.memory.content: one for one in await items.items(scope)}


async def test_an_item_comes_back_as_it_was_put(items: LiveItems, scope: Scope) -> None:
    """Whole, and marked as behind."""
    one = item(scope, 'text with "quotes", {braces} and ünïcödé 日本', todo_id="t")
    await items.put(scope, one)
    (back,) = await items.items(scope)
    assert (back.memory, back.ttl, back.behind) == (one.memory, TTL, True)


async def test_a_use_begins_the_time_limit_again(items: LiveItems, scope: Scope) -> None:
    """Of those that are named and live; what is over stays over."""
    early = item(scope, "early", NOW - timedelta(minutes=4))
    await items.put(scope, early)
    await items.put(scope, item(scope, "other"))
    await items.put(scope, item(scope, "over", NOW - timedelta(minutes=6)))
    ids = [one.memory.id for one in await items.items(scope) if one.memory.content != "other"]
    await items.touch(scope, [*ids, str(uuid.uuid4())], NOW)
    found = await kept(items, scope)
    assert found["early"].memory.expires_at == NOW + TTL
    assert found["early"].memory.accessed_at == NOW
    assert found["other"].memory.accessed_at is None
    assert found["over"].over_at(NOW)


async def test_clearing_takes_what_is_meant_and_only_once(items: LiveItems, scope: Scope) -> None:
    """By to-do, by id or all; what is cleared lives no more, and can't be used."""
    entries = [item(scope, "a", todo_id="t"), item(scope, "b", todo_id="t"), item(scope, "c"), item(scope, "d")]
    for one in entries:
        await items.put(scope, one)
    ids = [one.memory.id for one in entries]
    assert sorted(await items.clear(scope, Clearing(todo_id="t"), NOW)) == sorted(ids[:2])
    assert await items.clear(scope, Clearing(id=ids[0]), NOW) == []
    assert await items.clear(scope, Clearing(id=ids[2]), NOW) == [ids[2]]
    await items.touch(scope, ids, NOW)
    assert await items.clear(scope, Clearing(), NOW) == [ids[3]]
    assert {one.memory.cleared_at for one in await items.items(scope)} == {NOW}


async def test_what_changed_since_it_was_read_stays_behind(items: LiveItems, scope: Scope) -> None:
    """A sweep that comes late takes no mark off; one that knows the present state does, and forgets what is over."""
    await items.put(scope, item(scope, "a"))
    await items.put(scope, item(scope, "b"))
    before = await items.items(scope)
    await items.touch(scope, [before[0].memory.id], NOW + timedelta(seconds=1))
    await items.settle(scope, before, NOW + timedelta(seconds=2))
    states = {one.memory.id: one.behind for one in await items.items(scope)}
    assert states == {before[0].memory.id: True, before[1].memory.id: False}
    await items.clear(scope, Clearing(id=before[1].memory.id), NOW + timedelta(seconds=3))
    await items.settle(scope, await items.items(scope), NOW + timedelta(seconds=4))
    assert [(one.memory.id, one.behind) for one in await items.items(scope)] == [(before[0].memory.id, False)]
    await items.settle(scope, await items.items(scope), NOW + timedelta(hours=1))
    assert await items.items(scope) == []


async def test_hostile_ids_never_share_items(items: LiveItems, scope: Scope) -> None:
    """Sessions and namespaces that look like each other, or like a key, are two."""
    scopes = [replace(scope, session_id=one) for one in HOSTILE]
    scopes += [replace(scope, namespace=f"{scope.namespace}{one}") for one in HOSTILE]
    for number, one in enumerate(scopes):
        await items.put(one, item(one, f"item {number}"))
    for number, one in enumerate(scopes):
        assert list(await kept(items, one)) == [f"item {number}"]


async def test_a_session_must_be_named(redis_items: RedisWorking) -> None:
    """Live items are a session's."""
    with pytest.raises(InvalidRequest):
        await redis_items.items(Scope("acme", "n"))


async def test_a_namespace_is_due_until_it_rests(redis_items: RedisWorking, scope: Scope) -> None:
    """While something is behind or over; what was noted meanwhile is not lost."""
    items = redis_items
    await items.put(scope, item(scope, "a"))
    (due,) = [one for one in await items.due(NOW, 10_000) if one.scope.namespace == scope.namespace]
    assert await items.sessions_due(due.scope, NOW, 10) == ["s"]
    await items.settle(scope, await items.items(scope), NOW)
    await items.rest(due)
    assert await items.sessions_due(due.scope, NOW, 10) == []
    assert scope.namespace not in [one.scope.namespace for one in await items.due(NOW, 10_000)]
    (later,) = [one for one in await items.due(NOW + TTL, 10_000) if one.scope.namespace == scope.namespace]
    await items.touch(scope, [(await items.items(scope))[0].memory.id], NOW + timedelta(seconds=1))
    await items.rest(later)
    assert await items.sessions_due(due.scope, NOW + timedelta(seconds=1), 10) == ["s"]
    assert scope.namespace in [one.scope.namespace for one in await items.due(NOW + timedelta(seconds=1), 10_000)]
