"""Windows of time named in calendar words: dates, months, seasons, years, weekdays and "two weeks ago", in UTC.

Each reader makes a window of a regular expression's match. Readers raise ValueError for dates that do not exist, such
as 31 June.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from memtypes.calendar import (
    COUNT_WORD,
    DAY,
    DAYS_PER_UNIT,
    MONTH,
    ORDINAL,
    WEEKDAY,
    midnight,
    month_of,
    number_of,
    weekday_of,
)

_FIRST_MONTH = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_SEASON = rf"(?P<season>{'|'.join(_FIRST_MONTH)})"
_MONTH = rf"(?P<month>{MONTH})\b\.?"
_NTH = rf"(?P<day>\d{{1,2}}){ORDINAL}\b"
_YEAR = r"(?P<year>(?:19|20)\d\d)\b"
COUNT = rf"(?P<count>\d{{1,3}}|{COUNT_WORD})"
_UNIT = rf"(?P<unit>{'|'.join(DAYS_PER_UNIT)})"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time from `start` up to but not including `end`, both in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def day_of(cls, instant: datetime) -> Window:
        """The day that contains `instant`, which must be in UTC."""
        return cls(midnight(instant), midnight(instant) + DAY)


def _month(year: int, month: int) -> Window:
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return Window(datetime(year, month, 1, tzinfo=UTC), following)


def _year(year: int) -> Window:
    return Window(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))


def _iso_date(match: re.Match[str], _: datetime) -> Window:
    return Window.day_of(datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=UTC))


def _date(match: re.Match[str], as_of: datetime) -> Window:
    """The day of a date such as "3 May"; without a year, the latest such day that is not after today."""
    month, day = month_of(match["month"]), int(match["day"])
    past = (month, day) <= (as_of.month, as_of.day)
    year = int(match["year"]) if match["year"] else as_of.year - (not past)
    return Window.day_of(datetime(year, month, day, tzinfo=UTC))


def _bare_month(match: re.Match[str], as_of: datetime) -> Window:
    """The latest month with this name that has begun; after the word "last", the latest that is over."""
    month = month_of(match["month"])
    begun = month < as_of.month or (month == as_of.month and match["which"] != "last")
    return _month(as_of.year - (not begun), month)


def _season(match: re.Match[str], as_of: datetime) -> Window:
    """A northern season. Without a year, the latest that has begun; after the word "last", the latest that is over."""
    first, last = _FIRST_MONTH[match["season"]], match["which"] == "last"
    if match["year"]:
        return _three_months(int(match["year"]), first)
    year = as_of.year
    while (season := _three_months(year, first)).start > as_of or (last and season.end > as_of):
        year -= 1
    return season


def _three_months(year: int, first: int) -> Window:
    return Window(_month(year, first).start, _month(year + (first + 2) // 13, (first + 1) % 12 + 1).end)


def _near_day(match: re.Match[str], as_of: datetime) -> Window:
    today = Window.day_of(as_of)
    return today if match["day"] in ("today", "tonight") else Window(today.start - DAY, today.start)


def _weekday(match: re.Match[str], as_of: datetime) -> Window:
    """The latest day before today that has the weekday's name."""
    return Window.day_of(as_of - ((as_of.weekday() - weekday_of(match["day"])) % 7 or 7) * DAY)


def _calendar_period(match: re.Match[str], as_of: datetime) -> Window:
    """The current week, weekend, month or year; after the word "last" or "previous", the one before it."""
    last, unit = match["which"] != "this", match["unit"]
    if unit.startswith("week"):
        monday = midnight(as_of) - (as_of.weekday() + 7 * last) * DAY
        return Window(monday + 5 * DAY * (unit == "weekend"), monday + 7 * DAY)
    if unit == "year":
        return _year(as_of.year - last)
    months = as_of.year * 12 + as_of.month - 1 - last
    return _month(months // 12, months % 12 + 1)


def _ago(match: re.Match[str], as_of: datetime) -> Window:
    """The window around "two weeks ago": half a week (in general half a unit, at least a day) to each side."""
    length = timedelta(days=DAYS_PER_UNIT[match["unit"]])
    middle = as_of - int(number_of(match["count"])) * length
    half = max(length / 2, DAY)
    return Window(middle - half, middle + half)


def _past(match: re.Match[str], as_of: datetime) -> Window:
    return Window(as_of - int(number_of(match["count"])) * timedelta(days=DAYS_PER_UNIT[match["unit"]]), as_of)


Reader: TypeAlias = Callable[[re.Match[str], datetime], Window]
"""Makes a window from a match of its pattern and the instant at which the query is asked."""

_PREPOSITIONS = "in|during|since|until|before|after|by|of|early|late|mid"

READERS: tuple[tuple[re.Pattern[str], Reader], ...] = tuple(
    (re.compile(pattern), reader)
    for pattern, reader in (
        (r"\b(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?!\d)", _iso_date),
        (rf"\b{_NTH}\s+(?:of\s+)?{_MONTH}(?:,?\s+(?:of\s+)?{_YEAR})?", _date),
        (rf"\b{_MONTH}\s+(?:the\s+)?{_NTH}(?:,?\s+{_YEAR})?", _date),
        (rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}", lambda match, _: _month(int(match["year"]), month_of(match["month"]))),
        (rf"\b{_SEASON}(?:\s+of)?,?\s+{_YEAR}(?P<which>)", _season),
        (rf"\b(?P<which>last|this)\s+{_SEASON}(?P<year>)\b", _season),
        # A month without a year needs a word before it: "may" and "march" are verbs as well.
        (rf"\b(?P<lead>(?:{_PREPOSITIONS}|(?P<which>last|this))\s+){_MONTH}", _bare_month),
        (rf"\b(?P<lead>(?:{_PREPOSITIONS})\s+){_YEAR}", lambda match, _: _year(int(match["year"]))),
        (r"\b(?P<day>yesterday|today|tonight|last night)\b", _near_day),
        (rf"\b(?P<lead>(?:last|on|this past|since)\s+)(?P<day>{WEEKDAY})\b", _weekday),
        (rf"\b{COUNT}\s+{_UNIT}s?\s+ago\b", _ago),
        (rf"\b(?:past|last)\s+{COUNT}\s+{_UNIT}s?\b", _past),
        (r"\b(?P<which>last|this|previous)\s+(?P<unit>week(?:end)?|month|year)\b", _calendar_period),
    )
)
"""Patterns of case-folded text with their readers, the most specific first."""
