"""Kinds of work: none is judged by another, and the wait for a turn is not the server's slowness."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio.lowlevel
import pytest

from memtypes.model.errors import Unavailable
from memtypes.model.policy import MemoryType
from memtypes.model.working import Working
from memtypes.ports.working import LiveItem
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.connection.concurrency import Lane, Work
from memtypes.stores.redis.connection.health_probe import Pulse
from memtypes.stores.redis.working import RedisWorking
from tests.builders import make_memory
from tests.live import fresh_scope

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUICK = Work("quick", 0.05, 2)
SERIAL = Work("serial", 0.6, 1)


def lane_of(work: Work) -> Lane:
    """A lane of a server whose pings are answered."""
    return Lane(work, lambda: 0.0, Pulse(anyio.lowlevel.checkpoint, lambda: 0.0))


async def test_what_one_kind_finds_too_slow_stops_no_other(live: LiveClient) -> None:
    """Reads that give up early are refused soon; commands go on, also those of the same moment."""
    key = fresh_scope().namespace

    async def slow() -> None:
        with pytest.raises(Unavailable, match="the live store"):
            await live.run(lambda redis: redis.blpop([key], timeout=9), repeatable=False, work=QUICK)

    for _ in range(10):
        await slow()
        await live.ping()
    with pytest.raises(Unavailable, match="away"):
        await live.run(lambda redis: redis.ping(), repeatable=True, work=QUICK)
    await live.ping()


async def test_the_wait_for_a_turn_is_not_the_servers_slowness(live: LiveClient) -> None:
    """Eight calls of 100 ms, one after the other, all keep a limit of 600 ms."""

    async def call() -> None:
        await live.run(lambda redis: redis.blpop([fresh_scope().namespace], timeout=0.1), repeatable=False, work=SERIAL)

    await asyncio.gather(*[call() for _ in range(8)])


async def test_those_who_wait_are_refused_once_the_first_have_failed() -> None:
    """With one turn at a time and a server that is away, the tenth failure frees all the others."""
    lane, outcomes = lane_of(SERIAL), []

    async def away() -> None:
        await asyncio.sleep(0)
        raise Unavailable("no answer")

    async def call() -> None:
        try:
            async with lane.turn():
                await away()
        except Unavailable as error:
            outcomes.append(str(error))

    await asyncio.gather(*[call() for _ in range(100)])
    assert outcomes == ["no answer"] * 10 + ["the live store is away"] * 90


async def test_a_turn_is_given_back_however_the_call_ends() -> None:
    """By a fault or by being cut off: the next one has it, and neither is a failure of the server."""
    lane = lane_of(SERIAL)
    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            async with lane.turn():
                raise ZeroDivisionError
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), lane.turn():
                await asyncio.sleep(9)
    async with lane.turn():
        pass


async def test_a_use_may_take_longer_than_a_read(live: LiveClient) -> None:
    """It is written to the disk and no answer waits for it: a slow disk loses no use, and stops no read."""
    scope = replace(fresh_scope(), session_id="s")
    item = make_memory(MemoryType.WORKING, "a", scope, session_id="s", created_at=NOW, updated_at=NOW)
    assert isinstance(item, Working)
    items = RedisWorking(live)
    await items.put(scope, LiveItem(item, timedelta(minutes=5)))
    await live.run(lambda redis: redis.client_pause(400, all=False), repeatable=False)
    noted = asyncio.create_task(items.touch(scope, [item.id], NOW))
    (before,) = await items.items(scope)
    assert before.memory.accessed_at is None
    await noted
    (after,) = await items.items(scope)
    assert after.memory.accessed_at == NOW
