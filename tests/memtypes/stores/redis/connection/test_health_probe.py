"""Doubts about the live store: whoever can do without it is refused at once, and a ping ends the doubt."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from memtypes.model.errors import Unavailable
from memtypes.stores.redis.connection.breaker import LEAST_CALLS
from memtypes.stores.redis.connection.client import LiveClient
from memtypes.stores.redis.connection.concurrency import READ, RECEIPT, Lane, Work
from memtypes.stores.redis.connection.health_probe import Pulse
from memtypes.stores.redis.working import RedisWorking
from tests.live import fresh_scope, running_server
from tests.memtypes.stores.engines import until

pytestmark = pytest.mark.anyio
CAN_WAIT = Work("can wait", 0.5, 4)


class Pings:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.sent = 0
        self.answered = False

    async def __call__(self) -> None:
        """Count, and answer or not."""
        self.sent += 1
        if not self.answered:
            raise Unavailable("no answer")


async def fail(lane: Lane) -> str:
    """What a call that fails is told."""
    with pytest.raises(Unavailable) as refused:
        async with lane.turn():
            raise Unavailable("no answer")
    return str(refused.value)


async def test_one_failure_speaks_for_all_that_can_be_done_without() -> None:
    """After it reads are refused untried, receipts when their time is over too, until a ping is answered.

    What has to happen is tried.
    """
    pings, seconds = Pings(), [10.0]
    pulse = Pulse(pings, lambda: seconds[0])
    reads, receipts, commands = (Lane(work, time.monotonic, pulse) for work in (READ, RECEIPT, CAN_WAIT))
    tried, untried = "no answer", "the live store is away"
    assert [await fail(lane) for lane in (reads, reads, receipts)] == [tried, untried, tried]
    seconds[0] += RECEIPT.limit_s - READ.limit_s
    assert [await fail(lane) for lane in (reads, receipts, commands)] == [untried, untried, tried]
    pings.answered = True
    await until(lambda: pulse.sure)
    async with reads.turn(), receipts.turn():
        pass
    await pulse.aclose()


async def test_a_server_that_answers_others_is_not_in_doubt() -> None:
    """A call that takes too long while another one is answered says nothing of the server."""
    seconds = [10.0]
    pulse = Pulse(Pings(), lambda: seconds[0])
    reads = Lane(READ, lambda: seconds[0], pulse)
    async with reads.turn():
        pass
    seconds[0] += READ.limit_s / 2
    await fail(reads)
    assert pulse.sure
    seconds[0] += READ.limit_s
    await fail(reads)
    assert not pulse.sure
    await pulse.aclose()


async def test_a_failed_command_alone_raises_no_doubt() -> None:
    """A command may take long for reasons of its own; ten that fail do."""
    pulse = Pulse(Pings(), time.monotonic)
    commands = Lane(CAN_WAIT, time.monotonic, pulse)
    for _ in range(LEAST_CALLS - 1):
        await fail(commands)
    assert pulse.sure
    await fail(commands)
    assert not pulse.sure
    await pulse.aclose()


async def test_no_caller_is_the_one_to_find_out() -> None:
    """While pings fail a command is refused also when the breaker's pause is over; a ping lets it try again."""
    seconds, pings = [0.0], Pings()
    pulse = Pulse(pings, time.monotonic)
    commands = Lane(CAN_WAIT, lambda: seconds[0], pulse)
    for _ in range(LEAST_CALLS):
        await fail(commands)
    seconds[0] = 60.0
    assert await fail(commands) == "the live store is away"
    pings.answered = True
    await until(lambda: pulse.sure)
    async with commands.turn():
        pass
    await pulse.aclose()


async def test_pings_become_rare() -> None:
    """Ten in a row that fail open the breaker of the pings: then one is sent each five seconds of its clock."""
    seconds, pings = [0.0], Pings()
    pulse = Pulse(pings, lambda: seconds[0])
    pulse.doubt(0.1)
    pulse.doubt(0.1)
    await until(lambda: pings.sent == LEAST_CALLS)
    await asyncio.sleep(0.2)
    assert pings.sent == LEAST_CALLS
    await pulse.aclose()


async def test_a_stopped_server_costs_one_read_its_patience(tmp_path: Path) -> None:
    """The first read waits 100 ms, the others nothing; a read after the server goes on is answered again."""
    async with running_server(tmp_path) as live:
        pid = int((await live.run(lambda redis: redis.info("server"), repeatable=True))["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            assert not await read(live)
            began = time.monotonic()
            assert not any([await read(live) for _ in range(500)])
            assert time.monotonic() - began < 50 * READ.limit_s  # of the 500 that so many time limits would be
        finally:
            os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 30.0
        while not await read(live):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_a_listing_waits_for_a_slow_server_where_a_retrieval_does_not(tmp_path: Path) -> None:
    """While the server rests for 400 ms a retrieval's read is given up, and whoever asks for the items has them."""
    async with running_server(tmp_path) as live:
        items, scope = RedisWorking(live), replace(fresh_scope(), session_id="s")
        await live.run(lambda redis: redis.client_pause(400, all=True), repeatable=False)
        with pytest.raises(Unavailable):
            await items.items(scope, optional=True)
        assert await items.items(scope) == []


async def read(live: LiveClient) -> bool:
    """Whether a read is answered."""
    try:
        await live.run(lambda redis: redis.get("a"), repeatable=False, work=READ, key="a")
    except Unavailable:
        return False
    return True
