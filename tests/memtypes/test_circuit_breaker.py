"""Circuit breakers, with a fake clock."""

from __future__ import annotations

import pytest

from memtypes.circuit_breaker import FAILURE_WINDOW, MIN_CALLS, OPEN_S, BreakerState, CircuitBreaker


class FakeClock:
    """A clock in seconds that only the test advances."""

    now = 0.0

    def __call__(self) -> float:
        """The current time."""
        return self.now


@pytest.mark.parametrize(
    ("succeeded", "failed", "allowed"), [(0, 9, 1), (0, 10, 0), (5, 5, 0), (6, 5, 1)]
)
def test_the_breaker_opens_when_half_of_at_least_ten_calls_failed(
    succeeded: int, failed: int, allowed: int
) -> None:
    breaker = CircuitBreaker(FakeClock())
    for outcome in [True] * succeeded + [False] * failed:
        breaker.record(success=outcome)
    assert breaker.state is (BreakerState.CLOSED if allowed else BreakerState.OPEN)
    assert breaker.allow() is bool(allowed)


def test_an_open_breaker_lets_one_trial_call_through() -> None:
    """After OPEN_S seconds an open breaker allows one trial call, whose success closes it."""
    clock = FakeClock()
    breaker = CircuitBreaker(clock)
    for _ in range(MIN_CALLS):
        breaker.record(success=False)
    clock.now += OPEN_S - 0.1
    assert not breaker.allow()
    clock.now += 0.1
    assert [breaker.allow(), breaker.allow()] == [True, False]
    breaker.record(success=False)
    assert not breaker.allow()
    clock.now += OPEN_S
    assert breaker.allow()
    breaker.record(success=True)
    assert [breaker.allow(), breaker.allow()] == [True, True]
    breaker.record(success=False)
    assert breaker.allow()


def test_the_breaker_forgets_calls_outside_its_window() -> None:
    """Only the latest FAILURE_WINDOW calls count: nine failures before 20 successes are
    forgotten.
    """
    breaker = CircuitBreaker(FakeClock())
    for outcome in [False] * 9 + [True] * FAILURE_WINDOW + [False] * 9:
        breaker.record(success=outcome)
    assert breaker.allow()
