"""Redis locks whose holders or server are killed or stopped, or for which many contend."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from memtypes.model.errors import Overloaded
from memtypes.ports.locks import LockRequest
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.keys import live_key
from memtypes.stores.redis.locks import RedisLocks
from tests.live import running_server
from tests.memtypes.stores.redis.lock_holder import GUARDED, SCOPE, guarded_write, take_turn

pytestmark = pytest.mark.anyio
WAIT_S = 60.0
CONTENDERS = 50


@asynccontextmanager
async def lock_holder(live: LiveClient, *arguments: str) -> AsyncIterator[Process]:
    """Start lock_holder.py with the arguments NAME, TTL and perhaps TURNS; kill it at the end of
    the context.
    """
    (socket,) = (
        await live.run(lambda redis: redis.config_get("unixsocket"), idempotent=True)
    ).values()
    command = [
        sys.executable,
        "-m",
        "tests.memtypes.stores.redis.lock_holder",
        str(socket),
        *arguments,
    ]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def next_line(process: Process) -> list[str]:
    """The words of the next line that the process prints."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode().split()


async def test_the_lock_of_a_killed_holder_is_free_after_its_ttl(live: LiveClient) -> None:
    """Once the lock of a killed holder has expired, the next holder acquires it with a higher
    fence.
    """
    locks = RedisLocks(live)
    async with lock_holder(live, "killed", "0.8") as process:
        (_, fence) = await next_line(process)
        process.kill()
        await process.wait()
        lease = await locks.acquire(LockRequest("killed", SCOPE, wait_s=WAIT_S))
    assert lease.fence > int(fence)
    await locks.release(lease)


async def test_the_late_write_of_a_paused_holder_is_fenced(live: LiveClient) -> None:
    """A paused holder's write is refused once its lock has expired and the next holder has
    written.
    """
    locks = RedisLocks(live)
    request = LockRequest("stopped", SCOPE, wait_s=WAIT_S)
    async with lock_holder(live, "stopped", "0.3") as process:
        assert (await next_line(process))[0] == "held"
        os.kill(process.pid, signal.SIGSTOP)
        try:
            lease = await locks.acquire(request)
            assert await guarded_write(live, lease.fence, "in time") == "WRITTEN"
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        assert await next_line(process) == ["FENCED"]
    assert await live.run(lambda redis: redis.get(GUARDED), idempotent=True) == "in time"
    await locks.release(lease)


async def test_fifty_contenders_all_get_the_lock_one_at_a_time(live: LiveClient) -> None:
    """48 tasks and 2 other processes all acquire the lock, one at a time, and each acquisition has
    another fence.
    """
    request = LockRequest("crowd", SCOPE, wait_s=WAIT_S)
    async with (
        lock_holder(live, "crowd", "30", "2") as first,
        lock_holder(live, "crowd", "30", "2") as second,
    ):
        turns = list(
            await asyncio.gather(*(take_turn(live, request) for _ in range(CONTENDERS - 2)))
        )
        lines = [await next_line(process) for process in (first, second) for _ in range(2)]
    turns += [(word, int(fence)) for word, fence in lines]
    assert {word for word, _ in turns} == {"alone"}
    assert len({fence for _, fence in turns}) == len(turns) == CONTENDERS + 2


async def test_locks_and_fences_survive_a_killed_server(tmp_path: Path) -> None:
    """After a killed server is restarted, it still has the lock's holder and the last fence."""
    async with running_server(tmp_path / "live") as live:
        locks = RedisLocks(live)
        request = LockRequest("kept", SCOPE, ttl_s=60.0, wait_s=0.0)
        lease = await locks.acquire(request)
        pid = (await live.run(lambda redis: redis.info("server"), idempotent=True))["process_id"]
        os.kill(pid, signal.SIGKILL)
        fence_key = live_key(SCOPE, "lock-fence", "kept")
        assert await live.run(lambda redis: redis.get(fence_key), idempotent=True) == str(
            lease.fence
        )
        with pytest.raises(Overloaded):
            await locks.acquire(request)
        await locks.renew(lease)
        assert await locks.release(lease)
