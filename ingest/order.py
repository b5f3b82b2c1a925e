"""The order of arrival as numbers. Knows nothing of what arrives."""

from __future__ import annotations

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = 1_000_000


class ArrivalOrder:
    """Gives out numbers that only rise: microseconds since 1970 (below 2**53 until the year 2255), one an item.

    A batch that arrives within the microseconds which the one before it used up is numbered after it. Two processes
    agree as far as their clocks do.
    """

    def __init__(self) -> None:
        self._next = 0

    def take(self, at: datetime, count: int) -> int:
        """The first of `count` numbers in a row for what arrived at `at`."""
        elapsed = at - _EPOCH
        microseconds = (elapsed.days * 86_400 + elapsed.seconds) * _MICROSECOND + elapsed.microseconds
        first = max(microseconds, self._next)
        self._next = first + count
        return first
