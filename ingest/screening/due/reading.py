"""Due times: the instant that the words of a text name, for a speaker's clock and time zone.

A day without a time of day means 9 in the morning, the end of a period means 17:00 on its last working day. A time
of day without a day is the next one to come.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio.to_thread

from ingest.screening.due.phrases import TimePhrase, find_time_phrase, read_duration
from ingest.screening.due.translation import in_english
from ingest.screening.submission import Rejection, Submission
from memtypes.calendar import MONTH, month_of, months_later, number_of, weekday_of
from memtypes.model.prospective import ProspectiveDraft, TriggerType
from memtypes.model.scope import Scope
from memtypes.model.times import Clock

TIMEZONE = "timezone"
"""The metadata key of the caller's time zone, such as Europe/Berlin."""

_MAX_READ = 2_000
_MAX_TEXT = 500

_MORNING = time(9)
_LAST_HOUR = time(17)
_LATE = time(20)
_TIMES_OF_DAY: Mapping[str, time] = {
    "noon": time(12), "midday": time(12), "lunchtime": time(12), "midnight": time(0), "morning": _MORNING,
    "afternoon": time(15), "evening": time(18), "night": _LATE, "tonight": _LATE,
}  # fmt: skip
_EARLIEST_BARE = 8
""""At 7" is in the evening, "at 8" in the morning."""

_MONTHS_PER_PERIOD = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class DueTime:
    """When an intention is due, in UTC, and the words of its text that say so."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class DueTimes:
    """Gate that sets due_at and due_text of prospective drafts without a due time whose text names one.

    Relative words count from created_at, or else from the clock, in the zone that the metadata names, or else in UTC.
    """

    clock: Clock

    async def examine(self, scope: Scope, submission: Submission) -> Submission | Rejection:  # noqa: ARG002
        """The submission, with a due time if its text names one; unchanged if it waits for an event or a context."""
        draft = submission.draft
        if not isinstance(draft, ProspectiveDraft) or draft.due_at or draft.trigger_type is not TriggerType.TIME:
            return submission
        due = await anyio.to_thread.run_sync(self._due, draft)
        if due is None:
            return submission
        timed = draft.model_copy(update={"due_at": due.at, "due_text": due.text[:_MAX_TEXT]})
        return replace(submission, draft=timed)

    def _due(self, draft: ProspectiveDraft) -> DueTime | None:
        now, zone = draft.created_at or self.clock(), zone_of(draft.metadata.get(TIMEZONE))
        texts = (text for text in (draft.trigger_condition, draft.content, draft.title) if text)
        return next((due for text in texts if (due := due_in(text[:_MAX_READ], now, zone))), None)


def zone_of(name: object) -> ZoneInfo | None:
    """The time zone called `name`; None if there is none."""
    if not isinstance(name, str):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # not a key of the zone database, or a path
        return None


def due_in(text: str, now: datetime, zone: ZoneInfo | None = None) -> DueTime | None:
    """The due time that `text` names, said in `zone` (default: UTC) at `now`; None if it names none.

    A wall-clock time that is skipped when summer time begins becomes the hour after. One that comes twice is the first
    that is still to come.
    """
    english = in_english(text)
    phrase = find_time_phrase(english or text)
    if phrase is None:
        return None
    try:
        at = _instant(phrase, now.astimezone(zone or UTC))
    except (ValueError, OverflowError):  # no such time: 31 February, 25 o'clock, the year 10,000
        return None
    return None if at is None else DueTime(at.astimezone(UTC), phrase.text if english is None else text)


def _instant(phrase: TimePhrase, now: datetime) -> datetime | None:
    clock = _time_of_day(phrase.time, phrase.day) if phrase.time else None
    if phrase.day is None:
        assert clock is not None  # noqa: S101 - a phrase names a day or a time of day
        return _next(clock, now)
    if phrase.day["duration"]:
        return _after(phrase.day["duration"], now, clock)
    day = next((read(phrase.day, now.date()) for group, read in _DAY_READERS.items() if phrase.day[group]), None)
    if day is None:
        return None
    if clock is None:
        return _default_time(phrase.day, day, now)
    if phrase.time and (phrase.time["word"] or "").lower() == "midnight":
        day += timedelta(days=1)  # midnight ends the day that it is said of
    return datetime.combine(day, clock, now.tzinfo)


def _next(clock: time, now: datetime) -> datetime:
    """The next instant after `now`, in its time zone, at which a clock shows `clock`."""
    today = datetime.combine(now.date(), clock, now.tzinfo)
    tomorrow = datetime.combine(now.date() + timedelta(days=1), clock, now.tzinfo)
    # By timestamp: datetimes of the same zone are compared by their wall clocks, which a doubled hour shows twice.
    upcoming = (at for at in (today, today.replace(fold=1)) if at.timestamp() > now.timestamp())
    return next(upcoming, tomorrow)


def _default_time(match: re.Match[str], day: date, now: datetime) -> datetime:
    """The usual time for the matched words on `day` (9:00, 17:00 ...); if it has passed today, a later hour."""
    part = (match["near"] or "").lower().split(" ")[-1]
    usual = _LAST_HOUR if match["end"] else _TIMES_OF_DAY.get(part, _MORNING)
    at = datetime.combine(day, usual, now.tzinfo)
    if at > now or day != now.date():
        return at
    later = (datetime.combine(day, hour, now.tzinfo) for hour in (_LAST_HOUR, _LATE, time(23, 59)))
    return next((hour for hour in later if hour > now), at)


def _after(words: str, now: datetime, clock: time | None) -> datetime:
    duration = read_duration(words)
    if duration.unit == "minutes":
        return now.astimezone(UTC) + timedelta(minutes=duration.count)
    if duration.unit == "days":
        day = now.date() + timedelta(days=round(duration.count))
    else:
        day = months_later(now.date(), int(duration.count)) + timedelta(days=round(duration.count % 1 * 30))
    return datetime.combine(day, clock or now.time(), now.tzinfo)


def _end_of_period(match: re.Match[str], today: date) -> date:
    abbreviated = {"eod": "day", "eow": "week", "eom": "month"}
    period = abbreviated.get(match["end"].lower()) or match["period"].lower()
    ahead = int((match["end_of"] or "").lower() == "next")
    if period == "day":
        return today + timedelta(days=ahead)
    if period == "week":
        return today + timedelta(days=(4 - today.weekday()) % 7 + 7 * ahead)
    months = _MONTHS_PER_PERIOD[period]
    first = months_later(today.replace(day=1), ahead * months)
    return months_later(first, months - (first.month - 1) % months) - timedelta(days=1)


def _date(match: re.Match[str], today: date) -> date | None:
    """The matched date; without a year its next occurrence after today, None if it never occurs (31 February)."""
    words = match["date"]
    if "/" in words:
        first, second, year = map(int, words.split("/"))
        return date(year, first, second) if first <= 12 else date(year, second, first)
    name = re.search(MONTH, words, re.IGNORECASE)
    assert name is not None  # noqa: S101 - the pattern of a date contains it
    month, (day, *explicit_year) = month_of(name[0]), map(int, re.findall(r"\d+", words))
    if explicit_year:
        return date(explicit_year[0], month, day)
    years = range(today.year, today.year + 9)  # one of nine has a 29 February
    dates = (date(year, month, day) for year in years if 1 <= day <= monthrange(year, month)[1])
    return next((possible for possible in dates if possible > today), None)


def _next_period(match: re.Match[str], today: date) -> date:
    period = match["next_period"].lower()
    return today + timedelta(days=7) if period == "week" else months_later(today, _MONTHS_PER_PERIOD[period])


def _next_weekday(name: str, today: date) -> date:
    return today + timedelta(days=(weekday_of(name) - today.weekday()) % 7 or 7)


def _weekday(match: re.Match[str], today: date) -> date:
    """The first matched weekday after today; with "next week", that weekday in the week from the next Monday."""
    if match["next_week"]:
        return today + timedelta(days=7 - today.weekday() + weekday_of(match["name"]))
    return _next_weekday(match["name"], today)


def _weekend(match: re.Match[str], today: date) -> date:
    ahead = 7 if match["which_weekend"].lower() == "next" else 0
    return today + timedelta(days=max(0, 5 - today.weekday()) + ahead)


def _day_of_month(match: re.Match[str], today: date) -> date:
    day = int(match["of_month"])
    if day > 31:
        raise ValueError("no month has so many days")
    month = months_later(today.replace(day=1), 1 if match["of_next"] else 0)
    while day > monthrange(month.year, month.month)[1] or month.replace(day=day) <= today:
        month = months_later(month, 1)
    return month.replace(day=day)


def _from_day(match: re.Match[str], today: date) -> date:
    """The date of "two days after tomorrow" or "a week from Monday"."""
    days = number_of(match["from_count"]) * (7 if match["from_unit"].lower() == "week" else 1)
    anchor = match["anchor"]
    start = today + timedelta(days=1) if anchor.lower() == "tomorrow" else _next_weekday(anchor, today)
    return start + timedelta(days=round(days))


_DAY_READERS: Mapping[str, Callable[[re.Match[str], date], date | None]] = {
    "end": _end_of_period,
    "iso": lambda match, _: date.fromisoformat(match["iso"]),
    "date": _date,
    "from_day": _from_day,
    "overmorrow": lambda _, today: today + timedelta(days=2),
    "near": lambda match, today: today + timedelta(days=int(match["near"].lower() == "tomorrow")),
    "weekend": _weekend,
    "weekday": _weekday,
    "next": _next_period,
    "of_month": _day_of_month,
}
"""The reader of each kind of day, by its group in the pattern."""


def _time_of_day(match: re.Match[str], day: re.Match[str] | None) -> time:
    near = (day["near"] or "").split(" ")[-1] if day else ""
    part = (match["part"] or match["tonight"] or near).lower()
    if match["word"]:
        return _TIMES_OF_DAY[match["word"].lower()]
    if match["half"]:
        return _half_or_quarter(match, part)
    if match["clock"]:
        hours = match["clock"]  # "3:00" is on a clock of twelve hours, "03:00" on one of twenty-four
        hour = _twelve_hours(int(hours), part) if len(hours) == 1 else _with_part(int(hours), part)
        return time(hour, int(match["clock_minute"]))
    if match["bare"]:
        return time(_twelve_hours(int(match["bare"]), part))
    sign, hour, minute = match["sign"].lower()[0], int(match["hour"]), int(match["minute"] or 0)
    if sign == "o":
        return time(_twelve_hours(hour, part), minute)
    if not 1 <= hour <= 12:
        raise ValueError(f"no hour: {hour} {sign}m")
    return time(hour % 12 + (12 if sign == "p" else 0), minute)


def _half_or_quarter(match: re.Match[str], part: str) -> time:
    minutes = 30 if match["half"].lower() == "half" else 15
    hour = _twelve_hours(int(number_of(match["past"])), part)
    total = hour * 60 + (minutes if match["side"].lower() == "past" else -minutes)
    return time(total // 60 % 24, total % 60)


def _twelve_hours(hour: int, part: str) -> int:
    """`hour` of a 12-hour clock as 0 to 23: by the part of the day; without one, 1 to 7 are p.m."""
    if part in _TIMES_OF_DAY:
        return _with_part(hour, part)
    return hour + 12 if 1 <= hour < _EARLIEST_BARE else hour


def _with_part(hour: int, part: str) -> int:
    late = part in ("afternoon", "evening", "night", "tonight") and hour < 12
    return hour + 12 if late else hour
