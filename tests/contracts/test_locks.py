"""The contract of Locks."""

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
    """Each implementation."""
    return FakeLocks() if request.param == "fake" else RedisLocks(request.getfixturevalue(request.param))


async def test_a_lock_has_one_holder_and_a_growing_fence(locks: Locks) -> None:
    """A second caller waits in vain; the next holder has a higher fence."""
    request = LockRequest("one", fresh_scope(), wait_s=0.0)
    first = await locks.acquire(request)
    with pytest.raises(Overloaded, match="held by another"):
        await locks.acquire(request)
    await locks.renew(first)
    assert await locks.release(first)
    second = await locks.acquire(request)
    assert second.fence > first.fence


async def test_only_the_holder_renews_and_releases(locks: Locks) -> None:
    """A released lease can't be released again or take the lock from the next holder."""
    request = LockRequest("own", fresh_scope())
    first = await locks.acquire(request)
    await locks.release(first)
    second = await locks.acquire(request)
    assert not await locks.release(first)
    with pytest.raises(LockLost):
        await locks.renew(first)
    await locks.renew(second)


async def test_locks_of_different_scopes_are_independent(locks: Locks) -> None:
    """Also of locks of the whole service."""
    scope = fresh_scope()
    requests = [LockRequest("x", scope), LockRequest("x", fresh_scope()), LockRequest(str(scope.namespace))]
    leases = [await locks.acquire(request) for request in requests]
    assert all([await locks.release(lease) for lease in leases])


async def test_a_held_lock_is_renewed(locks: Locks) -> None:
    """The block may take longer than the TTL."""
    request = LockRequest("long", fresh_scope(), ttl_s=0.5, wait_s=0.0)
    async with locks.held(request):
        await asyncio.sleep(0.9)
        with pytest.raises(Overloaded):
            await locks.acquire(request)
    assert await locks.release(await locks.acquire(request))


async def test_held_raises_if_the_lock_was_lost(locks: Locks) -> None:
    """At the end of the block, when another has acquired it."""
    request = LockRequest("lost", fresh_scope(), ttl_s=30.0)

    async def work() -> None:
        async with locks.held(request) as lease:
            await locks.release(lease)
            await locks.acquire(request)

    with pytest.raises(LockLost):
        await work()


async def test_a_caller_that_stops_waiting_leaves_the_queue(locks: Locks) -> None:
    """The next caller need not wait for it."""
    scope = fresh_scope()
    lease = await locks.acquire(LockRequest("queue", scope))
    with pytest.raises(Overloaded):
        await locks.acquire(LockRequest("queue", scope, wait_s=0.05))
    await locks.release(lease)
    assert await locks.release(await locks.acquire(LockRequest("queue", scope, wait_s=0.0)))
