"""The lane, with functions that stand in for a model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from memtypes.encoders.batching import Lane, LaneSettings
from memtypes.model.errors import Overloaded, Unavailable

pytestmark = pytest.mark.anyio

WAIT_S = 5


class Gate:
    """Work that doubles numbers, records its runs and can be held at its door."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        """The doubles, once the gate is open."""
        self.runs.append(list(numbers))
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.open.wait(WAIT_S)
        return [number * 2 for number in numbers]


def lane_of(work: Callable[[Sequence[int]], list[int]], *, turn: int = 4, waiting: int = 100) -> Lane[int, int]:
    """A running lane."""
    return Lane.start(LaneSettings("test lane", turn, waiting), work)


@contextmanager
def held(gate: Gate) -> Iterator[None]:
    """The gate is shut inside, and open again afterwards whatever happens."""
    gate.entered.clear()
    gate.open.clear()
    try:
        yield
    finally:
        gate.open.set()


async def occupied(lane: Lane[int, int], gate: Gate) -> asyncio.Task[list[int]]:
    """A call that is under way and stays at the gate."""
    task = asyncio.create_task(lane.run([0]))
    assert await asyncio.to_thread(gate.entered.wait, WAIT_S)
    return task


async def test_outputs_come_in_order() -> None:
    """A call longer than a turn gets one output an input, in order, from one thread."""
    gate = Gate()
    lane = lane_of(gate, turn=3)
    assert await lane.run(list(range(10))) == [number * 2 for number in range(10)]
    assert [len(run) for run in gate.runs] == [3, 3, 3, 1]
    assert len(gate.threads) == 1
    await lane.aclose()


async def test_nothing_asked_nothing_run() -> None:
    """An empty call is answered without a run."""
    gate = Gate()
    lane = lane_of(gate)
    assert await lane.run([]) == []
    assert gate.runs == []
    await lane.aclose()


async def test_waiting_callers_share_a_run() -> None:
    """Calls that queued up while the lane was busy are gathered into one run."""
    gate = Gate()
    lane = lane_of(gate)
    with held(gate):
        first = await occupied(lane, gate)
        others = [asyncio.create_task(lane.run([number])) for number in (1, 2, 3)]
        await asyncio.sleep(0)
    assert await asyncio.gather(first, *others) == [[0], [2], [4], [6]]
    assert gate.runs == [[0], [1, 2, 3]]
    await lane.aclose()


async def test_a_long_call_does_not_hold_up_a_short_one() -> None:
    """A call that came later gets its turn between the turns of a long one."""
    gate = Gate()
    lane = lane_of(gate, turn=2)
    with held(gate):
        first = await occupied(lane, gate)
        long = asyncio.create_task(lane.run([1, 2, 3, 4, 5, 6]))
        await asyncio.sleep(0)
        short = asyncio.create_task(lane.run([9]))
        await asyncio.sleep(0)
    assert list(await asyncio.gather(first, long, short)) == [[0], [2, 4, 6, 8, 10, 12], [18]]
    assert gate.runs == [[0], [1, 2], [9, 3], [4, 5], [6]]
    await lane.aclose()


async def test_full_queue_refuses() -> None:
    """What would exceed the queue is refused at once; what waits is still served."""
    gate = Gate()
    lane = lane_of(gate, waiting=3)
    with held(gate):
        first = await occupied(lane, gate)
        second = asyncio.create_task(lane.run([1, 2]))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="test lane has 2 texts waiting"):
            await lane.run([3, 4])
        third = asyncio.create_task(lane.run([5]))
        await asyncio.sleep(0)
    assert list(await asyncio.gather(first, second, third)) == [[0], [2, 4], [10]]
    assert await lane.run([7]) == [14]
    await lane.aclose()


async def test_a_call_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    """One large call is no overload."""
    lane = lane_of(Gate(), waiting=3)
    assert len(await lane.run(list(range(50)))) == 50
    await lane.aclose()


async def test_an_error_reaches_the_callers_of_its_run_only() -> None:
    """A run's error goes to its callers, rest of a long call included, and the lane goes on."""

    def work(numbers: Sequence[int]) -> list[int]:
        if 13 in numbers:
            raise ValueError("unlucky")
        return list(numbers)

    lane = lane_of(work, turn=2, waiting=8)
    with pytest.raises(ValueError, match="unlucky"):
        await lane.run([13, 2, 3, 4, 5, 6, 7, 8])
    assert await lane.run([1, 2, 3]) == [1, 2, 3]
    await lane.aclose()


async def test_a_cancelled_caller_leaves_the_queue() -> None:
    """What a cancelled caller asked for is not computed, and its place is free."""
    gate = Gate()
    lane = lane_of(gate, waiting=2)
    with held(gate):
        first = await occupied(lane, gate)
        gone = asyncio.create_task(lane.run([1, 2]))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    assert await first == [0]
    assert await lane.run([5]) == [10]
    assert gate.runs == [[0], [5]]
    await lane.aclose()


async def test_a_caller_cancelled_midway_is_dropped() -> None:
    """A long call whose caller goes away stops after the turn under way."""
    gate = Gate()
    lane = lane_of(gate, turn=1)
    with held(gate):
        long = asyncio.create_task(lane.run([1, 2, 3]))
        assert await asyncio.to_thread(gate.entered.wait, WAIT_S)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
    assert await lane.run([5]) == [10]
    assert gate.runs == [[1], [5]]
    await lane.aclose()


async def test_closing_finishes_what_is_under_way_and_refuses_the_rest() -> None:
    """The run under way is answered; what waits, and what comes later, is refused."""
    gate = Gate()
    lane = lane_of(gate, turn=1)
    with held(gate):
        first = await occupied(lane, gate)
        waiting = asyncio.create_task(lane.run([1]))
        await asyncio.sleep(0)
        closing = asyncio.create_task(lane.aclose())
        await asyncio.sleep(0)
    await closing
    assert await first == [0]
    with pytest.raises(Unavailable, match="test lane is closed"):
        await waiting
    with pytest.raises(Unavailable, match="test lane is closed"):
        await lane.run([2])
    await lane.aclose()
