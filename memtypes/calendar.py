"""The English words of the calendar: months, weekdays, numbers and units, as patterns and as values.

Shared by due times (`ingest.screening.due`) and by the times that a query names (`retrieval.query.named_times`).
The patterns have no groups and are in lower case: compile them with IGNORECASE for text as written.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType

DAY = timedelta(days=1)

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
WEEKDAY = r"(?:mon|tues?|wednes|thurs?|fri|satur|sun)day"
ORDINAL = r"(?:st|nd|rd|th)?"

_ONE_TO_TWELVE = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12,
}  # fmt: skip
_NUMBERS: Mapping[str, float] = MappingProxyType(
    {
        "half a": 0.5, "half an": 0.5, "a": 1, "an": 1, "a couple of": 2, "a few": 3, **_ONE_TO_TWELVE,
        "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "forty-five": 45, "fifty": 50, "sixty": 60,
        "ninety": 90,
    }
)  # fmt: skip

HOUR_WORD = "|".join(_ONE_TO_TWELVE)
COUNT_WORD = "|".join(sorted((word for word in _NUMBERS if not word.startswith("half")), key=len, reverse=True))
"""Whole counts in words: "two", "a couple of", "forty-five"."""

DAYS_PER_UNIT: Mapping[str, int] = MappingProxyType({"day": 1, "week": 7, "month": 30, "year": 365})
"""Length of a unit in days where the exact calendar does not matter."""


def number_of(words: str) -> float:
    """The number in `words`: digits, a COUNT_WORD, "half a" or "half an". Raises KeyError for other words."""
    plain = " ".join(words.lower().split())
    return float(plain) if plain[0].isdigit() else _NUMBERS[plain]


def month_of(name: str) -> int:
    """Number of the month, 1 to 12, whose English name MONTH matched as `name`."""
    return next(number for number, month in enumerate(MONTHS, start=1) if month.startswith(name[:3].lower()))


def weekday_of(name: str) -> int:
    """Number of the weekday, from 0 for Monday, whose English name WEEKDAY matched as `name`."""
    return next(number for number, weekday in enumerate(WEEKDAYS) if weekday.startswith(name[:3].lower()))


def midnight(instant: datetime) -> datetime:
    """Midnight at the beginning of the day of `instant`."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def months_later(day: date, months: int) -> date:
    """The same day of the month `months` later, or that month's last day if it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
