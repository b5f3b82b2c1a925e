"""The contract of a store of answers that are given again, on each implementation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import anyio
import pytest

from memtypes.model.scope import Scope
from memtypes.ports.answers import AnswerStore, Given
from memtypes.stores.redis.answers import RedisAnswers
from memtypes.stores.redis.connection.client import LiveClient
from tests.fakes_answers import FakeAnswers
from tests.live import LIVE

pytestmark = pytest.mark.anyio

FIRST, SECOND = Given("d1", '{"a": "/1/\u00fc"}'), Given("d2", "{}")
Open: TypeAlias = Callable[[int], AnswerStore]


class Ticking:
    """A clock that is moved by hand; it begins now, because servers forget by their own."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """The time it was set to."""
        return self.now


@pytest.fixture
def clock() -> Ticking:
    """The stores' clock."""
    return Ticking()


@pytest.fixture(params=["memory", *LIVE])
def opened(request: pytest.FixtureRequest, clock: Ticking) -> Open:
    """Each implementation, of so many bytes."""
    if request.param == "memory":
        return lambda size: FakeAnswers(clock, size)
    live: LiveClient = request.getfixturevalue(request.param)
    return lambda size: RedisAnswers(live, clock, size)


@pytest.fixture
def scope() -> Scope:
    """A tenant that no other test uses."""
    return Scope(f"t {uuid.uuid4()}", "n/1 \u00fc")


async def test_what_was_kept_is_given_again(opened: Open, scope: Scope) -> None:
    """The first answer stays, whatever comes later, and for every namespace of the tenant."""
    store, other = opened(1_000), replace(scope, namespace="m")
    assert await store.get(scope, "k") is None
    assert await store.keep(scope, "k", FIRST) == FIRST
    assert await store.keep(other, "k", SECOND) == FIRST
    assert await store.get(other, "k") == FIRST


async def test_another_tenants_key_is_another_key(opened: Open, scope: Scope) -> None:
    """Tenants do not see each other's answers."""
    store = opened(1_000)
    await store.keep(scope, "k", FIRST)
    assert await store.get(replace(scope, tenant=f"{scope.tenant}2"), "k") is None


async def test_of_many_at_one_moment_one_is_kept(opened: Open, scope: Scope) -> None:
    """All of them get it."""
    store, got = opened(1_000), []

    async def keep(number: int) -> None:
        got.append(await store.keep(scope, "k", Given(str(number), "{}")))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(keep, number)
    assert len(set(got)) == 1


async def test_after_a_day_the_key_is_free(opened: Open, scope: Scope, clock: Ticking) -> None:
    """An answer is kept for 24 hours."""
    store = opened(1_000)
    await store.keep(scope, "k", FIRST)
    clock.now += timedelta(hours=23, minutes=59)
    assert await store.get(scope, "k") == FIRST
    clock.now += timedelta(minutes=2)
    assert await store.get(scope, "k") is None
    assert await store.keep(scope, "k", SECOND) == SECOND


async def test_the_oldest_answers_go(opened: Open, scope: Scope, clock: Ticking) -> None:
    """Beyond the size; the newest stays, be it larger alone."""
    store, large = opened(350), Given("d", "x" * 100)
    for key in "abcd":
        clock.now += timedelta(seconds=1)
        await store.keep(scope, key, large)
    assert [key for key in "abcd" if await store.get(scope, key)] in (["c", "d"], ["b", "c", "d"])


async def test_a_namespaces_answers_are_erased(opened: Open, scope: Scope) -> None:
    """They are counted anew, and another namespace keeps its own, even one whose name begins alike."""
    store, other = opened(1_000), replace(scope, namespace=f"{scope.namespace}/2")
    await store.keep(scope, "k", FIRST)
    await store.keep(other, "l", SECOND)
    assert await store.remaining(scope, None) == 1
    assert (await store.erase(scope, None), await store.remaining(scope, None)) == (1, 0)
    assert (await store.get(scope, "k"), await store.get(other, "l")) == (None, SECOND)
    assert await store.keep(scope, "k", SECOND) == SECOND
