"""Times by the words of a calendar: dates, months, seasons, years, days of the week, and how long ago. Rules alone.

In UTC, at the instant the question is asked. What a rule can't place (the 31st of June) it answers with ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from retrieval.query.times.window import DAY, Window, midnight

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "three": 3, "a few": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
LENGTHS = {"day": 1, "week": 7, "month": 30, "year": 365}
"""In days, good enough for "about so long ago"."""

_Read: TypeAlias = Callable[[re.Match[str], datetime], Window]


def _day(year: int, month: int, day: int) -> Window:
    start = datetime(year, month, day, tzinfo=UTC)
    return Window(start, start + DAY)


def _month(year: int, month: int) -> Window:
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return Window(datetime(year, month, 1, tzinfo=UTC), following)


def _year(year: int) -> Window:
    return Window(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))


def _iso(match: re.Match[str], _: datetime) -> Window:
    return _day(int(match["year"]), int(match["month"]), int(match["day"]))


def _date(match: re.Match[str], as_of: datetime) -> Window:
    month, day = _number_of(match["month"]), int(match["day"])
    if match["year"]:
        return _day(int(match["year"]), month, day)
    past = (month, day) <= (as_of.month, as_of.day)
    return _day(as_of.year if past else as_of.year - 1, month, day)


def _month_of_year(match: re.Match[str], _: datetime) -> Window:
    return _month(int(match["year"]), _number_of(match["month"]))


def _bare_month(match: re.Match[str], as_of: datetime) -> Window:
    """The month as it last began; after "last", one that is over."""
    month = _number_of(match["month"])
    begun = month < as_of.month or (month == as_of.month and match["which"] != "last")
    return _month(as_of.year if begun else as_of.year - 1, month)


def _season(match: re.Match[str], as_of: datetime) -> Window:
    """Three months, named by the year in which they begin, as in the north; "last" is one that is over."""
    if match["year"]:
        return _season_of(match["season"], int(match["year"]))
    year = as_of.year
    while (ends := _season_of(match["season"], year)).start > as_of or (match["which"] == "last" and ends.end > as_of):
        year -= 1
    return ends


def _season_of(name: str, year: int) -> Window:
    first = _SEASONS[name]
    return Window(_month(year, first).start, _month(year + (first + 2) // 13, (first + 1) % 12 + 1).end)


def _bare_year(match: re.Match[str], _: datetime) -> Window:
    return _year(int(match["year"]))


def _near_day(match: re.Match[str], as_of: datetime) -> Window:
    start = midnight(as_of) - (timedelta(0) if match["day"] in ("today", "tonight") else DAY)
    return Window(start, start + DAY)


def _weekday(match: re.Match[str], as_of: datetime) -> Window:
    """The last such day that is over."""
    back = (as_of.weekday() - WEEKDAYS.index(match["day"])) % 7 or 7
    start = midnight(as_of) - back * DAY
    return Window(start, start + DAY)


def _calendar(match: re.Match[str], as_of: datetime) -> Window:
    """The week, weekend, month or year that runs, or the one before it."""
    last = match["which"] != "this"
    if match["unit"].startswith("week"):
        monday = midnight(as_of) - timedelta(days=as_of.weekday() + (7 if last else 0))
        return Window(monday + 5 * DAY * (match["unit"] == "weekend"), monday + 7 * DAY)
    if match["unit"] == "year":
        return _year(as_of.year - last)
    before = as_of.year * 12 + as_of.month - 1 - last
    return _month(before // 12, before % 12 + 1)


def _ago(match: re.Match[str], as_of: datetime) -> Window:
    """Around that long ago: half a unit to either side, as people round; at least a day."""
    length = timedelta(days=LENGTHS[match["unit"]])
    middle = as_of - count_of(match["count"]) * length
    half = max(length / 2, DAY)
    return Window(middle - half, middle + half)


def _past(match: re.Match[str], as_of: datetime) -> Window:
    return Window(as_of - count_of(match["count"]) * timedelta(days=LENGTHS[match["unit"]]), as_of)


def count_of(text: str) -> int:
    """The number that COUNT has matched."""
    return int(text) if text.isdecimal() else _NUMBERS[" ".join(text.split())]


def _number_of(month: str) -> int:
    return next(number for number, name in enumerate(_MONTHS, start=1) if name.startswith(month[:3]))


_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_NTH = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\b"
_YEAR = r"(?P<year>(?:19|20)\d\d)\b"
COUNT = r"(?P<count>\d{1,3}|a couple of|a few|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_UNIT = r"(?P<unit>day|week|month|year)"

RULES: tuple[tuple[re.Pattern[str], _Read], ...] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (r"\b(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?!\d)", _iso),
        (rf"\b{_NTH}\s+(?:of\s+)?{_MONTH}(?:,?\s+(?:of\s+)?{_YEAR})?", _date),
        (rf"\b{_MONTH}\s+(?:the\s+)?{_NTH}(?:,?\s+{_YEAR})?", _date),
        (rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}", _month_of_year),
        (rf"\b(?P<season>{'|'.join(_SEASONS)})(?:\s+of)?,?\s+{_YEAR}(?P<which>)", _season),
        (rf"\b(?P<which>last|this)\s+(?P<season>{'|'.join(_SEASONS)})(?P<year>)\b", _season),
        # A month without a year needs a word before it: "may" and "march" are verbs as well.
        (
            rf"\b(?P<lead>(?:in|during|since|until|before|after|by|of|early|late|mid|(?P<which>last|this))\s+){_MONTH}",
            _bare_month,
        ),
        (rf"\b(?P<lead>(?:in|during|since|until|before|after|by|of|early|late|mid)\s+){_YEAR}", _bare_year),
        (r"\b(?P<day>yesterday|today|tonight|last night)\b", _near_day),
        (rf"\b(?P<lead>(?:last|on|this past|since)\s+)(?P<day>{'|'.join(WEEKDAYS)})\b", _weekday),
        (rf"\b{COUNT}\s+{_UNIT}s?\s+ago\b", _ago),
        (rf"\b(?:past|last)\s+{COUNT}\s+{_UNIT}s?\b", _past),
        (r"\b(?P<which>last|this|previous)\s+(?P<unit>week(?:end)?|month|year)\b", _calendar),
    )
)
"""Tried in this order: what says more comes first."""
