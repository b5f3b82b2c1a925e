"""The limit of calls a minute with one API key."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from api.http.problems import TooMany


class RateLimit:
    """Limits the calls with each API key to `per_minute`, which may come in one burst (token
    bucket). 0: no limit.
    """

    def __init__(self, per_minute: int = 0, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def spend(self, key_id: str) -> None:
        """Count one call with the key `key_id`. Raises TooMany if the calls exceed the limit."""
        if not self._per_minute:
            return
        now = self._now()
        level, updated = self._buckets.get(key_id, (float(self._per_minute), now))
        level = min(float(self._per_minute), level + (now - updated) * self._per_minute / 60)
        is_over = level < 1
        self._buckets[key_id] = (level if is_over else level - 1, now)
        if is_over:
            wait = math.ceil((1 - level) * 60 / self._per_minute)
            raise TooMany(
                f"at most {self._per_minute} calls a minute with this key", retry_after_s=wait
            )
