"""Times told by what they are next to: "the week before 3 May", "the last weekend of August", "a day after the move".

What they are next to is the anchor: a date that the query names, or an event, which only memories can date.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from retrieval.query.times.dates import COUNT, LENGTHS, WEEKDAYS, count_of
from retrieval.query.times.window import DAY, Window, midnight

_SOME = rf"{COUNT}\s+(?P<unit>day|week|month|year)s?"
_ONE = rf"(?P<one>day|night|morning|evening|week|weekend|month|year|{'|'.join(WEEKDAYS)})"
_SIDE = r"(?P<side>before|prior to|after|following)"
_LEAD = re.compile(
    rf"\b(?:(?:on|in|over|during|at|the|this|(?P<first>first)|(?P<last>last))\s+)*(?:{_SOME}|{_ONE})"
    rf"\s+(?P<joint>{_SIDE}|of|on)\s+(?:the\s+)?$"
)
# Without "the" it is a habit: "every morning before work" is next to nothing that has a date.
_TOLD = re.compile(
    rf"\b(?:{_SOME}|the\s+{_ONE})\s+{_SIDE}\s+(?:(?:the|my|our|your|his|her|its|their|an?)\s+)?"
    r"(?P<event>[^?!.,;:\s][^?!.,;:\n]{2,120})"
)
_UNITS = {"night": "day", "morning": "day", "evening": "day"}


def lead_of(text: str) -> re.Match[str] | None:
    """The words at the end of `text`, casefolded, that place a time next to what follows; None without any."""
    return _LEAD.search(text)


def event_of(text: str) -> re.Match[str] | None:
    """The first words in `text`, casefolded, that place a time next to an event, which is the group `event`."""
    return _TOLD.search(text)


def beside(lead: re.Match[str], anchor: Window) -> Window:
    """The time that `lead` places next to `anchor`.

    With the anchor itself, unless it is a part of it: what happened two weeks before something is often told only then.
    Raises ValueError or OverflowError where the calendar does not reach.
    """
    joint = lead["side"] or lead["joint"]
    if joint == "of" or (joint == "on" and _day_of_week(lead, 5) is None):
        return _part(lead, anchor)
    if joint in ("after", "following"):
        return Window(anchor.start, _later(lead, anchor))
    return Window(_earlier(lead, anchor), anchor.end)


def _part(lead: re.Match[str], anchor: Window) -> Window:
    length = min(_length(lead), anchor.end - anchor.start)
    if lead["first"]:
        return Window(anchor.start, anchor.start + length)
    return Window(anchor.end - length, anchor.end) if lead["last"] else anchor


def _earlier(lead: re.Match[str], anchor: Window) -> datetime:
    day = _day_of_week(lead, 5)
    if day is None:
        return anchor.start - _length(lead) - _rounding(lead)
    return midnight(anchor.start) - ((anchor.start.weekday() - day) % 7 or 7) * DAY


def _later(lead: re.Match[str], anchor: Window) -> datetime:
    day = _day_of_week(lead, 6)
    if day is None:
        return anchor.end + _length(lead) + _rounding(lead)
    last = anchor.end - timedelta(microseconds=1)
    return midnight(last) + (((day - last.weekday()) % 7 or 7) + 1) * DAY


def _day_of_week(lead: re.Match[str], of_weekend: int) -> int | None:
    """Which day of the week is meant, from 0 for Monday; None for a length of time."""
    if lead["one"] == "weekend":
        return of_weekend
    return WEEKDAYS.index(lead["one"]) if lead["one"] in WEEKDAYS else None


def _length(lead: re.Match[str]) -> timedelta:
    unit = lead["unit"] or _UNITS.get(lead["one"], lead["one"])
    days = 7 if unit == "weekend" else LENGTHS.get(unit, 1)
    return (count_of(lead["count"]) if lead["count"] else 1) * timedelta(days=days)


def _rounding(lead: re.Match[str]) -> timedelta:
    """Half a unit, as people round; days are not rounded."""
    unit = lead["unit"] or lead["one"]
    return timedelta(days=LENGTHS[unit]) / 2 if unit in ("week", "month", "year") else timedelta(0)
