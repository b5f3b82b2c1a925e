"""Threads on a real server: round trips."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from redis.asyncio import Redis

from ingest.conversations.threads import OpenRequest
from memtypes.live.turns import NewTurn
from memtypes.stores.redis.connection.availability import COMMAND, Workload
from memtypes.stores.redis.connection.client import LiveClient
from tests.ingest.conversations.parts import threads_over
from tests.live import fresh_scope

T = TypeVar("T")
pytestmark = pytest.mark.anyio


class Counting(LiveClient):
    """Passes calls on, and counts them: each is one round trip."""

    def __init__(self, inner: LiveClient) -> None:
        self._inner = inner
        self.calls = 0

    async def run(
        self,
        call: Callable[[Redis], Awaitable[T]],
        *,
        idempotent: bool,
        workload: Workload = COMMAND,
        key: str | None = None,
    ) -> T:
        """What the inner client gives."""
        self.calls += 1
        return await self._inner.run(call, idempotent=idempotent, workload=workload, key=key)


async def test_an_append_is_one_round_trip(live: LiveClient) -> None:
    """Limits, count and time to live included; only the first asks for the thread's resource as well."""
    scope, counting = fresh_scope(), Counting(live)
    threads = threads_over(counting, "threads: {r: {max_messages: 100}}")
    opened = await threads.open(scope, OpenRequest(resource="r"))
    await threads.append(scope, opened.thread.id, NewTurn(role="user", content="first"), None)
    before = counting.calls
    for number in range(5):
        await threads.append(scope, opened.thread.id, NewTurn(role="user", content=f"turn {number}"), None)
    assert counting.calls - before == 5
