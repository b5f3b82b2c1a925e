"""A circuit breaker for calls to a server, which opens if too large a share of the latest calls
failed. Does no I/O.

The breakers of the libraries compared (pybreaker 1.4, aiobreaker 1.2, purgatory 3.0) open after a
number of failures in a row, so they stay closed for a server that answers every other call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

FAILURE_WINDOW = 20
"""Number of latest calls whose success or failure a circuit breaker remembers."""

MIN_CALLS = 10
"""Number of remembered calls below which a circuit breaker does not open."""

FAILURE_RATIO = 0.5
"""Share of failed calls from which a circuit breaker opens."""

OPEN_S = 5.0
"""Seconds for which an open circuit breaker refuses calls."""


class BreakerState(StrEnum):
    """State of a circuit breaker. half_open: one call may be made as a trial; its success closes
    the breaker.
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class CircuitBreaker:
    """Refuses calls (is open) for `open_s` seconds after FAILURE_RATIO of the latest `window` calls
    failed.

    Then it allows a trial call. If the trial call succeeds, the breaker closes. clock: returns
    monotonic seconds. min_calls: the breaker does not open before this many calls were recorded.
    window: number of latest calls that count. open_s: seconds for which it refuses calls.
    """

    clock: Callable[[], float]
    min_calls: int = MIN_CALLS
    window: int = FAILURE_WINDOW
    open_s: float = OPEN_S
    _outcomes: deque[bool] = field(init=False)
    _opened_at: float | None = None

    def __post_init__(self) -> None:
        self._outcomes = deque(maxlen=self.window)

    @property
    def state(self) -> BreakerState:
        """The current state, computed from the clock."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        waiting = self.clock() - self._opened_at < self.open_s
        return BreakerState.OPEN if waiting else BreakerState.HALF_OPEN

    @property
    def tripped(self) -> bool:
        """Whether the breaker is open or half open, that is, no call has succeeded since it
        opened.
        """
        return self._opened_at is not None

    def allow(self) -> bool:
        """Whether a call may be made now. In an open breaker, one trial call may be made every
        `open_s` seconds.
        """
        if self.state is BreakerState.OPEN:
            return False
        if self._opened_at is not None:
            self._opened_at = self.clock()
        return True

    def record(self, *, success: bool) -> None:
        """Record whether a call succeeded, and open or close the breaker accordingly."""
        if success and self._opened_at is not None:
            self._opened_at = None
            self._outcomes.clear()
        self._outcomes.append(success)
        failures = self._outcomes.count(False)
        if len(self._outcomes) >= self.min_calls and failures >= FAILURE_RATIO * len(
            self._outcomes
        ):
            self._opened_at = self.clock()
