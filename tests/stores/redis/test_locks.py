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

from memtypes.errors import LockLost, Overloaded
from memtypes.locks import LockRequest
from memtypes.stores.redis.client import LiveClient
from memtypes.stores.redis.locks import RedisLocks, fence_key
from tests.live import fresh_scope, running_server
from tests.stores.redis.holder import GUARDED, SCOPE, turn, write

pytestmark = pytest.mark.anyio
WAIT_S = 60.0
CONTENDERS = 50


@asynccontextmanager
async def holder(live: LiveClient, *arguments: str) -> AsyncIterator[Process]:
    """A process of `holder`, killed at the end."""
    (found,) = (await live.run(lambda redis: redis.config_get("unixsocket"), repeatable=True)).values()
    command = [sys.executable, "-m", "tests.stores.redis.holder", str(found), *arguments]
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


async def test_a_lock_has_one_holder_and_each_has_a_higher_fence(live: LiveClient) -> None:
    """Who asks meanwhile is told so after its wait; who asks later gets a higher number."""
    locks, request = RedisLocks(live), LockRequest("one", fresh_scope(), wait_s=0.0)
    first = await locks.acquire(request)
    with pytest.raises(Overloaded, match="held by another"):
        await locks.acquire(request)
    await locks.renew(first)
    assert await locks.release(first)
    second = await locks.acquire(request)
    assert second.fence > first.fence


async def test_only_the_owner_releases_and_renews(live: LiveClient) -> None:
    """What was released can't be released again, nor taken from the next holder."""
    locks, request = RedisLocks(live), LockRequest("own", fresh_scope())
    first = await locks.acquire(request)
    await locks.release(first)
    second = await locks.acquire(request)
    assert not await locks.release(first)
    with pytest.raises(LockLost):
        await locks.renew(first)
    await locks.renew(second)


async def test_locks_of_two_scopes_and_of_the_service_do_not_meet(live: LiveClient) -> None:
    """A name is a scope's own."""
    locks, here = RedisLocks(live), fresh_scope()
    requests = [LockRequest("x", here), LockRequest("x", fresh_scope()), LockRequest(str(here.namespace))]
    leases = [await locks.acquire(request) for request in requests]
    assert all([await locks.release(lease) for lease in leases])


async def test_a_lock_is_renewed_while_it_is_held(live: LiveClient) -> None:
    """Work may take longer than the time limit."""
    locks, request = RedisLocks(live), LockRequest("long", fresh_scope(), ttl_s=0.5, wait_s=0.0)
    async with locks.held(request):
        await asyncio.sleep(0.9)
        with pytest.raises(Overloaded):
            await locks.acquire(request)
    assert await locks.release(await locks.acquire(request))


async def test_a_block_whose_lock_was_lost_is_told_so(live: LiveClient) -> None:
    """At its end, when another has it."""
    locks, request = RedisLocks(live), LockRequest("lost", fresh_scope(), ttl_s=30.0)

    async def work() -> None:
        async with locks.held(request) as lease:
            await locks.release(lease)
            await locks.acquire(request)

    with pytest.raises(LockLost):
        await work()


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


async def test_a_place_in_the_queue_is_given_up(live: LiveClient) -> None:
    """One that stopped waiting keeps nobody waiting."""
    locks, scope = RedisLocks(live), fresh_scope()
    lease = await locks.acquire(LockRequest("queue", scope))
    with pytest.raises(Overloaded):
        await locks.acquire(LockRequest("queue", scope, wait_s=0.05))
    await locks.release(lease)
    assert await locks.release(await locks.acquire(LockRequest("queue", scope, wait_s=0.0)))


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
