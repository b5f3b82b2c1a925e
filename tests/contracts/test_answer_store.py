"""The contract of AnswerStore, which stores answers to API calls by idempotency key, for calls that
are repeated.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import anyio
import pytest

from memtypes.model.scope import Scope
from memtypes.ports.answers import AnswerStore, StoredAnswer
from memtypes.stores.redis.answers import RedisAnswers
from memtypes.stores.redis.connection.client import LiveClient
from tests.fakes_answers import FakeAnswers
from tests.live import LIVE

pytestmark = pytest.mark.anyio

FIRST = StoredAnswer("d1", '{"a": "/1/\u00fc"}')
SECOND = StoredAnswer("d2", "{}")
Open: TypeAlias = Callable[[int], AnswerStore]


class MovableClock:
    """A clock that moves only when a test sets it.

    It starts at the real time, because servers expire keys by their clocks.
    """

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """The current time."""
        return self.now


@pytest.fixture
def clock() -> MovableClock:
    """The clock that the stores under test use."""
    return MovableClock()


@pytest.fixture(params=["fake", *LIVE])
def open_store(request: pytest.FixtureRequest, clock: MovableClock) -> Open:
    """A function that opens a store with a maximum size in bytes, for each implementation in
    turn.
    """
    if request.param == "fake":
        return lambda size: FakeAnswers(clock, size)
    live: LiveClient = request.getfixturevalue(request.param)
    return lambda size: RedisAnswers(live, clock, size)


@pytest.fixture
def scope() -> Scope:
    """A scope whose tenant no other test uses."""
    return Scope(f"t {uuid.uuid4()}", "n/1 \u00fc")


async def test_the_first_answer_of_a_key_stays(open_store: Open, scope: Scope) -> None:
    """A second answer with the same idempotency key is not stored, whichever namespace of the
    tenant it is for.
    """
    store = open_store(1_000)
    other_scope = replace(scope, namespace="m")
    assert await store.get(scope, "k") is None
    assert await store.put_if_absent(scope, "k", FIRST) == FIRST
    assert await store.put_if_absent(other_scope, "k", SECOND) == FIRST
    assert await store.get(other_scope, "k") == FIRST


async def test_tenants_do_not_share_keys(open_store: Open, scope: Scope) -> None:
    store = open_store(1_000)
    await store.put_if_absent(scope, "k", FIRST)
    assert await store.get(replace(scope, tenant=f"{scope.tenant}2"), "k") is None


async def test_concurrent_puts_all_return_the_same_answer(open_store: Open, scope: Scope) -> None:
    """If eight answers are put at once for a key, one is stored, and all calls return it."""
    store = open_store(1_000)
    stored = []

    async def put(number: int) -> None:
        stored.append(await store.put_if_absent(scope, "k", StoredAnswer(str(number), "{}")))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(put, number)
    assert len(set(stored)) == 1


async def test_an_answer_expires_after_a_day(
    open_store: Open, scope: Scope, clock: MovableClock
) -> None:
    """A day after an answer was stored, its idempotency key has no answer and can be used for
    another.
    """
    store = open_store(1_000)
    await store.put_if_absent(scope, "k", FIRST)
    clock.now += timedelta(hours=23, minutes=59)
    assert await store.get(scope, "k") == FIRST
    clock.now += timedelta(minutes=2)
    assert await store.get(scope, "k") is None
    assert await store.put_if_absent(scope, "k", SECOND) == SECOND


async def test_the_oldest_answers_are_dropped_beyond_the_size(
    open_store: Open, scope: Scope, clock: MovableClock
) -> None:
    """When the stored answers exceed the maximum size in bytes, the oldest are dropped.

    The newest answer stays, even if it alone is larger.
    """
    store = open_store(350)
    large = StoredAnswer("d", "x" * 100)
    for key in "abcd":
        clock.now += timedelta(seconds=1)
        await store.put_if_absent(scope, key, large)
    assert [key for key in "abcd" if await store.get(scope, key)] in (["c", "d"], ["b", "c", "d"])


async def test_erase_removes_the_answers_of_one_namespace(open_store: Open, scope: Scope) -> None:
    """Erasing a namespace removes its answers, but not those of a namespace whose name begins with
    the erased name.
    """
    store = open_store(1_000)
    other_scope = replace(scope, namespace=f"{scope.namespace}/2")
    await store.put_if_absent(scope, "k", FIRST)
    await store.put_if_absent(other_scope, "l", SECOND)
    assert await store.remaining(scope, None) == 1
    assert (await store.erase(scope, None), await store.remaining(scope, None)) == (1, 0)
    assert (await store.get(scope, "k"), await store.get(other_scope, "l")) == (None, SECOND)
    assert await store.put_if_absent(scope, "k", SECOND) == SECOND
