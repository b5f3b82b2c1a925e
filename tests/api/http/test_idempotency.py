"""Idempotent calls: a call repeated with its idempotency key and body gets the first answer."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from api.http.idempotency import IdempotentCalls
from memtypes.model.errors import Conflict, Unavailable
from memtypes.model.scope import Scope
from tests.fakes_answers import FakeAnswers

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)

SCOPE = Scope("t", "n")


class Maker:
    """A fake call that counts its runs and returns the count as bytes."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> bytes:
        """Count the run and return its number."""
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        return str(self.asked).encode()


@pytest.fixture
def once() -> IdempotentCalls:
    """An `IdempotentCalls` whose store has no answers yet."""
    return IdempotentCalls(FakeAnswers(lambda: NOW))


async def test_same_key_and_body_get_the_same_answer(once: IdempotentCalls) -> None:
    """A call repeated with its key and body is not run again and gets the stored answer, even from
    another instance.
    """
    answers = FakeAnswers(lambda: NOW)
    make = Maker()
    first = await IdempotentCalls(answers).answer(SCOPE, "k", "d", make)
    assert (await IdempotentCalls(answers).answer(SCOPE, "k", "d", make), make.asked) == (first, 1)
    await once.answer(SCOPE, "k", "d", make)
    assert make.asked == 2


async def test_concurrent_calls_share_one_answer(once: IdempotentCalls) -> None:
    """A second call with the same key waits and gets the answer of the first."""
    make = Maker()
    got = []

    async def ask() -> None:
        got.append(await once.answer(SCOPE, "k", "d", make))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert (make.asked, len(set(got)), len(got)) == (1, 1, 5)


async def test_a_key_used_for_another_body_is_a_conflict(once: IdempotentCalls) -> None:
    make = Maker()
    await once.answer(SCOPE, "k", "d", make)
    with pytest.raises(Conflict, match="another body"):
        await once.answer(SCOPE, "k", "e", make)
    assert make.asked == 1


async def test_the_key_of_a_failed_call_can_be_used_again(once: IdempotentCalls) -> None:

    async def fail() -> bytes:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await once.answer(SCOPE, "k", "d", fail)
    assert await once.answer(SCOPE, "k", "e", Maker()) == b"1"
