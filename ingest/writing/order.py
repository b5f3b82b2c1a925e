"""The order of arrival as numbers. Knows nothing of what arrives."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = 1_000_000


REMEMBERED = 20_000
"""Sessions whose last number is known: the ones that were written to last."""


class ArrivalOrder:
    """Gives out numbers that only rise within a session: neighbours in a session have neighbouring numbers.

    The first number of a session is the instant in microseconds since 1970 (below 2**53 until the year 2255), so what
    another process wrote before stands before. What belongs to no session is numbered as if it were one.
    """

    def __init__(self) -> None:
        self._last: dict[Hashable, int] = {}

    def take(self, at: datetime, session: Hashable) -> int:
        """The number of what arrived in `session` at `at`."""
        last = self._last.pop(session, None)
        number = _microseconds(at) if last is None else last + 1
        self._last[session] = number
        if len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]
        return number


def _microseconds(at: datetime) -> int:
    elapsed = at - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * _MICROSECOND + elapsed.microseconds
