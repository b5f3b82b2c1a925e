"""Time windows read from single phrases, such as "last week" or "in March"."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from retrieval.query.windows import READERS, Window

WEDNESDAY = datetime(2026, 3, 18, 12, tzinfo=UTC)


def read(text: str) -> Window:
    """The window that the first matching pattern reads from `text`."""
    return next(reader(match, WEDNESDAY) for pattern, reader in READERS if (match := pattern.search(text)))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2025-11-03", "2025-11-03", "2025-11-04"),
        ("19 march", "2025-03-19", "2025-03-20"),
        ("winter 2025", "2025-12-01", "2026-03-01"),
        ("since december", "2025-12-01", "2026-01-01"),
        ("on wednesday", "2026-03-11", "2026-03-12"),
        ("last weekend", "2026-03-14", "2026-03-16"),
        ("previous year", "2025-01-01", "2026-01-01"),
        ("forty days ago", "2026-02-05T12:00", "2026-02-07T12:00"),
    ],
)
def test_a_phrase_gives_the_window_of_its_most_specific_time(text: str, start: str, end: str) -> None:
    """Without a year, a date or month is the latest that has begun, and a weekday the latest that has passed."""
    bounds = (datetime.fromisoformat(bound).replace(tzinfo=UTC) for bound in (start, end))
    assert read(text) == Window(*bounds)


def test_a_date_that_no_calendar_has_is_an_error() -> None:
    """Reading "31 June" raises ValueError."""
    with pytest.raises(ValueError, match="day is out of range"):
        read("31 june 2025")


def test_the_day_of_an_instant_is_a_window() -> None:
    """`Window.day_of` returns the UTC day that contains an instant, from midnight to midnight."""
    assert Window.day_of(WEDNESDAY) == Window(datetime(2026, 3, 18, tzinfo=UTC), datetime(2026, 3, 19, tzinfo=UTC))
