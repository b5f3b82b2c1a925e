"""The contract of Locks, tested on each implementation."""

from __future__ import annotations

import asyncio

import pytest

from memtypes.model.errors import LockLost, Overloaded
from memtypes.ports.locks import LockRequest, Locks
from memtypes.stores.redis.locks import RedisLocks
from tests.fakes_locks import FakeLocks
from tests.live import LIVE, fresh_scope

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["fake", *LIVE])
def locks(request: pytest.FixtureRequest) -> Locks:
    """The Locks implementation under test: a test runs once with each."""
    return (
        FakeLocks()
        if request.param == "fake"
        else RedisLocks(request.getfixturevalue(request.param))
    )


async def test_a_lock_has_one_holder_and_a_growing_fence(locks: Locks) -> None:
    """A lock that is held can not be acquired. Its next holder gets a higher fence (a number that
    grows).
    """
    request = LockRequest("one", fresh_scope(), wait_s=0.0)
    first = await locks.acquire(request)
    with pytest.raises(Overloaded, match="held by another"):
        await locks.acquire(request)
    await locks.renew(first)
    assert await locks.release(first)
    second = await locks.acquire(request)
    assert second.fence > first.fence


async def test_only_the_holder_renews_and_releases(locks: Locks) -> None:
    """With a lease that was released, a caller can neither renew the lock nor release that of the
    next holder.
    """
    request = LockRequest("own", fresh_scope())
    first = await locks.acquire(request)
    await locks.release(first)
    second = await locks.acquire(request)
    assert not await locks.release(first)
    with pytest.raises(LockLost):
        await locks.renew(first)
    await locks.renew(second)


async def test_locks_of_different_scopes_are_independent(locks: Locks) -> None:
    """Locks with the same name but different scopes, or without a scope, can be held at the same
    time.
    """
    scope = fresh_scope()
    requests = [
        LockRequest("x", scope),
        LockRequest("x", fresh_scope()),
        LockRequest(str(scope.namespace)),
    ]
    leases = [await locks.acquire(request) for request in requests]
    assert all([await locks.release(lease) for lease in leases])


async def test_a_held_lock_is_renewed(locks: Locks) -> None:
    """The block `async with locks.held(...)` keeps the lock even if it takes longer than the lock's
    TTL.
    """
    request = LockRequest("long", fresh_scope(), ttl_s=0.5, wait_s=0.0)
    async with locks.held(request):
        await asyncio.sleep(0.9)
        with pytest.raises(Overloaded):
            await locks.acquire(request)
    assert await locks.release(await locks.acquire(request))


async def test_held_raises_if_the_lock_was_lost(locks: Locks) -> None:
    """If the lock was lost to another caller within the block of held(), the end of the block
    raises LockLost.
    """
    request = LockRequest("lost", fresh_scope(), ttl_s=30.0)

    async def work() -> None:
        async with locks.held(request) as lease:
            await locks.release(lease)
            await locks.acquire(request)

    with pytest.raises(LockLost):
        await work()


async def test_a_caller_that_stops_waiting_leaves_the_queue(locks: Locks) -> None:
    """After a caller has given up waiting, the next caller gets the free lock at once."""
    scope = fresh_scope()
    lease = await locks.acquire(LockRequest("queue", scope))
    with pytest.raises(Overloaded):
        await locks.acquire(LockRequest("queue", scope, wait_s=0.05))
    await locks.release(lease)
    assert await locks.release(await locks.acquire(LockRequest("queue", scope, wait_s=0.0)))


async def test_held_refused_and_lost_locks_are_counted(locks: Locks) -> None:
    request = LockRequest("counted", fresh_scope(), wait_s=0.0)
    counts = locks.counts
    async with locks.held(request):
        with pytest.raises(Overloaded):
            async with locks.held(request):
                pytest.fail("two holders")
    with pytest.raises(LockLost):
        async with locks.held(request) as lease:
            await locks.release(lease)
    assert (counts.acquired, counts.refused, counts.lost) == (2, 1, 1)
    assert counts.wait_seconds > 0
