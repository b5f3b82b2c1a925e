"""A time limit that a busy process does not mistake for a slow server."""

from __future__ import annotations

import asyncio
import time

import pytest

from memtypes.stores.redis.connection.deadline import answered

pytestmark = pytest.mark.anyio


async def test_what_takes_too_long_is_cut_off() -> None:
    """The call ends with it."""
    cut: list[bool] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cut.append(True)

    with pytest.raises(TimeoutError):
        await answered(slow(), 0.01)
    assert cut == [True]


async def test_an_answer_that_came_while_the_process_was_busy_counts() -> None:
    """Neither the limit nor the wait for the event loop's turn makes it late."""
    loop, answer = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    async def asked() -> str:
        loop.call_soon(time.sleep, 0.1)  # others keep the loop busy past the limit
        loop.call_later(0.01, answer.set_result, "pong")
        return str(await answer)

    assert await answered(asked(), 0.05) == "pong"


async def test_its_own_error_is_told() -> None:
    """As it is, and at once."""

    async def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answered(wrong(), 60.0)


async def test_a_caller_that_is_cancelled_takes_the_call_with_it() -> None:
    """Nothing of it goes on."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        try:
            begun.set()
            await asyncio.sleep(60)
        finally:
            ended.set()

    caller = asyncio.create_task(answered(call(), 60.0))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
