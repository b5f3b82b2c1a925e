"""The circuit breaker."""

from __future__ import annotations

import pytest

from memtypes.stores.redis.connection.breaker import LEAST_CALLS, OPEN_S, WINDOW, Breaker


class Seconds:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.mark.parametrize(("worked", "failed", "allowed"), [(0, 9, 1), (0, 10, 0), (5, 5, 0), (6, 5, 1)])
def test_it_opens_at_half_of_at_least_ten(worked: int, failed: int, allowed: int) -> None:
    """Nine failures are too few to tell; of ten calls or more, half must have failed."""
    breaker = Breaker(Seconds())
    for outcome in [True] * worked + [False] * failed:
        breaker.note(worked=outcome)
    assert breaker.open is not bool(allowed)
    assert breaker.allow() is bool(allowed)


def test_one_call_is_tried_after_the_pause() -> None:
    """When the pause is over one call may try; if it fails the pause begins anew, if it works all may."""
    clock = Seconds()
    breaker = Breaker(clock)
    for _ in range(LEAST_CALLS):
        breaker.note(worked=False)
    clock.now += OPEN_S - 0.1
    assert not breaker.allow()
    clock.now += 0.1
    assert [breaker.allow(), breaker.allow()] == [True, False]
    breaker.note(worked=False)
    assert not breaker.allow()
    clock.now += OPEN_S
    assert breaker.allow()
    breaker.note(worked=True)
    assert [breaker.allow(), breaker.allow()] == [True, True]
    breaker.note(worked=False)
    assert breaker.allow()


def test_what_is_long_past_does_not_count() -> None:
    """Only the last calls are looked at."""
    breaker = Breaker(Seconds())
    for outcome in [False] * 9 + [True] * WINDOW + [False] * 9:
        breaker.note(worked=outcome)
    assert breaker.allow()
