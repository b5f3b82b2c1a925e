"""The English words of the calendar: weekdays, numbers and units, as patterns and as values.

They are used to find times in queries (`retrieval.query.named_times`) and in statements. The words
come from `lexicon.toml`, which the parser of due times uses too. The patterns have no groups and
are in lower case; compile them with IGNORECASE.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from memtypes.words import Words, lexicon

DAY = timedelta(days=1)

_ENGLISH: Mapping[str, Any] = lexicon()["en"]
MONTHS: tuple[str, ...] = tuple(names.split(",")[0] for names in _ENGLISH["month"])
WEEKDAYS: tuple[str, ...] = tuple(names.split(",")[0] for names in _ENGLISH["weekday"])

WEEKDAY = r"(?:mon|tues?|wednes|thurs?|fri|satur|sun)day"

_NUMBERS: Mapping[str, float] = MappingProxyType(
    {"half a": 0.5, "half an": 0.5, "a": 1, "an": 1, "forty-five": 45}
    | {
        word.strip(): float(value)
        for value, words in _ENGLISH["number"].items()
        for word in words.split(",")
    }
)

COUNT_WORD = "|".join(
    sorted((word for word in _NUMBERS if not word.startswith("half")), key=len, reverse=True)
)
"""Pattern for counts in words, such as "two", "a couple of" or "forty-five"; longer words are tried
first.
"""

DAYS_PER_UNIT: Mapping[str, int] = MappingProxyType({"day": 1, "week": 7, "month": 30, "year": 365})
"""Length of each unit of time in days, where an approximation (30 days a month) is enough."""

_PARTS = {
    "morning": (0, 12),
    "lunch": (11, 14),
    "afternoon": (12, 18),
    "evening": (18, 24),
    "night": (18, 30),
    "dawn": (0, 6),
    "eod": (15, 24),
}
"""First hour and end hour of each part of the day, from midnight. A night ends at 6 on the next
day.
"""


def number_of(words: str) -> float:
    """The number that English `words` state, such as "12", "a couple of" or "half an". KeyError for
    other words.
    """
    plain = " ".join(words.lower().split())
    return float(plain) if plain[0].isdigit() else _NUMBERS[plain]


def weekday_of(name: str) -> int:
    """Number of the weekday with this English name, in any case; 0 is Monday."""
    return next(
        number for number, weekday in enumerate(WEEKDAYS) if weekday.startswith(name[:3].lower())
    )


def midnight(instant: datetime) -> datetime:
    """The beginning of the day of `instant`, in the same time zone."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def months_later(day: date, months: int) -> date:
    """The date `months` months after `day`, on the same day of the month; the last day if that
    month is too short.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def weekdays_of(first: date, weekday: int) -> list[date]:
    """All dates of a weekday (0 is Monday) in the month of `first`, in order."""
    days = (first.replace(day=day) for day in range(1, monthrange(first.year, first.month)[1] + 1))
    return [day for day in days if day.weekday() == weekday]


def holiday(rule: str, year: int) -> date:
    """The date in `year` of the holiday with this rule, which the lexicon gives in one of three
    forms.

    "12-25" is month and day. "easter+1" is the day after Easter Sunday. "11:3:4" is month, weekday
    (0 for Monday) and count: the fourth Thursday in November. A negative count counts from the end
    of the month.
    """
    if rule.startswith("easter"):
        return easter(year) + timedelta(days=int(rule[6:]))
    if ":" in rule:
        month, weekday, nth = map(int, rule.split(":"))
        return weekdays_of(date(year, month, 1), weekday)[nth - (nth > 0)]
    return date(year, *map(int, rule.split("-")))


def easter(year: int) -> date:
    """The date of Easter Sunday in `year`, by the anonymous Gregorian algorithm (Meeus 1991)."""
    century = year // 100
    golden = year % 19
    epact = (century - century // 4 - (8 * century + 13) // 25 + 19 * golden + 15) % 30
    moon = epact - (epact // 28) * (1 - (29 // (epact + 1)) * ((21 - golden) // 11))
    sunday = moon - (year + year // 4 + moon + 2 - century + century // 4) % 7
    month = 3 + (sunday + 40) // 44
    return date(year, month, sunday + 28 - 31 * (month // 4))


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time: so many minutes, days and months. Months are separate because they differ
    in length.
    """

    minutes: float = 0
    days: float = 0
    months: float = 0

    def plus(self, other: Length) -> Length:
        """The sum of this length and `other`."""
        return Length(
            self.minutes + other.minutes, self.days + other.days, self.months + other.months
        )

    def times(self, factor: float) -> Length:
        """The length multiplied by `factor`."""
        return Length(self.minutes * factor, self.days * factor, self.months * factor)

    def later(self, day: date) -> date:
        """The date at this length after `day`. Half a month counts as 15 days; minutes are
        ignored.
        """
        return months_later(day, int(self.months)) + timedelta(
            days=round(self.days + self.months % 1 * 30)
        )


def length_at(words: Words, i: int) -> tuple[Length, int] | None:
    """The length of time at token `i`, such as "1h15m", and the position after it; None if there is
    no length.
    """
    i = words.after("about", i)
    noun = words.after("about", words.after("article", i))
    if words.is_a("half", noun) and (
        unit := unit_at(words, words.after("article", words.after("half", noun)))
    ):
        return unit[0].times(0.5), unit[1]
    # "en hora y media"
    alone = unit_at(words, i) if _and_a(words, "half", words.after("unit", i)) else None
    count = words.number(i) or ((1.0, noun) if noun > i or alone else None)
    if count is None:
        return None
    value, j = count
    if words.is_a("quarter", j) and (
        unit := unit_at(words, words.after("article", words.after("of", j + 1)))
    ):
        return unit[0].times(value / 4), unit[1]
    half = _and_a(words, "half", j)
    unit = unit_at(words, (half or j) + (words.plain(half or j) == "-"))
    return (
        _with_smaller_units(words, unit[0].times(value + bool(half) / 2), unit[0], unit[1])
        if unit
        else None
    )


def unit_at(words: Words, i: int) -> tuple[Length, int] | None:
    """The length of the unit of time at token `i`, such as "week", and the position after it; None
    if there is none.
    """
    phrase = words.get("unit", i)
    return (length_of(phrase[0]), phrase[1]) if phrase else None


def length_of(unit: str) -> Length:
    """The length of a unit of time of `lexicon.toml`, such as "m60" for an hour, "d7" for a week,
    "mo12" for a year.
    """
    letters = unit.rstrip("0123456789")
    count = float(unit.lstrip("dmo"))
    return Length(**{{"m": "minutes", "d": "days", "mo": "months"}[letters]: count})


def _with_smaller_units(words: Words, length: Length, unit: Length, j: int) -> tuple[Length, int]:
    """Add the smaller length that may follow `length` at token `j`, such as "and a half" or "15
    minutes".

    Returns the sum, and the position after it. unit: the unit to which "a half" refers, such as an
    hour.
    """
    if half := _and_a(words, "half", j):
        return length.plus(unit.times(0.5)), half
    k = words.after("and", j)
    minutes = words.number(k) if unit.minutes == 60 else None
    if minutes:
        smaller = unit_at(words, minutes[1])
        if (smaller and smaller[0].minutes == 1) or (k == j and words.glued(j)):
            return length.plus(Length(minutes=minutes[0])), smaller[1] if smaller else minutes[1]
    if unit.minutes == 60 and (quarter := _and_a(words, "quarter", j)):
        return length.plus(Length(minutes=15)), quarter
    return length, words.after("about", j)


def _and_a(words: Words, kind: str, i: int) -> int | None:
    """The position after a phrase such as "and a half" (kind: "half") at token `i`; None if there
    is none.
    """
    j = words.after("article", words.after("and", i))
    return words.after(kind, j) if j > i and words.is_a(kind, j) else None


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time from `start` up to but not including `end`, both in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def day_of(cls, instant: datetime) -> Window:
        """The day that contains `instant`, which must be in UTC."""
        return cls(midnight(instant), midnight(instant) + DAY)

    @classmethod
    def months(cls, year: int, first: int, length: int) -> Window:
        """A window of `length` months from the month `first` of `year`: 0 is the last December, 13
        the next January.
        """
        months = (year * 12 + first - 1, year * 12 + first - 1 + length)
        return cls(*(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months))

    @classmethod
    def period(cls, now: datetime, unit: str, ahead: int) -> Window:
        """A period such as this week (`ahead`: 0) or the next (1). unit: "weekend", "d7", or months
        such as "mo3".
        """
        if not unit.startswith("mo"):
            monday = midnight(now).replace(tzinfo=UTC) + (7 * ahead - now.weekday()) * DAY
            return cls(monday + 5 * DAY * (unit == "weekend"), monday + 7 * DAY)
        length = int(unit[2:])
        return cls.months(now.year, (now.month - 1) // length * length + 1 + ahead * length, length)

    def part(self, first: float, last: float) -> Window:
        """The part of the window from the share `first` of its length to `last`: 0 to 1/2 is the
        first half.
        """
        length = self.end - self.start
        return Window(self.start + first * length, self.start + last * length)

    def hours(self, part: str) -> Window:
        """The hours of a part of the day, such as "morning", in this window, which must be a
        day.
        """
        first, last = (timedelta(hours=hour) for hour in _PARTS[part])
        return Window(self.start + first, self.start + last)
