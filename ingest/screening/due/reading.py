"""When something is due, by the words of a text and the clock and zone of the one who said them.

A day without a time of day is meant in the morning, the end of a period at its last working hour. What lies in the past
by its words ("at 3pm", said at four) is the next one to come. Days and dates are read by dateparser, from midnight of
the speaker's day: it keeps settings for good, so they must not differ from call to call.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from dateparser.date import DateDataParser

from ingest.screening.due.abroad import in_english
from ingest.screening.due.words import Span, amount_of, find_span, number

MORNING = time(9)
_LAST_HOUR = time(17)
_LATE = time(20)
_PARTS: Mapping[str, time] = MappingProxyType(
    {
        "noon": time(12), "midday": time(12), "lunchtime": time(12), "midnight": time(0), "morning": MORNING,
        "afternoon": time(15), "evening": time(18), "night": _LATE, "tonight": _LATE,
    }
)  # fmt: skip
_EARLIEST_BARE = 8
""""At 7" is in the evening, "at 8" in the morning."""


@dataclass(frozen=True, slots=True)
class Due:
    """When, in UTC, and the words that say so."""

    at: datetime
    text: str


def due_in(text: str, now: datetime, zone: ZoneInfo | None = None) -> Due | None:
    """When `text` says that something is due, to a speaker in `zone` (else UTC) at `now`; None if it doesn't.

    A wall clock that is skipped when summer time begins is the hour after; one that comes twice is the first that is
    still to come.
    """
    english = in_english(text)
    span = find_span(english or text)
    if span is None:
        return None
    try:
        at = _instant(span, now.astimezone(zone or UTC))
    except (ValueError, OverflowError):  # 31 February, 25 o'clock, the year 10,000: no time that there is
        return None
    return None if at is None else Due(at.astimezone(UTC), span.text if english is None else text)


def _instant(span: Span, now: datetime) -> datetime | None:
    clock = _clock(span.time, span.day) if span.time else None
    if span.day is None:
        assert clock is not None  # noqa: S101 - a span names a day or a time
        return _next(clock, now)
    if span.day["amount"]:
        return _after(span.day["amount"], now, clock)
    day = _day(span.day, now.date())
    if day is None:
        return None
    if clock == time(0) and span.time and (span.time["word"] or "").lower() == "midnight":
        day += timedelta(days=1)  # midnight ends the day that it is said of
    return _not_past(day, clock or _usual(span.day), clock is not None, now)


def _next(clock: time, now: datetime) -> datetime:
    """The next time that a clock shows `clock`."""
    today = datetime.combine(now.date(), clock, now.tzinfo)
    twice = (today, today.replace(fold=1))
    tomorrow = datetime.combine(now.date() + timedelta(days=1), clock, now.tzinfo)
    # By the instant: two times of one zone are compared by their wall clocks.
    return next((at for at in twice if at.timestamp() > now.timestamp()), tomorrow)


def _not_past(day: date, clock: time, given: bool, now: datetime) -> datetime:  # noqa: FBT001 - private and read at once
    at = datetime.combine(day, clock, now.tzinfo)
    if given or at > now or day != now.date():
        return at
    later = (datetime.combine(day, hour, now.tzinfo) for hour in (_LAST_HOUR, _LATE, time(23, 59)))
    return next((hour for hour in later if hour > now), at)


def _after(words: str, now: datetime, clock: time | None) -> datetime:
    amount = amount_of(words)
    if amount.unit == "minutes":
        return now.astimezone(UTC) + timedelta(minutes=amount.count)
    if amount.unit == "days":
        day = now.date() + timedelta(days=round(amount.count))
    else:
        day = _months_later(now.date(), int(amount.count)) + timedelta(days=round(amount.count % 1 * 30))
    return datetime.combine(day, clock or now.time(), now.tzinfo)


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _day(found: re.Match[str], today: date) -> date | None:
    for group, read in _READERS.items():
        if found[group]:
            return read(found, today)
    return None


def _end(found: re.Match[str], today: date) -> date:
    short = {"eod": "day", "eow": "week", "eom": "month"}
    period = short.get(found["end"].lower()) or found["period"].lower()
    ahead = int((found["end_of"] or "").lower() == "next")
    if period == "day":
        return today + timedelta(days=ahead)
    if period == "week":
        return today + timedelta(days=(4 - today.weekday()) % 7 + 7 * ahead)
    first = _months_later(today.replace(day=1), ahead * _MONTHS[period])
    into = (first.month - 1) % _MONTHS[period]
    return _months_later(first, _MONTHS[period] - into) - timedelta(days=1)


_MONTHS = {"month": 1, "quarter": 3, "year": 12}


def _next_period(found: re.Match[str], today: date) -> date:
    period = found["next_period"].lower()
    if period == "week":
        return today + timedelta(days=7)
    return _months_later(today, _MONTHS[period])


def _weekday(found: re.Match[str], today: date) -> date:
    """The first such day after today; "Monday next week" is in the week that begins with the next Monday."""
    coming = _parsed(found["name"], today)
    if found["next_week"]:
        monday = today + timedelta(days=7 - today.weekday())
        return monday + timedelta(days=coming.weekday())
    return coming if coming > today else coming + timedelta(days=7)


def _weekend(found: re.Match[str], today: date) -> date:
    ahead = 7 if found["which_weekend"].lower() == "next" else 0
    return today + timedelta(days=max(0, 5 - today.weekday()) + ahead)


def _of_month(found: re.Match[str], today: date) -> date:
    wanted = int(found["of_month"])
    month = _months_later(today.replace(day=1), 1 if found["of_next"] else 0)
    while wanted > monthrange(month.year, month.month)[1] or month.replace(day=wanted) <= today:
        if wanted > 31:
            raise ValueError("no month has so many days")
        month = _months_later(month, 1)
    return month.replace(day=wanted)


def _beyond(found: re.Match[str], today: date) -> date:
    count, unit = re.split(r" (?=days?|weeks?)", found["beyond"], maxsplit=1)
    days = number(count) * (7 if unit.startswith("week") else 1)
    anchor = _parsed(found["anchor"], today)
    return anchor + timedelta(days=round(days))


def _parsed(words: str, today: date) -> date:
    """The day that dateparser reads; raises ValueError where it reads none."""
    midnight = datetime.combine(today, time(0))
    parser = DateDataParser(
        languages=["en"],
        settings={"RELATIVE_BASE": midnight, "PREFER_DATES_FROM": "future", "RETURN_AS_TIMEZONE_AWARE": False},
    )
    read = parser.get_date_data(re.sub(r"\b(?:the|of)\b", " ", words)).date_obj
    if read is None:
        raise ValueError(f"no day: {words}")
    day: date = read.date()
    return day


_READERS: Mapping[str, Callable[[re.Match[str], date], date]] = MappingProxyType(
    {
        "end": _end,
        "iso": lambda found, _: date.fromisoformat(found["iso"]),
        "date": lambda found, today: _parsed(found["date"], today),
        "beyond": _beyond,
        "after_next": lambda _, today: today + timedelta(days=2),
        "near": lambda found, today: today + timedelta(days=int(found["near"].lower() == "tomorrow")),
        "weekend": _weekend,
        "weekday": _weekday,
        "next": _next_period,
        "of_month": _of_month,
    }
)
"""How each kind of day is read, by its group in the rule that found it."""


def _usual(found: re.Match[str]) -> time:
    """The time of day that is meant where none is named."""
    if found["end"]:
        return _LAST_HOUR
    return _PARTS.get((found["near"] or "").lower().split(" ")[-1], MORNING)


def _clock(found: re.Match[str], day: re.Match[str] | None) -> time:
    near = (day["near"] or "").split(" ")[-1] if day else ""
    part = (found["part"] or found["tonight"] or near).lower()
    if found["word"]:
        return _PARTS[found["word"].lower()]
    if found["half"]:
        return _past(found, part)
    if found["clock"]:
        hours = found["clock"]  # "3:00" is a clock of twelve, "03:00" one of twenty-four
        hour = _bare(int(hours), part) if len(hours) == 1 else _afternoon(int(hours), part)
        return time(hour, int(found["clock_minute"]))
    if found["bare"]:
        return time(_bare(int(found["bare"]), part))
    sign = found["sign"].lower()[0]
    hour = int(found["hour"])
    if sign == "o":
        return time(_bare(hour, part), int(found["minute"] or 0))
    if not 1 <= hour <= 12:
        raise ValueError(f"no hour: {hour} {sign}m")
    return time(hour % 12 + (12 if sign == "p" else 0), int(found["minute"] or 0))


def _past(found: re.Match[str], part: str) -> time:
    minutes = 30 if found["half"].lower() == "half" else 15
    hour = _bare(int(number(found["past"])), part)
    total = hour * 60 + (minutes if found["side"].lower() == "past" else -minutes)
    return time(total // 60 % 24, total % 60)


def _bare(hour: int, part: str) -> int:
    """The hour of a clock of twelve: by the part of the day, else between 8 in the morning and 7 in the evening."""
    if part in _PARTS:
        return _afternoon(hour, part)
    return hour + 12 if 1 <= hour < _EARLIEST_BARE else hour


def _afternoon(hour: int, part: str) -> int:
    late = part in ("afternoon", "evening", "night", "tonight") and hour < 12
    return hour + 12 if late else hour
