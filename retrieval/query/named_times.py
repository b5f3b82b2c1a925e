"""The times that a query names, as windows: "in March 2023", "two weeks ago", "the week before 3
May".

Times are read in UTC, relative to the instant at which the query is asked. Relations ("two weeks
before", "since") are read in English only. A time relative to an event ("two weeks before the
move") needs the date of the event, which is searched among the memories: see `event_reference`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from memtypes.calendar import (
    COUNT_WORD,
    DAY,
    DAYS_PER_UNIT,
    WEEKDAY,
    Window,
    midnight,
    number_of,
    weekday_of,
)
from retrieval.query.intent import asks_about_past
from retrieval.query.windows import TimeReader

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_END = datetime(9999, 1, 1, tzinfo=UTC)
_ANY_INSTANT = datetime(2024, 2, 29, tzinfo=UTC)
_LEAD_LENGTH = 80
"""Maximum number of characters before a named time that are searched for words such as "two weeks
after".
"""

_OPEN_END = re.compile(r"\b(since|after|before|until|till|by|as of)\s+(?:the\s+)?$")
_LENGTH = rf"(?P<count>\d{{1,3}}|{COUNT_WORD})\s+(?P<unit>day|week|month|year)s?"
_PERIOD = rf"(?P<period>day|night|morning|evening|week|weekend|month|year|{WEEKDAY})"
_SIDE = r"(?P<side>before|prior to|after|following)"
_RELATION = re.compile(
    rf"\b(?:(?:on|in|over|during|at|the|this|(?P<first>first)|(?P<last>last))\s+)*(?:{_LENGTH}"
    rf"|{_PERIOD})"
    rf"\s+(?P<joint>{_SIDE}|of|on)\s+(?:the\s+)?$"
)
# "The" is required: "every morning before work" is a habit and no date.
_EVENT_RELATION = re.compile(
    rf"\b(?:{_LENGTH}|the\s+{_PERIOD})\s+{_SIDE}\s+(?:(?:the|my|our|your|his|her|its|their"
    rf"|an?)\s+)?"
    r"(?P<event>[^?!.,;:\s][^?!.,;:\n]{2,120})"
)


@dataclass(frozen=True, slots=True)
class EventReference:
    """A time that a query names relative to an event, such as "the week after the move"; `event` is
    then "move".
    """

    event: str
    _relation: re.Match[str]

    def windows(self, happened: datetime) -> tuple[Window, ...]:
        """The named time as one window, given the UTC time at which the event `happened`; empty
        beyond the calendar.
        """
        try:
            return (_related(self._relation, Window.day_of(happened)),)
        except (ValueError, OverflowError):
            return ()


@dataclass(frozen=True, slots=True)
class QueryTimes:
    """The times that a query names, and the instant `as_of` (in UTC) for which it is answered.

    windows: the named times, except one relative to an event (`event`). past: the windows that are
    over at `as_of`; empty if others are not and the query does not ask about the past, as "on
    Thursday" may be the last or the next one.
    """

    as_of: datetime
    windows: tuple[Window, ...]
    past: tuple[Window, ...]
    event: EventReference | None

    @classmethod
    def from_query(cls, query: str, as_of: datetime) -> Self:
        """The times that `query`, asked as of `as_of`, names."""
        windows = time_windows(query, as_of)
        past = tuple(window for window in windows if window.end <= as_of)
        asks_past = len(past) == len(windows) or asks_about_past(query)
        return cls(as_of, windows, past if asks_past else (), event_reference(query))


def time_windows(query: str, as_of: datetime) -> tuple[Window, ...]:
    """The times that `query` names, as windows, in the order of its words; empty for most queries.
    as_of: in UTC.
    """
    reader = TimeReader.from_text(query, as_of)
    named_times = list[tuple[int, tuple[Window, ...]]]()
    for start, windows in reader.times():
        before = reader.words.text[max(0, start - _LEAD_LENGTH) : start].casefold()
        try:
            relation = _RELATION.search(before)
            word = _OPEN_END.search(before)
            opened = (_opened(word[1], windows, reader),) if word else windows
            related = (
                tuple(_related(relation, window) for window in windows) if relation else opened
            )
        except (ValueError, OverflowError):  # not in the calendar
            continue
        length = len(before) - relation.start() if relation else 0
        # "last week before 5 March" is one time
        while named_times and named_times[-1][0] >= start - length:
            named_times.pop()
        named_times.append((start, related))
    return tuple(window for _, related in named_times for window in related)


def event_reference(query: str) -> EventReference | None:
    """The time that `query` names relative to an event; None if there is none, or if it also names
    an absolute time.
    """
    relation = _EVENT_RELATION.search(query.casefold())
    if relation is None or time_windows(query, _ANY_INSTANT):
        return None
    # Case folding may change the length, and with it the positions of words.
    same_length = len(query) == len(relation.string)
    return EventReference(
        query[slice(*relation.span("event"))] if same_length else relation["event"], relation
    )


def _opened(word: str, windows: tuple[Window, ...], reader: TimeReader) -> Window:
    """The time after `word`, such as "since" or "before", if `windows` are read after it.

    For "since" and "after" it runs from the first window until now, without an end if it begins
    later. For other words it runs up to the last window, from today if the question looks ahead,
    else from the year 1.
    """
    first = windows[0]
    last = windows[-1]
    now = reader.now
    if word in ("since", "after"):
        start = first.start if word == "since" else first.end
        return Window(start, max(first.end, now) if start <= now else _END)
    end = last.start if word == "before" else last.end
    return Window(midnight(now) if reader.ahead and end > now else _BEGINNING, end)


def _related(relation: re.Match[str], anchor: Window) -> Window:
    """The time that `relation` ("two weeks before", "the last week of") names relative to `anchor`.

    A time before or after `anchor` includes `anchor`, because earlier events are often told only
    then; it is half a unit longer for weeks, months and years. Raises ValueError or OverflowError
    for times beyond the calendar.
    """
    joint = relation["side"] or relation["joint"]
    unit = relation["unit"] or relation["period"]
    count = int(number_of(relation["count"])) if relation["count"] else 1
    weekday = (
        5
        if unit == "weekend"
        else weekday_of(unit)
        if unit.endswith("day") and unit != "day"
        else None
    )
    length = count * (7 if unit == "weekend" else DAYS_PER_UNIT.get(unit, 1)) * DAY
    if joint == "of" or (joint == "on" and weekday is None):
        length = min(length, anchor.end - anchor.start)
        if relation["first"]:
            return Window(anchor.start, anchor.start + length)
        return Window(anchor.end - length, anchor.end) if relation["last"] else anchor
    length += DAYS_PER_UNIT[unit] * DAY / 2 if unit in ("week", "month", "year") else timedelta(0)
    if joint in ("after", "following"):
        last = anchor.end - timedelta(microseconds=1)
        days = 0 if weekday is None else (weekday + (unit == "weekend") - last.weekday()) % 7 or 7
        return Window(
            anchor.start, midnight(last) + (days + 1) * DAY if days else anchor.end + length
        )
    days = 0 if weekday is None else (anchor.start.weekday() - weekday) % 7 or 7
    return Window(
        midnight(anchor.start) - days * DAY if days else anchor.start - length, anchor.end
    )
