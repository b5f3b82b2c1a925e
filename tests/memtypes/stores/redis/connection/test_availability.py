"""Deadlines, circuit breakers, health probes and bulkheads (limits on concurrency) of Redis calls,
with fake clocks.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

import anyio.lowlevel
import pytest

from memtypes.circuit_breaker import MIN_CALLS
from memtypes.model.errors import Unavailable
from memtypes.stores.redis.connection.availability import (
    READ,
    RECEIPT,
    Bulkhead,
    HealthProbe,
    Workload,
    with_deadline,
)
from tests.memtypes.stores.engines import until

pytestmark = pytest.mark.anyio
SERIAL = Workload("serial", 0.6, 1)
REQUIRED = Workload("required", 0.5, 4)


class FakeClock:
    """A clock in seconds that only the test advances."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The current time."""
        return self.now


class Pings:
    """Pings to a server that answers none until `answered` is set. sent: the number of pings."""

    def __init__(self) -> None:
        self.sent = 0
        self.answered = False

    async def __call__(self) -> None:
        """Count the ping; raise Unavailable unless `answered` is set."""
        self.sent += 1
        if not self.answered:
            raise Unavailable("no answer")


def bulkhead(workload: Workload, clock: Callable[[], float] = lambda: 0.0) -> Bulkhead:
    """A bulkhead, which limits the concurrent calls of `workload`, for a server that answers every
    ping.
    """
    return Bulkhead(workload, clock, HealthProbe(anyio.lowlevel.checkpoint, clock))


async def error_of(calls: Bulkhead) -> str:
    """Make a call that gets no answer, and return the error message, which shows whether the call
    was refused.
    """
    with pytest.raises(Unavailable) as refused:
        async with calls.slot():
            raise Unavailable("no answer")
    return str(refused.value)


async def test_a_call_is_cancelled_at_its_deadline() -> None:
    """with_deadline() raises TimeoutError after the call has been cancelled."""
    cancelled: list[bool] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(True)

    with pytest.raises(TimeoutError):
        await with_deadline(slow(), 0.01)
    assert cancelled == [True]


async def test_an_answer_that_arrives_while_the_loop_is_busy_is_in_time() -> None:
    """If the event loop is blocked past a call's deadline, an answer that has arrived meanwhile
    still counts.
    """
    loop = asyncio.get_running_loop()
    answer = asyncio.get_running_loop().create_future()

    async def call() -> str:
        loop.call_soon(time.sleep, 0.1)  # blocks the loop past the deadline
        loop.call_later(0.01, answer.set_result, "pong")
        return str(await answer)

    assert await with_deadline(call(), 0.05) == "pong"


async def test_errors_of_a_call_are_raised_unchanged() -> None:

    async def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await with_deadline(wrong(), 60.0)


async def test_cancelling_the_caller_cancels_the_call() -> None:
    begun = asyncio.Event()
    ended = asyncio.Event()

    async def call() -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            ended.set()

    caller = asyncio.create_task(with_deadline(call(), 60.0))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_asyncio_does_not_log_a_call_that_fails_while_its_caller_is_cancelled() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    logged: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: logged.append(context["message"])
    )

    async def call() -> None:
        await answer

    caller = asyncio.create_task(with_deadline(call(), 60.0))
    await asyncio.sleep(0.01)
    answer.set_exception(ZeroDivisionError())
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    await asyncio.sleep(0)  # the loop lets go of the call
    gc.collect()
    assert logged == []


async def test_one_failure_refuses_optional_calls_until_a_ping_is_answered() -> None:
    """After one failed read, reads are refused at once, and writes of receipts once their timeout
    has passed.

    These are optional calls; required calls are still made. Once a ping is answered, no call is
    refused.
    """
    pings = Pings()
    clock = FakeClock(10.0)
    probe = HealthProbe(pings, clock)
    reads, receipts, commands = (
        Bulkhead(workload, time.monotonic, probe) for workload in (READ, RECEIPT, REQUIRED)
    )
    tried = "no answer"
    refused = "the live store is away"
    assert [await error_of(calls) for calls in (reads, reads, receipts)] == [tried, refused, tried]
    clock.now += RECEIPT.timeout_s - READ.timeout_s
    assert [await error_of(calls) for calls in (reads, receipts, commands)] == [
        refused,
        refused,
        tried,
    ]
    pings.answered = True
    await until(lambda: probe.healthy)
    async with reads.slot(), receipts.slot():
        pass
    await probe.aclose()


async def test_a_server_that_answers_other_calls_is_not_pinged() -> None:
    clock = FakeClock(10.0)
    probe = HealthProbe(Pings(), clock)
    reads = Bulkhead(READ, clock, probe)
    async with reads.slot():
        pass
    clock.now += READ.timeout_s / 2
    await error_of(reads)
    assert probe.healthy
    clock.now += READ.timeout_s
    await error_of(reads)
    assert not probe.healthy
    await probe.aclose()


async def test_required_calls_start_pings_only_when_their_breaker_opens() -> None:
    probe = HealthProbe(Pings(), time.monotonic)
    commands = Bulkhead(REQUIRED, time.monotonic, probe)
    for _ in range(MIN_CALLS - 1):
        await error_of(commands)
    assert probe.healthy
    await error_of(commands)
    assert not probe.healthy
    await probe.aclose()


async def test_no_call_is_tried_while_pings_fail() -> None:
    clock = FakeClock()
    pings = Pings()
    probe = HealthProbe(pings, time.monotonic)
    commands = Bulkhead(REQUIRED, clock, probe)
    for _ in range(MIN_CALLS):
        await error_of(commands)
    clock.now = 60.0
    assert await error_of(commands) == "the live store is away"
    pings.answered = True
    await until(lambda: probe.healthy)
    async with commands.slot():
        pass
    await probe.aclose()


async def test_pings_become_rare_after_ten_failures() -> None:
    """Ten unanswered pings are sent within a second; the next one is sent only OPEN_S seconds
    later.
    """
    clock = FakeClock()
    pings = Pings()
    probe = HealthProbe(pings, clock)
    probe.suspect(0.1)
    probe.suspect(0.1)
    await until(lambda: pings.sent == MIN_CALLS)
    await asyncio.sleep(0.2)
    assert pings.sent == MIN_CALLS
    await probe.aclose()


async def test_queued_calls_are_refused_once_the_breaker_opens() -> None:
    """Of 100 calls that run one at a time, the first ten fail, and the circuit breaker refuses the
    90 in the queue.
    """
    calls = bulkhead(SERIAL)
    outcomes = []

    async def unanswered() -> None:
        await asyncio.sleep(0)
        raise Unavailable("no answer")

    async def call() -> None:
        try:
            async with calls.slot():
                await unanswered()
        except Unavailable as error:
            outcomes.append(str(error))

    await asyncio.gather(*[call() for _ in range(100)])
    assert outcomes == ["no answer"] * 10 + ["the live store is away"] * 90


async def test_a_slot_is_released_however_the_call_ends() -> None:
    """A call that raises an error of its own or is cancelled frees its slot, and does not count as
    a server failure.
    """
    calls = bulkhead(SERIAL)
    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            async with calls.slot():
                raise ZeroDivisionError
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), calls.slot():
                await asyncio.sleep(9)
    async with calls.slot():
        pass
