"""What leaves a thread is kept exactly once, whatever dies on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from redis.asyncio import Redis

from ingest.conversations.requests import Opening
from ingest.conversations.threads import Threads
from memtypes.live.evicted_turns import Departure, ThreadKeeper
from memtypes.live.turns import NewTurn
from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.scope import Scope
from memtypes.ports.memory_store import Listing
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.connection.concurrency import COMMAND, Work
from tests.fakes import FakeStore
from tests.ingest.conversations.parts import keeper_over, threads_over
from tests.live import fresh_scope

T = TypeVar("T")
pytestmark = pytest.mark.anyio
POLICY = "threads: {r: {type: message_count_based, max_messages: 10}}"


class Dying(ThreadKeeper):
    """Keeps, and dies before it can say so; or dies before."""

    def __init__(self, inner: ThreadKeeper | None) -> None:
        self._inner = inner

    async def keep(self, scope: Scope, departure: Departure) -> list[str]:
        """Never an answer."""
        if self._inner is not None:
            await self._inner.keep(scope, departure)
        raise Unavailable("killed")


@pytest.mark.parametrize("after", [True, False])
async def test_a_death_on_the_way_loses_and_doubles_nothing(live: LiveClient, after: bool) -> None:  # noqa: FBT001 - a case
    """Before or after the memory was written: another process makes it good."""
    store, scope = FakeStore(), fresh_scope()
    whole = threads_over(live, POLICY, keeper_over(store))
    dying = threads_over(live, POLICY, Dying(keeper_over(store) if after else None))
    await eight_turns(dying, scope)
    assert await whole.outbox.drain_all() >= 1
    page = await store.page(scope, Listing(types=(MemoryType.EPISODIC,), limit=50))
    indices = [index for memory in page.memories for index in (memory.source.turns if memory.source else [])]
    assert sorted(indices) == [0, 1, 2]
    assert await whole.outbox.drain(scope) == {}


async def eight_turns(threads: Threads, scope: Scope) -> None:
    """Enough for one flush."""
    opened = await threads.open(scope, Opening(resource="r"))
    said = [await threads.say(scope, opened.thread.id, NewTurn(role="user", content="ok"), None) for _ in range(8)]
    assert said[-1].flushed == 3


class Counting(LiveClient):
    """Passes calls on, and counts them: each is one round trip."""

    def __init__(self, inner: LiveClient) -> None:
        self._inner = inner
        self.calls = 0

    async def run(
        self, call: Callable[[Redis], Awaitable[T]], *, repeatable: bool, work: Work = COMMAND, key: str | None = None
    ) -> T:
        """What the inner client gives."""
        self.calls += 1
        return await self._inner.run(call, repeatable=repeatable, work=work, key=key)


async def test_an_append_is_one_round_trip(live: LiveClient) -> None:
    """Limits, count and time to live included; only the first asks for the thread's resource as well."""
    scope, counting = fresh_scope(), Counting(live)
    threads = threads_over(counting, "threads: {r: {max_messages: 100}}")
    opened = await threads.open(scope, Opening(resource="r"))
    await threads.say(scope, opened.thread.id, NewTurn(role="user", content="first"), None)
    before = counting.calls
    for number in range(5):
        await threads.say(scope, opened.thread.id, NewTurn(role="user", content=f"turn {number}"), None)
    assert counting.calls - before == 5
