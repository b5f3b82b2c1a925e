"""How often a key may call: a bucket a key, refilled steadily; off unless a limit is set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from api.http.problems import TooMany


class RateLimit:
    """At most `per_minute` calls a minute and key, in bursts of as many; 0 sets no limit."""

    def __init__(self, per_minute: int = 0, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str) -> None:
        """Count one call of `key_id`. Raises TooMany when its bucket is empty."""
        if not self._per_minute:
            return
        now = self._now()
        left, at = self._buckets.get(key_id, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        if left < 1:
            self._buckets[key_id] = (left, now)
            wait = math.ceil((1 - left) * 60 / self._per_minute)
            raise TooMany(f"at most {self._per_minute} calls a minute with this key", retry_after_s=wait)
        self._buckets[key_id] = (left - 1, now)
