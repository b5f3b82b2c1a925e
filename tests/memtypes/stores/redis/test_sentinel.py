"""Redis Sentinel: clients find the primary by its name, and the promoted replica after a
failover.
"""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest

from memtypes.model.errors import Unavailable
from memtypes.ports.locks import LockRequest
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks
from tests.live import client_of, fresh_scope
from tests.servers import running_sentinel

pytestmark = pytest.mark.anyio
WAIT_S = 60.0


async def push_until_written(live: LiveClient, key: str, value: str) -> None:
    """Append `value` to the list at `key`; try again until the primary accepts it."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            await live.run(lambda redis: redis.rpush(key, value), idempotent=False)
        except Unavailable:
            assert time.monotonic() < deadline
            await anyio.sleep(0.1)
        else:
            return


@pytest.mark.slow
async def test_a_replica_takes_over_with_all_data(tmp_path: Path) -> None:
    """After a failover calls succeed again, and the replica has all data, locks and fences."""
    key = fresh_scope().namespace
    request = LockRequest("kept", fresh_scope(), ttl_s=120.0, wait_s=0.0)
    with running_sentinel(tmp_path, "main") as (sentinel, primary, replica):
        async with client_of(f"redis+sentinel://127.0.0.1:{sentinel.port}/main") as live:
            lease = await RedisLocks(live).acquire(request)
            await push_until_written(live, key, "before")
            assert await live.run(lambda redis: redis.wait(1, 5_000), idempotent=True) == 1
            primary.process.kill()
            with pytest.raises(Unavailable):
                await live.ping()
            await push_until_written(live, key, "after")
            assert replica.ask("LRANGE", key, 0, -1) == ["before", "after"]
            assert await RedisLocks(live).release(lease)
            lease_after_failover = await RedisLocks(live).acquire(request)
            assert lease_after_failover.fence > lease.fence


async def test_an_unknown_primary_is_unavailable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If Sentinel knows no primary of this name, the log contains the name; the error, which
    clients see, does not.
    """
    with running_sentinel(tmp_path, "main") as (sentinel, _, _):
        async with client_of(f"redis+sentinel://127.0.0.1:{sentinel.port}/other") as live:
            with pytest.raises(Unavailable, match=r"lost$"):
                await live.ping()
    assert "other" in caplog.text
