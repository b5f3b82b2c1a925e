"""The contract of locks, on each kind of server."""

from __future__ import annotations

import asyncio

import pytest

from memtypes.model.errors import LockLost, Overloaded
from memtypes.ports.locks import LockRequest, Locks
from memtypes.stores.redis.locks import RedisLocks
from tests.live import LIVE, fresh_scope

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LIVE)
def locks(request: pytest.FixtureRequest) -> Locks:
    """Each implementation."""
    return RedisLocks(request.getfixturevalue(request.param))


async def test_a_lock_has_one_holder_and_each_has_a_higher_fence(locks: Locks) -> None:
    """Who asks meanwhile is told so after its wait; who asks later gets a higher number."""
    request = LockRequest("one", fresh_scope(), wait_s=0.0)
    first = await locks.acquire(request)
    with pytest.raises(Overloaded, match="held by another"):
        await locks.acquire(request)
    await locks.renew(first)
    assert await locks.release(first)
    second = await locks.acquire(request)
    assert second.fence > first.fence


async def test_only_the_owner_releases_and_renews(locks: Locks) -> None:
    """What was released can't be released again, nor taken from the next holder."""
    request = LockRequest("own", fresh_scope())
    first = await locks.acquire(request)
    await locks.release(first)
    second = await locks.acquire(request)
    assert not await locks.release(first)
    with pytest.raises(LockLost):
        await locks.renew(first)
    await locks.renew(second)


async def test_locks_of_two_scopes_and_of_the_service_do_not_meet(locks: Locks) -> None:
    """A name is a scope's own."""
    here = fresh_scope()
    requests = [LockRequest("x", here), LockRequest("x", fresh_scope()), LockRequest(str(here.namespace))]
    leases = [await locks.acquire(request) for request in requests]
    assert all([await locks.release(lease) for lease in leases])


async def test_a_lock_is_renewed_while_it_is_held(locks: Locks) -> None:
    """Work may take longer than the time limit."""
    request = LockRequest("long", fresh_scope(), ttl_s=0.5, wait_s=0.0)
    async with locks.held(request):
        await asyncio.sleep(0.9)
        with pytest.raises(Overloaded):
            await locks.acquire(request)
    assert await locks.release(await locks.acquire(request))


async def test_a_block_whose_lock_was_lost_is_told_so(locks: Locks) -> None:
    """At its end, when another has it."""
    request = LockRequest("lost", fresh_scope(), ttl_s=30.0)

    async def work() -> None:
        async with locks.held(request) as lease:
            await locks.release(lease)
            await locks.acquire(request)

    with pytest.raises(LockLost):
        await work()


async def test_a_place_in_the_queue_is_given_up(locks: Locks) -> None:
    """One that stopped waiting keeps nobody waiting."""
    scope = fresh_scope()
    lease = await locks.acquire(LockRequest("queue", scope))
    with pytest.raises(Overloaded):
        await locks.acquire(LockRequest("queue", scope, wait_s=0.05))
    await locks.release(lease)
    assert await locks.release(await locks.acquire(LockRequest("queue", scope, wait_s=0.0)))
