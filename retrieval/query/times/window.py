"""A span of time, and how near instants are to one. Knows no words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

DAY = timedelta(days=1)
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
NEAR = timedelta(days=7)
"""How far from a window half of the nearness is left."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to but not including `end`, both in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def day_of(cls, instant: datetime) -> Window:
        """The day of `instant`, which is in UTC."""
        return cls(midnight(instant), midnight(instant) + DAY)


def nearness(instants: NDArray[np.datetime64], windows: Sequence[Window]) -> NDArray[np.float64]:
    """How near each instant is to the nearest of `windows`, in [0, 1]: 1 within it, one half NEAR later or earlier.

    instants: in UTC, shape (memories,). What happened is often told a few days later.
    """
    near = np.zeros(instants.shape)
    for window in windows:
        start, end = plain(window.start), plain(window.end)
        outside = np.maximum(start - instants, instants - end).astype("timedelta64[s]").astype(np.float64)
        near = np.maximum(near, np.exp2(-np.maximum(outside, 0.0) / NEAR.total_seconds()))
    return near


def plain(instant: datetime) -> np.datetime64:
    """`instant`, in UTC, as arrays of times compare with it."""
    return np.datetime64(instant.replace(tzinfo=None), "us")


def midnight(instant: datetime) -> datetime:
    """The beginning of the day of `instant`."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)
