"""Times that a query names, as windows: "in March 2023", "last May", "two weeks ago", "since Friday".

Reads the words by rule, in UTC, at the instant the question is asked. Knows nothing of memories, and nothing of events:
"before the move" names no time that can be read from the query alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

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
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "three": 3, "a few": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
_WIDENING = re.compile(r"\b(since|after|before|until|till|by|as of)\s+(?:the\s+)?$")
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_SOME_DAY = datetime(2024, 2, 29, tzinfo=UTC)
_DAY = timedelta(days=1)
NEAR = timedelta(days=7)
"""How far from a window half of the nearness is left."""
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
"""Lengths good enough for "about so long ago"."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to but not including `end`, both in UTC."""

    start: datetime
    end: datetime


_Read: TypeAlias = Callable[[re.Match[str], datetime], Window]


def windows_of(query: str, as_of: datetime) -> tuple[Window, ...]:
    """Every window that `query` names, in the order of its words; none for most queries. as_of: in UTC."""
    text = query.casefold()
    found = sorted(_found(text, as_of), key=lambda one: one[0])
    return tuple(window for _, window in found)


def names_time(query: str) -> bool:
    """Whether `query` names a time at all."""
    return bool(windows_of(query, _SOME_DAY))


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


def _found(text: str, as_of: datetime) -> Iterator[tuple[int, Window]]:
    """Each window with the place of its words; words that one rule has read are not read by the next."""
    for pattern, read in _RULES:
        taken: list[tuple[int, int]] = []
        for match in pattern.finditer(text):
            try:
                window = read(match, as_of)
            except (ValueError, OverflowError):  # the 31st of June, a year of no calendar: it names no time
                continue
            taken.append(match.span())
            named = match.end("lead") if "lead" in pattern.groupindex else match.start()
            yield match.start(), _opened(text[:named], window, as_of)
        for start, end in taken:
            text = text[:start] + " " * (end - start) + text[end:]


def _opened(before: str, window: Window, as_of: datetime) -> Window:
    """`window` as the word before it widens it: since, after, before, until, by and as of leave one end open."""
    word = _WIDENING.search(before)
    if word is None:
        return window
    if word.group(1) in ("since", "after"):
        start = window.start if word.group(1) == "since" else window.end
        return Window(start, max(window.end, as_of))
    return Window(_BEGINNING, window.start if word.group(1) == "before" else window.end)


def _day(year: int, month: int, day: int) -> Window:
    start = datetime(year, month, day, tzinfo=UTC)
    return Window(start, start + _DAY)


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


def _bare_year(match: re.Match[str], _: datetime) -> Window:
    return _year(int(match["year"]))


def _near_day(match: re.Match[str], as_of: datetime) -> Window:
    start = _midnight(as_of) - (timedelta(0) if match["day"] in ("today", "tonight") else _DAY)
    return Window(start, start + _DAY)


def _weekday(match: re.Match[str], as_of: datetime) -> Window:
    """The last such day that is over."""
    back = (as_of.weekday() - _WEEKDAYS.index(match["day"])) % 7 or 7
    start = _midnight(as_of) - back * _DAY
    return Window(start, start + _DAY)


def _calendar(match: re.Match[str], as_of: datetime) -> Window:
    """The week, weekend, month or year that runs, or the one before it."""
    last = match["which"] != "this"
    if match["unit"].startswith("week"):
        monday = _midnight(as_of) - timedelta(days=as_of.weekday() + (7 if last else 0))
        return Window(monday + 5 * _DAY * (match["unit"] == "weekend"), monday + 7 * _DAY)
    if match["unit"] == "year":
        return _year(as_of.year - last)
    before = as_of.year * 12 + as_of.month - 1 - last
    return _month(before // 12, before % 12 + 1)


def _ago(match: re.Match[str], as_of: datetime) -> Window:
    """Around that long ago: half a unit to either side, as people round; at least a day."""
    length = timedelta(days=_DAYS[match["unit"]])
    middle = as_of - _count(match["count"]) * length
    half = max(length / 2, _DAY)
    return Window(middle - half, middle + half)


def _past(match: re.Match[str], as_of: datetime) -> Window:
    return Window(as_of - _count(match["count"]) * timedelta(days=_DAYS[match["unit"]]), as_of)


def _count(text: str) -> int:
    return int(text) if text.isdecimal() else _NUMBERS[" ".join(text.split())]


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _number_of(month: str) -> int:
    return next(number for number, name in enumerate(_MONTHS, start=1) if name.startswith(month[:3]))


_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_NTH = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?\b"
_YEAR = r"(?P<year>(?:19|20)\d\d)\b"
_COUNT = r"(?P<count>\d{1,3}|a couple of|a few|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_UNIT = r"(?P<unit>day|week|month|year)"

_RULES: tuple[tuple[re.Pattern[str], _Read], ...] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (r"\b(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?!\d)", _iso),
        (rf"\b{_NTH}\s+(?:of\s+)?{_MONTH}(?:,?\s+(?:of\s+)?{_YEAR})?", _date),
        (rf"\b{_MONTH}\s+(?:the\s+)?{_NTH}(?:,?\s+{_YEAR})?", _date),
        (rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}", _month_of_year),
        # A month without a year needs a word before it: "may" and "march" are verbs as well.
        (
            rf"\b(?P<lead>(?:in|during|since|until|before|after|by|of|early|late|mid|(?P<which>last|this))\s+){_MONTH}",
            _bare_month,
        ),
        (rf"\b(?P<lead>(?:in|during|since|until|before|after|by|of|early|late|mid)\s+){_YEAR}", _bare_year),
        (r"\b(?P<day>yesterday|today|tonight|last night)\b", _near_day),
        (rf"\b(?P<lead>(?:last|on|this past|since)\s+)(?P<day>{'|'.join(_WEEKDAYS)})\b", _weekday),
        (rf"\b{_COUNT}\s+{_UNIT}s?\s+ago\b", _ago),
        (rf"\b(?:past|last)\s+{_COUNT}\s+{_UNIT}s?\b", _past),
        (r"\b(?P<which>last|this|previous)\s+(?P<unit>week(?:end)?|month|year)\b", _calendar),
    )
)
"""Tried in this order: what says more comes first."""
