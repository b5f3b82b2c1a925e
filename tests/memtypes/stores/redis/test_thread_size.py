"""Memory that a conversation thread takes on the live Redis server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from memtypes.live.eviction import ThreadLimits
from memtypes.live.turns import Turn
from memtypes.ports.threads import AppendTurn, NewThread, RequestKey
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.threads import RedisThreads
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_a_thread_of_fifty_turns_takes_less_than_ten_megabytes(live: LiveClient) -> None:
    scope = fresh_scope()
    threads = RedisThreads(live)
    await threads.create(
        scope, NewThread("t", 60, NOW, resource="r", key="k", initial_context="x" * 200_000)
    )
    for number in range(50):
        files = [f"src/package/module_{number}_{file_number}.py" for file_number in range(100)]
        turn = Turn(
            "user", "x" * 65_536, 8_192, NOW + timedelta(seconds=number), files=files, images=files
        )
        request = RequestKey(f"request {number}", "d" * 64)
        await threads.append(
            scope, AppendTurn("t", turn, "0", ThreadLimits(None, None, 50), request=request)
        )

    async def size(redis: Redis) -> int:
        keys = await live.keys_of(scope)
        return sum([await redis.memory_usage(key, samples=0) or 0 for key in keys])

    taken = await live.run(size, idempotent=True)
    assert 3_000_000 < taken < 10_000_000
