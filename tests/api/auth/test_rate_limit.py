"""The limit of calls a minute with one API key."""

from __future__ import annotations

import pytest

from api.auth.rate_limit import RateLimit
from api.http.problems import TooMany


def test_rate_limit_refills() -> None:
    """A caller that exceeded its rate limit may call again after `retry_after_s` seconds."""
    now = [0.0]
    rate = RateLimit(2, lambda: now[0])
    rate.spend("k")
    rate.spend("k")
    rate.spend("other")
    with pytest.raises(TooMany) as caught:
        rate.spend("k")
    now[0] += caught.value.retry_after_s
    rate.spend("k")


def test_zero_sets_no_rate_limit() -> None:
    """With a rate limit of 0 a thousand calls in a row succeed."""
    rate = RateLimit(0)
    for _ in range(1_000):
        rate.spend("k")
