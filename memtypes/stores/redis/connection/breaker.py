"""The circuit breaker: after too many failures nothing is tried for a while, so that a dead server costs nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW = 20
LEAST_CALLS = 10
OPEN_SHARE = 0.5
OPEN_S = 5.0


@dataclass(slots=True)
class Breaker:
    """Opens when at least half of the last calls failed, ten of them at least; closes after one that works.

    clock: seconds that only grow. The outcomes of the last WINDOW calls are remembered.
    """

    clock: Callable[[], float]
    _outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _opened_at: float | None = None

    @property
    def tripped(self) -> bool:
        """Whether it opened and no call has worked since."""
        return self._opened_at is not None

    @property
    def open(self) -> bool:
        """Whether a call would be refused now."""
        return self._opened_at is not None and self.clock() - self._opened_at < OPEN_S

    def allow(self) -> bool:
        """Whether a call may be tried. When the pause is over one may, and the others wait for what becomes of it."""
        if self._opened_at is None:
            return True
        if self.open:
            return False
        self._opened_at = self.clock()
        return True

    def note(self, *, worked: bool) -> None:
        """Remember how a call ended."""
        if worked and self._opened_at is not None:
            self._opened_at = None
            self._outcomes.clear()
        self._outcomes.append(worked)
        failed = self._outcomes.count(False)
        if len(self._outcomes) >= LEAST_CALLS and failed >= OPEN_SHARE * len(self._outcomes):
            self._opened_at = self.clock()
