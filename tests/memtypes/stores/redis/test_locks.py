"""Locks, with real holders: killed, stopped past their time, and many at once; and a server that is stopped."""

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
from memtypes.stores.redis.locks import RedisLocks, fence_key
from tests.live import running_server
from tests.memtypes.stores.redis.holder import GUARDED, SCOPE, turn, write

pytestmark = pytest.mark.anyio
WAIT_S = 60.0
CONTENDERS = 50


@asynccontextmanager
async def holder(live: LiveClient, *arguments: str) -> AsyncIterator[Process]:
    """A process of `holder`, killed at the end."""
    (found,) = (await live.run(lambda redis: redis.config_get("unixsocket"), repeatable=True)).values()
    command = [sys.executable, "-m", "tests.memtypes.stores.redis.holder", str(found), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process) -> list[str]:
    """The words of its next line."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode().split()


async def test_the_lock_of_a_killed_holder_is_free_after_its_time(live: LiveClient) -> None:
    """And not before."""
    locks = RedisLocks(live)
    async with holder(live, "killed", "0.8") as process:
        (_, fence) = await said(process)
        process.kill()
        await process.wait()
        lease = await locks.acquire(LockRequest("killed", SCOPE, wait_s=WAIT_S))
    assert lease.fence > int(fence)
    await locks.release(lease)


async def test_the_late_write_of_a_stopped_holder_is_refused(live: LiveClient) -> None:
    """It was stopped past its time, another wrote, and it goes on as if nothing had happened."""
    locks, request = RedisLocks(live), LockRequest("stopped", SCOPE, wait_s=WAIT_S)
    async with holder(live, "stopped", "0.3") as process:
        assert (await said(process))[0] == "held"
        os.kill(process.pid, signal.SIGSTOP)
        try:
            lease = await locks.acquire(request)
            assert await write(live, request, lease.fence, "in time") == "WRITTEN"
        finally:
            os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        assert await said(process) == ["FENCED"]
    assert await live.run(lambda redis: redis.get(GUARDED), repeatable=True) == "in time"
    await locks.release(lease)


async def test_fifty_contenders_never_meet_and_all_get_their_turns(live: LiveClient) -> None:
    """48 in this process and two processes of their own; every turn has a fence of its own."""
    request = LockRequest("crowd", SCOPE, wait_s=WAIT_S)
    async with holder(live, "crowd", "30", "2") as one, holder(live, "crowd", "30", "2") as two:
        taken = list(await asyncio.gather(*(turn(live, request) for _ in range(CONTENDERS - 2))))
        words = [await said(process) for process in (one, two) for _ in range(2)]
    taken += [(word, int(fence)) for word, fence in words]
    assert {word for word, _ in taken} == {"turn"}
    assert len({fence for _, fence in taken}) == len(taken) == CONTENDERS + 2


async def test_locks_and_fences_outlive_the_server(tmp_path: Path) -> None:
    """Killed and started again it still knows who holds what, and how far the fences are."""
    async with running_server(tmp_path / "live") as live:
        locks, request = RedisLocks(live), LockRequest("kept", SCOPE, ttl_s=60.0, wait_s=0.0)
        lease = await locks.acquire(request)
        pid = (await live.run(lambda redis: redis.info("server"), repeatable=True))["process_id"]
        os.kill(pid, signal.SIGKILL)
        assert await live.run(lambda redis: redis.get(fence_key(request)), repeatable=True) == str(lease.fence)
        with pytest.raises(Overloaded):
            await locks.acquire(request)
        await locks.renew(lease)
        assert await locks.release(lease)
