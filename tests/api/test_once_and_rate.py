"""Answers given again, and calls counted: both with a clock of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import pytest

from api.once import RecentAnswers
from api.problems import TooMany
from api.rate import RateLimit
from memtypes.errors import Conflict, Unavailable

pytestmark = pytest.mark.anyio


class Ticking:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time it was set to."""
        return self.now


class Maker:
    """Counts how often it is asked."""

    def __init__(self, size: int = 1) -> None:
        self.asked = 0
        self._size = size

    async def __call__(self) -> bytes:
        """The next answer."""
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        return b"x" * self._size + str(self.asked).encode()


async def test_the_same_key_and_body_get_the_same_answer() -> None:
    """The work is done once."""
    answers, make = RecentAnswers(), Maker()
    first = await answers.once(("t", "k"), b"d", make)
    assert (await answers.once(("t", "k"), b"d", make), make.asked) == (first, 1)


async def test_two_at_the_same_moment_share_one_answer() -> None:
    """The second waits for the first."""
    answers, make, got = RecentAnswers(), Maker(), []

    async def ask() -> None:
        got.append(await answers.once(("t", "k"), b"d", make))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert (make.asked, len(set(got)), len(got)) == (1, 1, 5)


async def test_another_body_is_a_conflict() -> None:
    """A key stands for one body."""
    answers = RecentAnswers()
    await answers.once(("t", "k"), b"d", Maker())
    with pytest.raises(Conflict, match="another body"):
        await answers.once(("t", "k"), b"e", Maker())


async def test_another_tenants_key_is_another_key() -> None:
    """Tenants do not see each other's answers."""
    answers, make = RecentAnswers(), Maker()
    await answers.once(("t", "k"), b"d", make)
    await answers.once(("u", "k"), b"e", make)
    assert make.asked == 2


async def test_a_call_that_failed_leaves_no_trace() -> None:
    """After a failure the key is free, also for another body."""
    answers = RecentAnswers()

    async def fail() -> bytes:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await answers.once(("t", "k"), b"d", fail)
    assert await answers.once(("t", "k"), b"e", Maker()) == b"x1"


async def test_after_a_day_the_key_is_free() -> None:
    """An answer is kept for 24 hours."""
    clock = Ticking()
    answers, make = RecentAnswers(clock), Maker()
    await answers.once(("t", "k"), b"d", make)
    clock.now += timedelta(hours=23, minutes=59)
    await answers.once(("t", "k"), b"d", make)
    assert make.asked == 1
    clock.now += timedelta(minutes=2)
    await answers.once(("t", "k"), b"e", make)
    assert make.asked == 2


async def test_answers_are_bounded_oldest_first() -> None:
    """Beyond the size the oldest goes, the newest stays."""
    answers, make = RecentAnswers(max_bytes=250), Maker(100)
    for key in "abcd":
        await answers.once(("t", key), b"d", make)
    await answers.once(("t", "d"), b"d", make)
    assert make.asked == 4
    await answers.once(("t", "a"), b"d", make)
    assert make.asked == 5


async def test_a_bucket_empties_and_refills() -> None:
    """So many calls a minute, and a wait that is true."""
    now = [0.0]
    rate = RateLimit(2, lambda: now[0])
    rate.take("k")
    rate.take("k")
    rate.take("other")
    with pytest.raises(TooMany) as caught:
        rate.take("k")
    now[0] += caught.value.retry_after_s
    rate.take("k")


async def test_without_a_limit_nobody_waits() -> None:
    """0 sets no limit."""
    rate = RateLimit(0)
    for _ in range(1_000):
        rate.take("k")
